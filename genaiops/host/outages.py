"""Says once that queues cannot be read, and once that they can again, however often and by however many it is tried."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from shared.errors import GenAIOpsError, Throttled, Transient

log: Final = logging.getLogger("genaiops.host")


class Outages:
    """The queues that cannot be read now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: dict[str, float] = {}
        self._since = 0.0

    def has(self, queue: str) -> bool:
        """Whether the last look at the queue failed."""
        return queue in self._failing

    def failed(self, queue: str, error: Exception) -> None:
        """A look at the queue failed."""
        with self._lock:
            is_first, is_known = not self._failing, queue in self._failing
            self._failing[queue] = time.monotonic()
            if is_first:
                self._since = time.monotonic()
        if is_known:
            return
        if isinstance(error, Transient | Throttled):
            # A namespace that is away takes all its queues along: one line tells it.
            if is_first:
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
            seconds = time.monotonic() - self._since
        log.info("all queues can be read again, after %.0f s", seconds)
