"""What only the adapters in memory have, for the tests that use them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.notifier import RecordingNotifier
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.adapters.queues import QueueConfig
from shared.errors import BusinessFailure
from shared.ports import (
    DeploymentSpec,
    DeploymentState,
    Notice,
    NoticeKind,
    OutgoingMessage,
    RunSpec,
    RunStatus,
)

QUEUES = (QueueConfig("q", max_delivery_count=1), QueueConfig("s", sessions=True))


def run(name: str = "run-1", flow: str = "triage") -> RunSpec:
    return RunSpec(name, Path(flow), "a" * 64, [{"text": "hello"}])


def test_the_clock_moves_only_when_it_is_told_to():
    clock = ManualClock()
    start = clock.now()
    assert clock.now() == start
    assert clock.advance(90) == start + timedelta(seconds=90)
    assert clock.advance(by=timedelta(hours=1)) == clock.now() == start + timedelta(seconds=3690)
    clock.set(start)
    assert clock.now() == start


def test_releasing_orphans_of_the_bus_is_the_death_of_every_consumer():
    bus = MemoryBus(QUEUES, ManualClock())
    bus.send("q", [OutgoingMessage(b"", "m1")])
    bus.send("s", [OutgoingMessage(b"", "e1", session_id="a")])
    [held] = bus.receive("q")
    bus.accept_session("s")
    bus.receive("s", session_id="a")
    assert bus.release_orphans() == 3
    [again] = bus.receive("q")
    assert (again.delivery_count, again.lock_token == held.lock_token) == (1, False)
    assert bus.accept_session("s") == "a"


def test_blobs_take_their_times_from_the_clock():
    clock = ManualClock()
    blobs = MemoryBlobStore(clock)
    blobs.write("chains", "a", b"")
    clock.advance(60)
    assert blobs.info("chains", "a").last_modified == clock.now() - timedelta(seconds=60)


def test_a_runner_that_takes_its_time_shows_the_run_as_running_until_it_was_looked_at():
    runner = MemoryFlowRunner({"triage": lambda inputs, spec: {"out": inputs["text"]}}, looks=2)
    assert runner.start(run()).status is RunStatus.RUNNING
    assert runner.look("run-1").status is RunStatus.RUNNING
    ended = runner.look("run-1")
    assert ended.status is RunStatus.COMPLETED
    assert [line.outputs for line in ended.lines] == [{"out": "hello"}]


def test_a_run_can_be_cancelled_while_it_runs():
    runner = MemoryFlowRunner({"triage": lambda inputs, spec: {}}, looks=2)
    runner.start(run())
    runner.cancel("run-1")
    assert runner.look("run-1").status is RunStatus.CANCELLED
    assert runner.start(run()).status is RunStatus.CANCELLED


def test_a_runner_remembers_what_it_really_ran():
    runner = MemoryFlowRunner({"triage": lambda inputs, spec: {}})
    for name in ("run-1", "run-2", "run-1"):
        runner.start(run(name))
    assert [spec.name for spec in runner.started] == ["run-1", "run-2"]


def test_a_deployment_is_ready_after_so_many_looks():
    endpoints = MemoryEndpoints({"triage": lambda payload, spec: {}}, looks=2)
    endpoints.deploy(DeploymentSpec("shop", "v1", Path("triage"), "a" * 64, "1"))
    states = [endpoints.look("shop", "v1").state for _ in range(2)]
    assert states == [DeploymentState.CREATING, DeploymentState.READY]


def test_a_flow_that_no_function_answers_for_cannot_be_deployed():
    with pytest.raises(BusinessFailure, match="nothing"):
        MemoryEndpoints({}).deploy(DeploymentSpec("shop", "v1", Path("nothing"), "a" * 64, "1"))


def test_the_notifier_keeps_every_call_and_shows_the_last_of_each_key():
    notifier = RecordingNotifier()
    first = Notice("c1/approval", NoticeKind.APPROVAL, "c1", "Approve?", "one")
    second = Notice("c1/approval", NoticeKind.APPROVAL, "c1", "Approve?", "two")
    other = Notice("c1/result", NoticeKind.RESULT, "c1", "Done", "")
    for notice in (first, other, second):
        notifier.send(notice)
    assert notifier.sent == [first, other, second]
    assert notifier.notices == {"c1/approval": second, "c1/result": other}
    assert notifier.of_kind(NoticeKind.APPROVAL) == [second]
