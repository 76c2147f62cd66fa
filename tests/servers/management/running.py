"""What runs behind an online deployment of the stand-in: something that a test gives, in place of a container.

management.online_endpoints.serve = lambda start: Function(lambda payload: {"answer": …})
management.online_endpoints.serve = lambda start: Process(address, …)      # a real server, started from its context
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Start:
    """A container that is to be started."""

    endpoint: str
    deployment: str
    image: str
    """The environment's image, or empty."""
    context: str
    """The address of its build context, or empty."""
    variables: Mapping[str, str]
    """The container's environment; references to connections are as they were written."""


class CannotStart(Exception):
    """The container ends at once: the deployment fails with this reason."""


class Running(Protocol):
    """A container."""

    def is_ready(self) -> bool:
        """Whether it answers; raises CannotStart where it never will."""
        ...

    def score(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of its answer to POST /score."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


Serve = Callable[[Start], Running]


@dataclass
class Function:
    """A Python function in place of a container; what it raises is answered with 500."""

    answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    looks: int = 0
    """How often it is not ready yet."""
    stopped: bool = field(default=False, init=False)

    def is_ready(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def score(self, body: bytes) -> tuple[int, bytes]:
        try:
            return 200, json.dumps(self.answer(json.loads(body))).encode()
        except Exception as error:
            return 500, json.dumps({"error": {"code": "InternalServerError", "message": str(error)}}).encode()

    def stop(self) -> None:
        self.stopped = True


def nothing(start: Start) -> Running:
    """The default: no test has said what runs."""
    raise CannotStart(f"The stand-in was not told what runs in {start.image or start.context}.")
