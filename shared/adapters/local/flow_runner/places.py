"""Inside the worker: a place among the calls in flight is asked of the runner before each HTTP request of a model.

The runner counts over all its workers (`limits.py`): a thread, or a coroutine, waits here until its turn has come, its
line is given up, or its time is over.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

Send = Callable[[dict[str, Any]], None]


class GivenUp(Exception):
    """The line that wanted to call is over: nobody waits for its answer."""


class Waits:
    """What one line waits for. Safe for threads: nodes of one line may call side by side."""

    def __init__(self) -> None:
        self.abandoned = threading.Event()
        """Set when nobody waits for the line any more: it makes no more calls."""
        self._lock = threading.Lock()
        self._wakes: dict[int, Callable[[], None]] = {}
        self._since = 0.0
        self._waited_s = 0.0
        self._for = ""

    def begin(self, ticket: int, wake: Callable[[], None], place: str) -> None:
        """A call waits from now on; `place` says what for. Raises GivenUp."""
        with self._lock:
            if self.abandoned.is_set():
                raise GivenUp("The line was given up.")
            if not self._wakes:
                self._since = time.monotonic()
            self._wakes[ticket] = wake
            self._for = place

    def end(self, ticket: int) -> None:
        """It waits no longer."""
        with self._lock:
            if self._wakes.pop(ticket, None) is not None and not self._wakes:
                self._waited_s += time.monotonic() - self._since

    def abandon(self) -> None:
        """Give the line up: its calls stop waiting."""
        with self._lock:
            self.abandoned.set()
            wakes = list(self._wakes.values())
        for wake in wakes:
            wake()

    @property
    def seconds(self) -> float:
        """For how long at least one call of the line waited."""
        with self._lock:
            return self._waited_s + (time.monotonic() - self._since if self._wakes else 0.0)

    @property
    def told(self) -> str:
        """A sentence for a line that took too long; empty if it hardly waited."""
        seconds = self.seconds
        if self._wakes:
            return f" It waited for a place when its time was over: {self._for} were in flight."
        return f" For {seconds:.1f} s of that it waited for a place: {self._for} were in flight." if seconds > 1 else ""


class Places:
    """The limit as this process sees it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._tickets = count(1)
        self._gates: dict[int, Callable[[], None]] = {}
        self._process = os.getpid()
        self.in_flight = 0
        """The limit, to be told."""

    def go(self, ticket: int) -> None:
        """The runner says that this call may be made."""
        self._open(ticket)

    @contextlib.contextmanager
    def held(self, endpoint: str, waits: Waits, deadline: float) -> Iterator[None]:
        """Hold a place while the request is made. Raises GivenUp, and TimeoutError at `deadline`."""
        if os.getpid() != self._process:  # a fork of flow code: nobody there reads the runner's answers
            yield
            return
        ticket, gate = next(self._tickets), threading.Lock()
        gate.acquire()
        self._gates[ticket] = gate.release
        waits.begin(ticket, lambda: self._open(ticket), self._place(endpoint))
        try:
            self._send({"is": "ask", "ticket": ticket, "endpoint": endpoint})
            is_open = gate.acquire(timeout=max(0.0, deadline - time.monotonic()))
            self._admitted(ticket, waits, is_open)
            yield
        finally:
            self._leave(ticket, waits)

    @contextlib.asynccontextmanager
    async def held_async(self, endpoint: str, waits: Waits, deadline: float) -> AsyncIterator[None]:
        """As `held`, for a coroutine."""
        import asyncio  # here: most flows never need it

        if os.getpid() != self._process:
            yield
            return
        loop = asyncio.get_running_loop()
        ticket, gate = next(self._tickets), asyncio.Event()

        def release() -> None:
            with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(gate.set)

        self._gates[ticket] = release
        waits.begin(ticket, lambda: self._open(ticket), self._place(endpoint))
        try:
            self._send({"is": "ask", "ticket": ticket, "endpoint": endpoint})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gate.wait(), max(0.0, deadline - time.monotonic()))
            self._admitted(ticket, waits, gate.is_set())
            yield
        finally:
            self._leave(ticket, waits)

    def _place(self, endpoint: str) -> str:
        return f"{self.in_flight} of {self.in_flight} calls of {endpoint}"

    def _open(self, ticket: int) -> None:
        # Taken out in one step: the runner's word and the line's end may come at the same time.
        release = self._gates.pop(ticket, None)
        if release is not None:
            release()

    def _admitted(self, ticket: int, waits: Waits, is_open: bool) -> None:
        waits.end(ticket)
        if waits.abandoned.is_set():
            raise GivenUp("The line was given up.")
        if not is_open:
            raise TimeoutError("The call's time was over before there was a place for it among the calls in flight.")

    def _leave(self, ticket: int, waits: Waits) -> None:
        waits.end(ticket)
        self._gates.pop(ticket, None)
        self._send({"is": "back", "ticket": ticket})
