"""A clock that stands still until it is told to go on; it ships so that users can test with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


class ManualClock:
    """A clock for tests: the time is what the test says."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        """The time that was set, aware, in UTC."""
        return self._now

    def advance(self, seconds: float = 0, *, by: timedelta | None = None) -> datetime:
        """Let time pass: `seconds`, or `by`. Returns the new time."""
        self._now += timedelta(seconds=seconds) if by is None else by
        return self._now

    def set(self, now: datetime) -> None:
        """Jump to a time, forwards or backwards."""
        self._now = now
