"""Feeds timer triggers: NCRONTAB schedules in UTC, one call of a timer at a time.

A timer with monitor whose time came while no host ran fires once at the start, past due, as in Azure.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from croniter import croniter

from genaiops.host import decoding
from genaiops.host.errors import HostError
from genaiops.host.invocation import FunctionFailed, invoke
from genaiops.host.ledger import Ledger, TimerState
from genaiops.host.triggers import TimerTrigger
from genaiops.host.workers import Workers
from shared.ports import Clock

log: Final = logging.getLogger("genaiops.host")

LOOK: Final = 0.2
"""Seconds between looks at the clock."""
NEVER: Final = "0001-01-01T00:00:00"
"""What Azure sends for the last time of a timer that has not run."""


@dataclass
class _Timer:
    trigger: TimerTrigger
    last: datetime | None
    due: datetime
    past_due: bool
    running: bool = False


def next_after(schedule: str, time: datetime) -> datetime:
    """The first time of an NCRONTAB schedule (six fields, seconds first; or five) after `time`.

    Raises:
        ValueError: it is no such schedule.
    """
    if len(schedule.split()) not in (5, 6):
        raise ValueError(f"{schedule!r} has not the six fields of NCRONTAB: second minute hour day month weekday")
    found: datetime = croniter(schedule, time, second_at_beginning=True).get_next(datetime)
    return found


class TimerFeed:
    """Calls timer functions when they are due, until it is stopped."""

    def __init__(self, triggers: Sequence[TimerTrigger], clock: Clock, ledger: Ledger) -> None:
        self._clock, self._ledger = clock, ledger
        self._timers = [self._planned(trigger) for trigger in triggers]
        self._workers = Workers("timer", len(self._timers) or 1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="timers", daemon=True)

    def start(self) -> None:
        """Begin to look at the clock."""
        if self._timers:
            self._thread.start()

    def stop_receiving(self) -> None:
        """Begin no further call."""
        self._stopping.set()

    def drain(self, timeout: float) -> bool:
        """After `stop_receiving`: wait for the functions that run; False if `timeout` seconds were not enough."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return self._workers.wait_idle(timeout)

    def _planned(self, trigger: TimerTrigger) -> _Timer:
        now = self._clock.now()
        try:
            due = next_after(trigger.schedule, now)
        except ValueError as error:
            raise HostError(f"The timer {trigger.name} has the schedule {trigger.schedule!r}: {error}.") from error
        state = self._ledger.timer(trigger.name) if trigger.monitored else None
        if state is None and trigger.monitored:
            # Without this a timer whose host never lives until its first time would never fire.
            self._ledger.write_timer(trigger.name, TimerState(None, now))
        missed = state is not None and next_after(trigger.schedule, state.last or state.updated) < now
        starts_now = missed or trigger.run_on_startup
        return _Timer(trigger, state.last if state else None, now if starts_now else due, past_due=missed)

    def _look(self) -> None:
        while not self._stopping.is_set():
            now = self._clock.now()
            for timer in self._timers:
                if timer.due <= now and not timer.running:
                    timer.running = True
                    self._workers.submit(partial(self._run, timer, now))
            self._stopping.wait(LOOK)

    def _run(self, timer: _Timer, now: datetime) -> None:
        trigger = timer.trigger
        try:
            following = next_after(trigger.schedule, now)
            past_due = timer.past_due or next_after(trigger.schedule, timer.due) <= now
            status = {
                "Last": timer.last.isoformat() if timer.last else NEVER,
                "Next": following.isoformat(),
                "LastUpdated": timer.last.isoformat() if timer.last else NEVER,
            }
            argument = decoding.timer_request(past_due=past_due, status=status if trigger.monitored else None)
            try:
                invoke(trigger, argument, message_id=f"{trigger.name}@{now.isoformat()}")
            except FunctionFailed:
                log.debug("%s is not tried again before %s", trigger.name, following)  # as in Azure
            ended = self._clock.now()
            timer.last, timer.past_due, timer.due = now, False, next_after(trigger.schedule, ended)
            if trigger.monitored:
                self._ledger.write_timer(trigger.name, TimerState(now, ended))
        finally:
            timer.running = False
