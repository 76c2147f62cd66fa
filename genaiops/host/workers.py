"""Threads that run the functions, made when they are needed and kept.

They are daemons, unlike those of `concurrent.futures`: a function that hangs must not keep a stopped host alive.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

log: Final = logging.getLogger("genaiops.host")


class Workers:
    """Runs tasks on at most `limit` threads; further ones wait in order."""

    def __init__(self, name: str, limit: int) -> None:
        self._name, self._limit = name, limit
        self._tasks: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Run the task soon. It should handle its own errors; those that it lets pass are logged."""
        with self._changed:
            self._tasks.append(task)
            if self._idle >= len(self._tasks) or self._threads == self._limit:
                self._changed.notify_all()
                return
            self._threads += 1
            number = self._threads
        threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing runs or waits; False if `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._tasks or self._idle < self._threads:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.notify_all()
                while not self._tasks:
                    self._changed.wait()
                self._idle -= 1
                task = self._tasks.popleft()
            try:
                task()
            except BaseException:
                log.exception("a task of %s failed", self._name)
            del task
