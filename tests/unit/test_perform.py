"""What may happen to a command: stale, throttled, a passing fault, a last delivery, and work that takes long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared import chain_store
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.chain.messages import CancelRequested, PrepareChain, Queue, RunCell, parse_command
from shared.chain.state import ChainStatus
from shared.delivery import Delivery
from shared.errors import Throttled, Transient
from shared.notification import notify
from shared.perform import DEPLOY_PATIENCE, perform
from shared.ports import RunOutcome, RunSpec, RunStatus
from tests.memory_world import World, accuracy, exact, small_flow


class Ailing:
    """A notifier that fails as it is told, then recovers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.sent: list[object] = []

    def send(self, notice: object) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(notice)

    def of_kind(self, kind: object) -> list[object]:
        return [n for n in self.sent if n.kind is kind]  # type: ignore[attr-defined]


def test_a_throttled_command_comes_back_after_the_pause_that_was_asked_for(tmp_path):
    notifier = Ailing(Throttled("slow down", 90), Throttled("slow down", 90))
    world = World(tmp_path, notifier=notifier)
    chain = world.request("cd")  # fails at once: only its result is to be told
    before = world.clock.now()
    world.pump()
    assert world.chain(chain).status is ChainStatus.FAILED
    assert len(notifier.sent) == 1
    assert (world.clock.now() - before).total_seconds() >= 180


def test_a_service_that_is_away_for_a_while_fails_nothing(tmp_path):
    notifier = Ailing(*[Transient("the mail server is away")] * 4)
    world = World(tmp_path, notifier=notifier)
    before = world.clock.now()
    world.request("cd")
    world.pump()
    assert len(notifier.sent) == 1
    assert (world.clock.now() - before).total_seconds() >= 100, "each attempt waits longer than the one before"


def test_a_mail_server_that_stays_away_is_tried_for_an_hour_and_then_ends_the_command_with_what_it_said(tmp_path):
    notifier = Ailing(*[Transient("the mail server is away")] * (notify.LOOKS + 5))
    world = World(tmp_path, notifier=notifier)
    chain = world.request("cd")
    world.pump()
    assert world.chain(chain).status is ChainStatus.FAILED
    assert notifier.sent == []
    assert any("FinishTask failed 5 times, the last time with: the mail server is away" in t for t in world.log(chain))


def test_a_fault_that_nobody_expected_is_delivered_again_and_the_last_delivery_ends_the_command(tmp_path):
    notifier = Ailing(*[ZeroDivisionError("a bug")] * 5)
    world = World(tmp_path, notifier=notifier)
    chain = world.request("cd")
    world.pump()
    assert world.chain(chain).status is ChainStatus.FAILED
    assert any("failed at every delivery, the last time with: ZeroDivisionError: a bug" in t for t in world.log(chain))


def test_a_command_that_the_chain_does_not_await_changes_nothing(tmp_path):
    world = World(tmp_path)
    chain = world.request()
    world.pump()
    state, etag = chain_store.load(world.blobs, chain)
    stale = PrepareChain(id=f"{chain}/1", chain=chain, issued_at=world.clock.now())
    perform(world.ports, delivery(world, Queue.EXPERIMENTATION, stale.model_dump_json().encode()))
    assert chain_store.load(world.blobs, chain) == (state, etag)
    assert world.bus.counts("chain-events").active == 0


def test_a_command_of_an_unknown_chain_is_a_dead_letter(tmp_path):
    world = World(tmp_path)
    orphan = PrepareChain(id="nobody/1", chain="nobody", issued_at=world.clock.now())
    perform(world.ports, delivery(world, Queue.EXPERIMENTATION, orphan.model_dump_json().encode()))
    assert [letter.chain for letter in world.dead_letters()] == ["nobody"]


def test_a_malformed_command_fails_the_chain_that_it_names(tmp_path):
    world = World(tmp_path)
    chain = world.request()
    world._deliver_one()  # the request only: the chain awaits its preparation
    body = f'{{"type": "PrepareChain", "id": "{chain}/1", "colour": "red"}}'.encode()
    perform(world.ports, delivery(world, Queue.EXPERIMENTATION, body))
    world.pump()
    assert world.chain(chain).status is ChainStatus.FAILED
    assert "unknown key" in world.chain(chain).reason
    (letter,) = world.dead_letters()
    assert letter.chain == chain


