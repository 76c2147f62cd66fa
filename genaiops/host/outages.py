"""Says once that queues cannot be read, and once that they can again, however often and by however many it is tried."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from shared.errors import GenAIOpsError, Throttled, Transient

log: Final = logging.getLogger("genaiops.host")

SAME_OUTAGE: Final = 60.0
"""Seconds. A reader that was inside a retry of its own may notice an outage when the others are over it already: what
fails so soon after is the same outage's tail, and needs no second line."""


class Outages:
    """The queues that cannot be read now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: dict[str, float] = {}
        self._since = 0.0
        self._ended: float | None = None

    def has(self, queue: str) -> bool:
        """Whether the last look at the queue failed."""
        return queue in self._failing

    def failed(self, queue: str, error: Exception) -> None:
        """A look at the queue failed."""
        with self._lock:
            is_first, is_known = not self._failing, queue in self._failing
            now = time.monotonic()
            self._failing[queue] = now
            is_tail = is_first and self._ended is not None and now - self._ended < SAME_OUTAGE
            if is_first and not is_tail:
                self._since = now
        if is_known:
            return
        if isinstance(error, Transient | Throttled):
            # A namespace that is away takes all its queues along: one line tells it.
            if is_first and not is_tail:
                log.warning("queues cannot be read; trying until they can. The first was %s: %s", queue, error)
        elif isinstance(error, GenAIOpsError):
            log.error("the queue %s cannot be read; trying until it can: %s", queue, error)
        else:
            log.error("the queue %s cannot be read; trying until it can", queue, exc_info=error)

    def passed(self, queue: str) -> None:
        """A look at the queue succeeded."""
        if not self._failing:  # without the lock: nearly every look ends here
            return
        with self._lock:
            if self._failing.pop(queue, None) is None or self._failing:
                return
            self._ended = time.monotonic()
            seconds = self._ended - self._since
        log.info("all queues can be read again, after %.0f s", seconds)
