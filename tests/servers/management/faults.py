"""Faults at will: the next requests of a method whose path has a pattern in it fail, n times, in the way that is asked for.

management.faults.add("PUT", r"/data/", status=429, retry_after=2)       answers 429 once, and does nothing
management.faults.add("GET", status=503, times=3)                        any GET, three times
management.faults.cut("PUT", r"/versions/", moment=Moment.AFTER)         does it, and then cuts the connection
management.faults.slow(1.5, path=r"/onlineEndpoints/")                   answers late
management.faults.meanwhile(action, "PUT", r"/data/")                    calls `action` before it is handled
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "AuthorizationFailed",
    404: "ResourceNotFound",
    409: "Conflict",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}


class Moment(StrEnum):
    """Whether a fault strikes before the request takes effect, or after."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Fault:
    """What happens to requests of `method` (empty: any) whose path matches `path` somewhere."""

    method: str
    path: str
    times: int = 1
    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    moment: Moment = Moment.BEFORE
    cut: bool = False
    delay_s: float = 0.0
    action: Callable[[], object] = lambda: None
    """What happens in between, before the request is handled."""
    skip: int = 0
    """So many requests that match pass before it strikes."""

    def strikes(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and re.search(self.path, path) is not None


class Faults:
    """The faults that are still to come, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[Fault] = []

    def add(
        self,
        method: str = "",
        path: str = "",
        *,
        status: int,
        code: str = "",
        times: int = 1,
        retry_after: float | None = None,
        skip: int = 0,
        moment: Moment = Moment.BEFORE,
    ) -> None:
        """Answer with this status, after `skip` requests that pass; AFTER: the request took effect all the same."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        code = code or CODES.get(status, "Error")
        self._plan(Fault(method, path, times, status, code, headers, moment, skip=skip))

    def cut(
        self, method: str = "", path: str = "", *, times: int = 1, skip: int = 0, moment: Moment = Moment.BEFORE
    ) -> None:
        """Close the connection in place of an answer, after `skip` requests that pass."""
        self._plan(Fault(method, path, times, cut=True, skip=skip, moment=moment))

    def slow(self, seconds: float, method: str = "", path: str = "", *, times: int = 1) -> None:
        """Answer so much later."""
        self._plan(Fault(method, path, times, delay_s=seconds))

    def meanwhile(self, action: Callable[[], object], method: str = "", path: str = "") -> None:
        """Do this before the next such request is handled: somebody else was a little faster."""
        self._plan(Fault(method, path, action=action))

    def clear(self) -> None:
        """Go back to health."""
        with self._lock:
            self._planned.clear()

    @property
    def left(self) -> int:
        """How many requests are still to fail: a test asserts that all its faults struck."""
        with self._lock:
            return sum(fault.times for fault in self._planned)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault of this request, used up once."""
        with self._lock:
            for n, fault in enumerate(self._planned):
                if fault.skip and fault.strikes(method, path):
                    self._planned[n] = replace(fault, skip=fault.skip - 1)
                elif fault.strikes(method, path):
                    self._planned[n] = replace(fault, times=fault.times - 1)
                    return fault
        return None

    def _plan(self, fault: Fault) -> None:
        with self._lock:
            self._planned.append(fault)