def test_long_work_is_looked_at_until_it_is_done(tmp_path):
    world = World(tmp_path, looks=5)
    chain = world.request()
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED


def test_a_deployment_that_never_gets_ready_is_given_up_and_removed(tmp_path):
    world = World(tmp_path, looks=10_000)
    chain = world.request()
    world.pump(approve=False)
    world.answer(chain)
    while world._deliver_one():
        pass
    assert set(world.chain(chain).awaiting.values()) == {"Deploy"}
    world.clock.advance(DEPLOY_PATIENCE.total_seconds())
    world.pump()
    assert world.chain(chain).status is ChainStatus.FAILED
    assert world.chain(chain).reason == "Deploy did not end within 1 h."
    assert world.endpoints.describe("small").deployments == ()


def delivery(world: World, queue: Queue, body: bytes) -> Delivery:
    if b"colour" not in body:
        parse_command(body)
    return Delivery(queue, body, "m", 1, world.clock.now())


def test_faults_count_in_a_row_so_that_a_long_work_survives_many_of_them(tmp_path):
    class Flickering(MemoryEndpoints):
        calls = 0

        def look(self, endpoint, deployment):
            self.calls += 1
            if self.calls % 2:
                raise Transient("the service blinked")
            return super().look(endpoint, deployment)

    endpoints = Flickering({"small": small_flow}, looks=12)
    world = World(tmp_path, endpoints=endpoints)
    chain = world.request()
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)
    assert endpoints.calls > 20


class InTheCloud(MemoryFlowRunner):
    """A runner whose runs go on for ever unless somebody stops them."""

    def __init__(self) -> None:
        super().__init__({"small": small_flow, "evaluate": exact}, {"evaluate": accuracy}, looks=100_000)
        self.meanwhile: Callable[[], None] = lambda: None
        self.faults: list[Exception] = []

    def start(self, spec: RunSpec) -> RunOutcome:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().start(spec)

    def cancel(self, name: str) -> None:
        if self.faults:
            raise self.faults.pop()
        super().cancel(name)

    def going_on(self) -> list[str]:
        return [spec.name for spec in self.started if self.look(spec.name).status is RunStatus.RUNNING]


def later(world: World) -> None:
    for _ in range(5):
        world.clock.advance(61)
        while world._deliver_one():
            pass


def test_a_run_that_is_submitted_while_its_chain_is_cancelled_is_stopped_by_its_next_look(tmp_path):
    runner = InTheCloud()
    world = World(tmp_path, runner=runner)
    chain = world.request("pr")

    def cancelled() -> None:  # by others, to the end: nothing is there yet that they could stop
        event = CancelRequested(id=f"{chain}/cancel", chain=chain, at=world.clock.now(), by="ada")
        world.publish(Queue.CHAIN_EVENTS, event.model_dump_json().encode(), event.id, session=chain)
        while world._deliver_one():
            pass

    runner.meanwhile = cancelled
    world.pump()
    assert world.chain(chain).status is ChainStatus.CANCELLED
    assert runner.started
    later(world)
    assert runner.going_on() == []


@pytest.mark.parametrize("faults", [[], [Transient("away")], [Throttled("busy", 30)] * 3])
def test_a_run_whose_command_is_given_up_is_stopped(tmp_path, faults):
    runner = InTheCloud()
    runner.faults = list(faults)
    world = World(tmp_path, runner=runner)
    chain = world.request("pr")
    world.pump(patience=20_000)  # a day
    assert world.chain(chain).status is ChainStatus.FAILED
    later(world)
    assert runner.faults == []
    assert runner.going_on() == []


def test_a_stale_command_is_done_with_though_its_run_cannot_be_named(tmp_path):
    runner = InTheCloud()
    world = World(tmp_path, runner=runner)
    chain = world.request("pr")
    while "RunCell" not in (world.chain(chain).awaiting.values() if world.chains() else ()):
        world._deliver_one()
    stale = RunCell(id=f"{chain}/99", chain=chain, issued_at=world.clock.now(), cell=0)
    world.blobs.write("chains", f"{chain}/prepared.json", b"{}")
    chain_store._prepared.clear()  # as in another process
    perform(world.ports, delivery(world, Queue.EXPERIMENTATION, stale.model_dump_json().encode()))
    assert world.dead_letters() == []
