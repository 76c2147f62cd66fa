"""Clock: the time, so that tests can own it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time, so that tests can own it."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...
