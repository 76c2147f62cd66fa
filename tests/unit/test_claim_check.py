"""Messages that are too large for a queue: their body waits in blob storage, and nobody who handles them notices."""

from __future__ import annotations

import hashlib
import json

import pytest

from shared import claim_check, dead_letters, stuck_letters
from shared.advance import advance, start
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.chain.state import ChainStatus
from shared.claim_check import CONTAINER, LARGEST_BODY, PROPERTY
from shared.delivery import Delivery, delivery_from
from shared.errors import Transient
from shared.housekeeping import sweep
from shared.perform import perform
from shared.ports import OutgoingMessage
from shared.run_events import run_changed
from tests.memory_world import World

HANDLERS = {
    Queue.CHAIN_REQUESTS: start,
    Queue.CHAIN_EVENTS: advance,
    Queue.EVALUATION: perform,
    Queue.RUN_EVENTS: run_changed,
}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def large(content: object, size: int = 300_000) -> bytes:
    """JSON of that many bytes: spaces behind it change nothing."""
    return json.dumps(content).encode().ljust(size)


def request(request_id: str = "large") -> dict[str, object]:
    return ChainRequest(request_id=request_id, kind=ChainKind.CI, use_case="small").model_dump(mode="json")


def bodies(world: World) -> list[str]:
    return [info.name for info in world.blobs.list(CONTAINER)]


def padded_command(world: World) -> tuple[str, bytes]:
    """A chain whose first command was sent once more, with a body that is too large; the small one is gone."""
    chain = world.request()
    [asked] = world.bus.receive("chain-requests")
    start(world.ports, delivery_from(Queue.CHAIN_REQUESTS, asked))
    world.bus.complete(asked)
    [command] = world.bus.receive("experimentation")
    world.bus.complete(command)
    body = large(json.loads(command.body))
    message = OutgoingMessage(body, "padded", properties={"a": "b"})
    claim_check.send(world.ports, Queue.EXPERIMENTATION, [message])
    return chain, body


def test_a_large_command_travels_by_reference_and_is_performed(world):
    chain, body = padded_command(world)
    [travelling] = world.bus.peek("experimentation")
    assert len(travelling.body) < 1_000
    assert travelling.properties == {"a": "b", PROPERTY: hashlib.sha256(body).hexdigest()}
    assert bodies(world) == [travelling.properties[PROPERTY]]
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED


@pytest.mark.parametrize(("size", "stored"), [(LARGEST_BODY, 0), (LARGEST_BODY + 1, 1)])
def test_what_fits_travels_by_itself(world, size, stored):
    claim_check.send(world.ports, Queue.CHAIN_REQUESTS, [OutgoingMessage(large(request(), size), "m1")])
    assert len(bodies(world)) == stored


@pytest.mark.parametrize("queue", HANDLERS)
def test_a_body_that_is_gone_makes_a_dead_letter_that_says_so(world, queue):
    delivery = Delivery(queue, b"{}", "m1", 1, world.clock.now(), {PROPERTY: "a" * 64})
    HANDLERS[queue](world.ports, delivery)
    [letter] = dead_letters.listed(world.ports)
    assert letter.reason == "Malformed"
    assert f"The body of this message, the blob {CONTAINER}/{'a' * 64}, is not there: it is kept for 8 days" in (
        letter.description
    )


def test_the_chain_of_a_large_message_fails_with_the_reason_when_its_body_is_gone(world):
    chain, _ = padded_command(world)
    [name] = bodies(world)
    world.blobs.delete(CONTAINER, name)
    world.pump()
    assert world.chain(chain).status is ChainStatus.FAILED
    assert any("is not there: it is kept for 8 days" in line for line in world.log(chain))


@pytest.mark.parametrize("digest", ["", "../chains/x/state.json", "A" * 64])
def test_a_reference_that_is_no_digest_reads_nothing(world, digest):
    start(world.ports, Delivery(Queue.CHAIN_REQUESTS, b"{}", "m1", 1, world.clock.now(), {PROPERTY: digest}))
    [letter] = dead_letters.listed(world.ports)
    assert "must be the SHA-256 of its body" in letter.description


def test_a_body_that_somebody_changed_is_not_handled(world):
    body = large(request())
    claim_check.send(world.ports, Queue.CHAIN_REQUESTS, [OutgoingMessage(body, "m1")])
    world.blobs.write(CONTAINER, hashlib.sha256(body).hexdigest(), large(request("another")))
    world.pump()
    [letter] = dead_letters.listed(world.ports)
    assert "is not the body that was sent" in letter.description


def test_a_large_message_that_nobody_could_handle_is_kept_whole_and_can_be_replayed(world):
    body = large({"type": "ChainRequest"})
    claim_check.send(world.ports, Queue.CHAIN_REQUESTS, [OutgoingMessage(body, "m1")])
    world.pump()
    [letter] = dead_letters.listed(world.ports)
    assert letter.body == body
    dead_letters.replay(world.ports, letter.id)
    [again] = world.bus.peek("chain-requests")
    assert again.properties[PROPERTY] == hashlib.sha256(body).hexdigest()


def test_a_dead_letter_whose_body_is_gone_is_recorded_with_what_is_left(world):
    left = json.dumps({"payload": "messages/…", "chain": "small-ci-1", "id": "small-ci-1/3"}).encode()
    delivery = Delivery(Queue.EVALUATION, left, "m1", 5, world.clock.now(), {PROPERTY: "b" * 64})
    dead_letters.record(world.ports, delivery)
    [letter] = dead_letters.listed(world.ports)
    assert (letter.body, letter.chain, letter.reason) == (left, "small-ci-1", "MaxDeliveryCountExceeded")
    assert "is not there" in letter.description


def test_bodies_are_removed_eight_days_after_they_were_last_sent(world):
    def send(message_id: str) -> None:
        claim_check.send(world.ports, Queue.CHAIN_REQUESTS, [OutgoingMessage(large(request()), message_id)])

    send("m1")
    world.clock.advance(5 * 86_400)
    send("m2")
    world.clock.advance(5 * 86_400)
    sweep(world.ports)
    assert len(bodies(world)) == 1, "it was sent again five days ago"
    world.clock.advance(4 * 86_400)
    sweep(world.ports)
    assert bodies(world) == []


def test_a_queue_that_cannot_be_looked_at_keeps_nobody_from_removing_old_bodies(world, monkeypatch):
    def away(ports: object) -> int:
        raise Transient("the queue cannot be reached")

    claim_check.send(world.ports, Queue.CHAIN_REQUESTS, [OutgoingMessage(large(request()), "m1")])
    monkeypatch.setattr(stuck_letters, "record_stuck", away)
    world.clock.advance(9 * 86_400)
    sweep(world.ports)
    assert bodies(world) == []
