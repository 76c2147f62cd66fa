"""The timer repairs what has no message left that could come again."""

from __future__ import annotations

import pytest

from shared import chain_store, dead_letters
from shared.advance import start
from shared.chain.messages import Queue
from shared.chain.state import ChainStatus
from shared.datasets.uploads import dataset_uploaded
from shared.delivery import Delivery
from shared.errors import BusinessFailure, Malformed, NotFound
from shared.housekeeping import sweep
from shared.perform import perform
from tests.memory_world import Crash, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_an_outbox_that_a_crash_left_is_sent_after_a_while_and_only_then(world):
    chain = world.request()
    (message,) = world.bus.receive("chain-requests")
    world.steps.crash_at = world.steps.count + 5  # read, index, write, log, and then the send
    delivery = Delivery(Queue.CHAIN_REQUESTS, message.body, "m", 1, world.clock.now())
    with pytest.raises(Crash):
        start(world.ports, delivery)
    world.steps.crash_at = None
    world.bus.complete(message)  # as if the message were lost for good
    assert chain_store.load(world.blobs, chain)[0].outbox
    sweep(world.ports)
    assert world.bus.counts("experimentation").active == 0, "whoever decided it may still be at it"
    world.clock.advance(31)
    sweep(world.ports)
    assert world.bus.counts("experimentation").active == 1
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED


def test_an_approval_whose_time_out_was_lost_is_ended_by_the_timer(world):
    chain = world.request()
    world.pump(approve=False)
    deadline = world.chain(chain).approval.deadline
    world.clock.advance((deadline - world.clock.now()).total_seconds() + 40)
    (timeout,) = [m for m in world.bus.peek("chain-events", 50) if b"ApprovalTimedOut" in m.body]
    session = world.bus.accept_session("chain-events")
    for message in world.bus.receive("chain-events", count=50, session_id=session):
        world.bus.complete(message)  # all scheduled messages are lost
    world.bus.release_session("chain-events", session)
    assert timeout.session_id == chain
    sweep(world.ports)
    world.pump()
    assert world.chain(chain).status is ChainStatus.REJECTED


def test_an_upload_asks_for_one_chain_however_often_its_event_comes(world):
    world.request()
    world.pump()
    etag = world.blobs.write("datasets", "small/questions/new.jsonl", b'{"question": "three", "answer": "THREE"}\n')
    for _ in range(3):
        dataset_uploaded(world.ports, "small/questions/new.jsonl", etag)
        world.pump()
    chains = [c for c in world.chains() if c.request.kind == "dataset"]
    assert [c.status for c in chains] == [ChainStatus.SUCCEEDED]
    assert len(chains[0].created_data) == 1
    assert chains[0].progress.runs_completed > 0


def test_the_same_content_under_another_version_of_the_blob_registers_and_runs_nothing(world):
    content = b'{"question": "three", "answer": "THREE"}\n'
    for _ in range(2):
        etag = world.blobs.write("datasets", "small/questions/new.jsonl", content)
        dataset_uploaded(world.ports, "small/questions/new.jsonl", etag)
        world.clock.advance(5)
        world.pump()
    later, first = [c for c in world.chains() if c.request.kind == "dataset"]
    assert first.progress.runs_completed > 0
    assert later.progress.runs_completed == 0
    assert "is known as small.questions version 1" in later.reason


@pytest.mark.parametrize(
    "blob", ["questions.jsonl", "small/questions/deep/x.jsonl", "sm all/q/x.jsonl", "../etc/x", "s/ü/x"]
)
def test_an_upload_under_a_name_that_says_nothing_is_a_dead_letter(world, blob):
    dataset_uploaded(world.ports, blob, "1")
    (letter,) = world.dead_letters()
    assert letter.reason == "Malformed"
    assert "upload" in letter.description


def test_a_dead_letter_is_shown_replayed_or_discarded(world):
    world.publish(Queue.CHAIN_REQUESTS, b"{}", "bad")
    world.pump()
    (letter,) = dead_letters.listed(world.ports)
    assert dead_letters.find(world.ports, letter.id) == letter
    dead_letters.replay(world.ports, letter.id)
    assert dead_letters.listed(world.ports) == []
    world.clock.advance(1)
    world.pump()  # it is as malformed as before
    (again,) = dead_letters.listed(world.ports)
    dead_letters.discard(world.ports, again.id)
    with pytest.raises(NotFound, match="dead-letters list"):
        dead_letters.find(world.ports, again.id)


def test_a_message_of_the_dead_letter_queue_tells_its_chain(world):
    chain = world.request()
    world._deliver_one()
    (command,) = world.bus.receive("experimentation")
    world.bus.complete(command)
    letter = Delivery(
        Queue.EXPERIMENTATION,
        command.body,
        command.message_id,
        5,
        world.clock.now(),
        dead_letter_reason="MaxDeliveryCountExceeded",
    )
    dead_letters.record(world.ports, letter)
    world.pump()
    assert world.chain(chain).status is ChainStatus.FAILED
    assert "MaxDeliveryCountExceeded" in world.chain(chain).reason


def test_a_state_that_cannot_be_read_stops_neither_the_timer_nor_the_other_chains(world):
    world.blobs.write("chains", "old-chain/state.json", b'{"id": "old-chain", "from": "another version"}')
    chain = world.request()
    world.pump(approve=False)
    deadline = world.chain(chain).approval.deadline
    world.clock.advance((deadline - world.clock.now()).total_seconds() + 40)
    sweep(world.ports)
    world.pump()
    assert world.chain(chain).status is ChainStatus.REJECTED
    with pytest.raises(Malformed, match=r"old-chain/state\.json"):
        chain_store.load(world.blobs, "old-chain")


def test_replaying_a_message_of_a_chain_that_has_ended_is_refused_with_what_to_do(world):
    chain = world.request("cd")  # fails at once: nothing is registered
    world.pump()
    body = f'{{"type": "Deploy", "id": "{chain}/7", "chain": "{chain}", "colour": 1}}'.encode()
    perform(world.ports, Delivery(Queue.DEPLOYMENT, body, "m", 1, world.clock.now()))
    (letter,) = dead_letters.listed(world.ports)
    with pytest.raises(BusinessFailure, match="submit --again"):
        dead_letters.replay(world.ports, letter.id)
    assert dead_letters.listed(world.ports) == [letter]
