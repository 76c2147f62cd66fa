"""In the runner: which calls of models are in flight, over all runs and worker processes, and who calls next.

A worker asks for a place before each HTTP request and gives it back after it (`places.py`); places of one endpoint are
given in the order in which they were asked for, so that no process starves another.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final, Protocol

CALLS_IN_FLIGHT: Final = 32
"""Of one endpoint, unless configured."""


class Caller(Protocol):
    """A worker process."""

    def go(self, ticket: int) -> None:
        """Tell it that this call may be made. Must not block: it is called by the threads that read answers."""
        ...


_Call = tuple[Caller, int]
"""A worker and its ticket."""


@dataclass
class _Endpoint:
    held: set[_Call] = field(default_factory=set)
    waiting: dict[_Call, None] = field(default_factory=dict)
    """In the order of their coming; a dictionary, because those that give up leave from the middle."""


class CallLimits:
    """At most `in_flight` calls of each endpoint at once. Safe for threads."""

    def __init__(self, in_flight: int = CALLS_IN_FLIGHT) -> None:
        self.in_flight = in_flight
        self._lock = threading.Lock()
        self._endpoints: dict[str, _Endpoint] = {}
        self._calls: dict[_Call, str] = {}
        """Those held and those waiting, with their endpoint."""

    def ask(self, caller: Caller, ticket: int, endpoint: str) -> None:
        """A worker wants to call; it is told to go, now or when its turn comes."""
        call = (caller, ticket)
        with self._lock:
            if call in self._calls:
                return
            self._calls[call] = endpoint
            of = self._endpoints.setdefault(endpoint, _Endpoint())
            if len(of.held) >= self.in_flight:
                of.waiting[call] = None
                return
            of.held.add(call)
        caller.go(ticket)

    def back(self, caller: Caller, ticket: int) -> None:
        """A call has ended, or is not wanted any more; the longest waiting one takes its place."""
        with self._lock:
            following = self._removed((caller, ticket))
        if following is not None:
            following[0].go(following[1])

    def forget(self, caller: Caller) -> None:
        """A worker has ended: its places go to others."""
        with self._lock:
            own = [call for call in self._calls if call[0] is caller]
            # Those that wait go first, or a place would pass to one of them and be lost.
            own.sort(key=lambda call: call in self._endpoints[self._calls[call]].held)
            following = [self._removed(call) for call in own]
        for call in following:
            if call is not None:
                call[0].go(call[1])

    def counts(self) -> dict[str, tuple[int, int]]:
        """Endpoint → calls in flight and calls that wait."""
        with self._lock:
            return {name: (len(of.held), len(of.waiting)) for name, of in self._endpoints.items()}

    def _removed(self, call: _Call) -> _Call | None:
        """Take it out; returns the one that takes its place."""
        endpoint = self._calls.pop(call, None)
        if endpoint is None:
            return None
        of = self._endpoints[endpoint]
        of.waiting.pop(call, None)
        following = None
        if call in of.held:
            of.held.remove(call)
            following = next(iter(of.waiting), None)
            if following is not None:
                del of.waiting[following]
                of.held.add(following)
        if not of.held:
            del self._endpoints[endpoint]
        return following
