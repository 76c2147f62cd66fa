"""Keeps the locks of messages and sessions whose functions still run: each is renewed when half of its time is over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.errors import Conflict
from shared.ports import Clock

log: Final = logging.getLogger("genaiops.host")

_LOOK: Final = 0.25
"""Seconds between looks at the clock while a lock is held; the clock may be one that a test moves."""


@dataclass
class _Lock:
    renew: Callable[[], datetime]
    name: str
    length: timedelta
    due: datetime
    until: datetime
    """After this time it is not renewed any more."""


class Renewals:
    """Renews locks in a thread of its own."""

    def __init__(self, clock: Clock, limit: timedelta) -> None:
        self._clock, self._limit = clock, limit
        self._locks: dict[Hashable, _Lock] = {}
        self._changed = threading.Condition()
        self._stopped = False

    def start(self) -> None:
        """Begin to renew."""
        threading.Thread(target=self._run, name="renewals", daemon=True).start()

    def stop(self) -> None:
        """Renew nothing any more; locks run out by themselves."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def hold(self, key: Hashable, name: str, locked_until: datetime, renew: Callable[[], datetime]) -> None:
        """Renew a lock until it is dropped. `renew` returns the new end, and raises Conflict if the lock was lost."""
        now = self._clock.now()
        length = max(locked_until - now, timedelta(milliseconds=1))
        with self._changed:
            self._locks[key] = _Lock(renew, name, length, now + length / 2, now + self._limit)
            self._changed.notify()

    def drop(self, key: Hashable) -> None:
        """Renew this lock no longer."""
        with self._changed:
            self._locks.pop(key, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                now = self._clock.now()
                due = [(key, lock) for key, lock in self._locks.items() if lock.due <= now]
                if not due:
                    waits = [(lock.due - now).total_seconds() for lock in self._locks.values()]
                    self._changed.wait(min(_LOOK, *waits) if waits else None)
                    continue
            for key, lock in due:
                self._renew(key, lock, now)

    def _renew(self, key: Hashable, lock: _Lock, now: datetime) -> None:
        if now >= lock.until:
            log.warning(
                "the lock of %s is not renewed any more: its function runs for longer than host.json allows", lock.name
            )
            self.drop(key)
            return
        try:
            until = lock.renew()
        except Conflict:
            with self._changed:
                held = self._locks.pop(key, None)
            # A function that has just ended has settled its message: then there is nothing to renew, and no news.
            if held is not None:
                log.warning("the lock of %s was lost while its function ran; it will be delivered again", lock.name)
        except Exception:
            log.exception("the lock of %s could not be renewed; trying again", lock.name)
            lock.due = now + lock.length / 8
        else:
            lock.due = now + (until - now) / 2
