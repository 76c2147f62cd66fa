"""Timer triggers in the embedded host: NCRONTAB, past due after a pause, one call at a time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import azure.functions as func
import pytest

from genaiops.host import HostError
from genaiops.host.timers import next_after
from shared.adapters.memory.clock import ManualClock
from tests.triggers.hosting import bus, eventually, hosting

NOON = datetime(2026, 3, 2, 12, 0, 10, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr("genaiops.host.timers.LOOK", 0.005)
    return ManualClock(NOON)


def app_with(function, schedule: str = "0 * * * * *", **options) -> func.FunctionApp:
    app = func.FunctionApp()
    app.timer_trigger(arg_name="timer", schedule=schedule, **options)(function)
    return app


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/30 * * * * *", "2026-03-02T12:00:30+00:00"),
        ("0 */5 * * * *", "2026-03-02T12:05:00+00:00"),
        ("0 30 9 * * 1-5", "2026-03-03T09:30:00+00:00"),
        ("15 0 0 1 1 *", "2027-01-01T00:00:15+00:00"),
        ("*/5 * * * *", "2026-03-02T12:05:00+00:00"),
    ],
)
def test_a_schedule_has_six_fields_with_seconds_first_or_five(schedule, expected):
    assert next_after(schedule, NOON).isoformat() == expected


def test_a_wrong_schedule_is_refused_by_name(tmp_path, clock):
    def tick(timer: func.TimerRequest) -> None:
        raise AssertionError

    with (
        pytest.raises(HostError, match="timer tick has the schedule 'hourly'"),
        hosting(app_with(tick, "hourly"), tmp_path, clock=clock),
    ):
        pass


def test_a_timer_fires_when_it_is_due_and_not_before(tmp_path, clock):
    calls = []

    def tick(timer: func.TimerRequest) -> None:
        calls.append((clock.now(), timer.past_due))

    with hosting(app_with(tick), tmp_path, bus(clock=clock), clock=clock):
        clock.advance(49)
        threading.Event().wait(0.05)
        assert calls == []
        clock.advance(1)
        eventually(lambda: len(calls) == 1)
        clock.advance(60)
        eventually(lambda: len(calls) == 2)
    assert calls == [
        (datetime(2026, 3, 2, 12, 1, tzinfo=UTC), False),
        (datetime(2026, 3, 2, 12, 2, tzinfo=UTC), False),
    ]


def test_a_time_that_was_missed_while_no_host_ran_fires_once_past_due(tmp_path, clock):
    calls = []

    def tick(timer: func.TimerRequest) -> None:
        calls.append((timer.past_due, timer.schedule_status.get("Last")))

    with hosting(app_with(tick), tmp_path, bus(clock=clock), clock=clock):
        clock.advance(50)
        eventually(lambda: len(calls) == 1)
    clock.advance(600)
    with hosting(app_with(tick), tmp_path, bus(clock=clock), clock=clock):
        eventually(lambda: len(calls) == 2)
        clock.advance(60)
        eventually(lambda: len(calls) == 3)
    assert [past_due for past_due, _ in calls] == [False, True, False]
    assert calls[1][1] == "2026-03-02T12:01:00+00:00"


def test_a_timer_whose_host_died_before_its_first_time_fires_past_due(tmp_path, clock):
    calls = []

    def tick(timer: func.TimerRequest) -> None:
        calls.append(timer.past_due)

    with hosting(app_with(tick), tmp_path, bus(clock=clock), clock=clock):
        pass
    clock.advance(120)
    with hosting(app_with(tick), tmp_path, bus(clock=clock), clock=clock):
        eventually(lambda: calls == [True])


def test_a_timer_without_monitor_does_not_catch_up(tmp_path, clock):
    calls = []

    def tick(timer: func.TimerRequest) -> None:
        calls.append((timer.past_due, timer.schedule_status))

    for _ in range(2):
        with hosting(app_with(tick, use_monitor=False), tmp_path, bus(clock=clock), clock=clock):
            threading.Event().wait(0.05)
            assert calls == []
        clock.advance(600)
    with hosting(app_with(tick, use_monitor=False, run_on_startup=True), tmp_path, bus(clock=clock), clock=clock):
        eventually(lambda: calls == [(False, {})])


def test_a_timer_that_fails_or_is_slow_fires_again_and_never_twice_at_once(tmp_path, clock):
    running, calls, lock, release = 0, 0, threading.Lock(), threading.Event()

    def tick(timer: func.TimerRequest) -> None:
        nonlocal running, calls
        with lock:
            running += 1
            calls += 1
            assert running == 1
        release.wait(20)
        with lock:
            running -= 1
        raise RuntimeError("failed")

    with hosting(app_with(tick), tmp_path, bus(clock=clock), clock=clock):
        clock.advance(60)
        eventually(lambda: calls == 1)
        clock.advance(180)
        threading.Event().wait(0.05)
        assert calls == 1
        release.set()
        eventually(lambda: running == 0)
        clock.advance(60)
        eventually(lambda: calls == 2)
