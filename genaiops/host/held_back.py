"""Holds back what is to be tried again: the wait between two tries doubles, so that a fault has time to pass.

What is held occupies no worker and keeps its lock; when the host stops, everything is given back at once.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Final

log: Final = logging.getLogger("genaiops.host")

FIRST_WAIT: Final = 1.0
"""Seconds between the first try and the second."""
LONGEST_WAIT: Final = 30.0
"""Seconds between two tries, at most."""
_DOUBLINGS: Final = 30
"""More than any wait needs: a delivery count of thousands must not overflow."""


def wait_after(tries: int, first: float) -> float:
    """Seconds to wait after so many failed tries: `first`, then twice as long each time, up to LONGEST_WAIT."""
    doublings = min(max(tries - 1, 0), _DOUBLINGS)
    return min(first * 2.0**doublings, LONGEST_WAIT)


class HeldBack:
    """Calls what gives back a message when its wait is over, in a thread of its own."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="held-back", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hold(self, seconds: float, give_back: Callable[[], None]) -> None:
        """Call `give_back` after so many seconds; at once, and in this thread, if `stop` was called."""
        with self._changed:
            if not self._stopped:
                heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._numbers), give_back))
                self._changed.notify()
                return
        give_back()

    def stop(self) -> None:
        """Give back everything at once, and from now on hold nothing."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self, timeout: float) -> bool:
        """After `stop`: wait until everything was given back; False if `timeout` seconds were not enough."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (give_back := self._next()) is not None:
            try:
                give_back()
            except Exception:
                # Nothing is lost: the lock runs out and the message comes again.
                log.exception("a message that was held back could not be given back")

    def _next(self) -> Callable[[], None] | None:
        """What is due next; None when the host stops and nothing is held any more."""
        with self._changed:
            while True:
                wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if wait is not None and (wait <= 0 or self._stopped):
                    return heapq.heappop(self._waiting)[2]
                if self._stopped:
                    return None
                self._changed.wait(wait)
