"""One start of a run at a time in this process; other processes meet at Azure ML, which takes a name once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StartingRuns:
    """The names of runs that are being started. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Wait until nobody else starts a run of that name."""
        with self._lock:
            lock, users = self._held.get(name, (threading.Lock(), 0))
            self._held[name] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._held[name]
                if users == 1:
                    del self._held[name]
                else:
                    self._held[name] = lock, users - 1
