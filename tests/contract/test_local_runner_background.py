"""Runs that outlast the call that started them."""

from __future__ import annotations

import threading

import pytest

from shared.errors import BusinessFailure, NotFound, Throttled, Transient
from shared.ports import RunOutcome, RunStatus
from tests.contract.local_runner import Gated, acts, eventually, graded, values, when_ended


def test_a_start_does_not_wait_for_long_runs_and_looks_find_their_end(own_runner):
    runner = own_runner(grace_s=0.02)
    gated = [Gated(f"run {n}") for n in range(8)]
    runs = [acts(lines=lines) for lines in gated]

    assert [runner.start(run).status for run in runs] == [RunStatus.RUNNING] * 8
    assert [runner.look(run.name) for run in runs] == [RunOutcome(RunStatus.RUNNING)] * 8

    for lines in gated:
        lines.gate.set()
    assert [values(when_ended(runner, run.name)) for run in runs] == [[str(n)] for n in range(8)]
    assert [values(runner.look(run.name)) for run in runs] == [[str(n)] for n in range(8)]


def test_starting_a_run_that_is_under_way_joins_it(own_runner):
    runner = own_runner(grace_s=0.02)
    first, second = Gated("from first"), Gated("from second")
    runner.start(run := acts(lines=first))

    assert runner.start(acts(lines=second, name=run.name)).status is RunStatus.RUNNING
    first.gate.set()
    assert values(when_ended(runner, run.name)) == ["first"]
    assert values(runner.start(acts(lines=second, name=run.name))) == ["first"]
    assert second.read == 0


def test_why_a_run_failed_is_told_by_every_look_until_it_is_started_again(own_runner):
    runner = own_runner(grace_s=0.02)
    broken = Gated(object())
    runner.start(run := acts(lines=broken))
    broken.gate.set()

    for _ in range(3):
        with pytest.raises(BusinessFailure, match="Line 1 has an input without a JSON form"):
            when_ended(runner, run.name)
    runner.start(acts("the second", name=run.name))
    assert values(when_ended(runner, run.name)) == ["second"]


@pytest.mark.parametrize("fault", [Transient("the dataset is out of reach"), Throttled("too many reads", 7.0)])
def test_a_passing_fault_is_told_once_and_then_the_run_counts_as_lost(own_runner, fault):
    runner = own_runner(grace_s=0.02)
    interrupted = Gated("a", then=fault)
    runner.start(run := acts(lines=interrupted))
    interrupted.gate.set()

    with pytest.raises(type(fault), match=str(fault)):
        when_ended(runner, run.name)
    with pytest.raises(NotFound, match=run.name):
        runner.look(run.name)
    runner.start(acts("the second", name=run.name))
    assert values(when_ended(runner, run.name)) == ["second"]


def test_a_fault_that_a_start_has_told_is_not_told_again(runner):
    run = acts(lines=(1 / 0 for _ in range(1)))
    with pytest.raises(ZeroDivisionError):
        runner.start(run)
    with pytest.raises(NotFound):
        runner.look(run.name)


def test_a_run_waits_for_its_turn_and_can_be_cancelled_there(own_runner):
    runner = own_runner(grace_s=0.02, max_runs=1)
    first, second, third = Gated("a"), Gated("b"), Gated("at last")
    runs = [acts(lines=lines) for lines in (first, second, third)]
    assert [runner.start(run).status for run in runs] == [RunStatus.RUNNING] * 3

    runner.cancel(runs[1].name)
    assert runner.look(runs[1].name).status is RunStatus.CANCELLED
    assert runner.look(runs[0].name).status is RunStatus.RUNNING
    first.gate.set()
    third.gate.set()
    assert values(when_ended(runner, runs[2].name)) == ["last"]
    assert second.read == 0


def test_a_run_that_waits_for_another_flows_place_can_be_cancelled(own_runner):
    runner = own_runner(grace_s=0.02, max_workers=1)
    lines = Gated("a")
    runner.start(holder := acts(lines=lines))
    assert eventually(lambda: lines.read == 1)
    runner.start(waiting := graded("a"))

    runner.cancel(waiting.name)
    assert when_ended(runner, waiting.name).status is RunStatus.CANCELLED
    assert runner.look(holder.name).status is RunStatus.RUNNING
    lines.gate.set()
    assert when_ended(runner, holder.name).status is RunStatus.COMPLETED


def test_ended_runs_leave_neither_threads_nor_entries(own_runner):
    before = set(threading.enumerate())
    runner = own_runner(grace_s=0.02)
    for _ in range(5):
        runner.start(run := acts("a"))
        when_ended(runner, run.name)

    assert runner._active == {}
    assert eventually(lambda: not runner._threads)
    runner.close()
    assert eventually(lambda: set(threading.enumerate()) <= before)


def test_closing_ends_what_is_under_way_and_what_waits(own_runner):
    runner = own_runner(grace_s=0.02, max_runs=1)
    runs = [acts("sleep 30"), acts("b")]
    for run in runs:
        runner.start(run)
    assert eventually(lambda: runner._pool._leases and runner._pool._leases[0].ready.done())
    runner.close()

    for run in runs:
        with pytest.raises(Transient, match="closed"):
            runner.look(run.name)
        with pytest.raises(Transient, match="closed"):
            runner.start(run)
    assert runner._threads == set()


def test_closing_does_not_wait_for_a_flow_that_is_being_loaded(own_runner):
    runner = own_runner(grace_s=0.02)
    runner.start(run := acts("a"))
    runner.close()

    assert runner._threads == set()
    with pytest.raises(Transient, match="closed"):
        runner.look(run.name)
