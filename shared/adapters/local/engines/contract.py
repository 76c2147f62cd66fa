"""What the flow runner and the endpoints ask of an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shared.connections import Connection


class FlowError(Exception):
    """A line or an aggregation failed, and its text says all: it is shown without the type of an exception."""


class InputError(ValueError):
    """An input is missing or has the wrong type: whoever sent the line can mend it."""


@dataclass(frozen=True)
class FlowSource:
    """A flow as a process loads it."""

    folder: Path
    flow_file: str
    """The file in `folder` that describes it; empty for an evaluator without a flow file."""
    connections: Mapping[str, Connection]
    scratch: Path
    """A folder of this process, for files that an engine needs."""


@dataclass(frozen=True)
class LineResult:
    """What a line gave."""

    outputs: Mapping[str, Any]
    kept: Mapping[str, Any] | None = None
    """What the aggregation needs of it; None where the flow does not aggregate."""


class Executable(Protocol):
    """A flow with one choice of variants and parameters. Lines may run in many threads at once."""

    @property
    def connections(self) -> Sequence[str]:
        """Names of the connections that it uses."""
        ...

    @property
    def aggregates(self) -> bool:
        """Whether it makes metrics of all its lines."""
        ...

    def line(self, inputs: Mapping[str, Any], number: int, run: str) -> LineResult:
        """Run one line; `number` is from 0.

        Raises:
            InputError: an input is missing or wrong.
            FlowError: the flow failed, and the text says how.
            BaseException: whatever flow code raises.
        """
        ...

    def aggregate(self, kept: Sequence[Mapping[str, Any]], run: str) -> Aggregation:
        """Make metrics of what was kept of the completed lines, in line order. Raises as `line`."""
        ...


@dataclass(frozen=True)
class Aggregation:
    """What an aggregation gave."""

    metrics: Mapping[str, Any]
    """As the flow returned or logged them; those that are no numbers are no metrics."""
    error: str = ""
    """What part of it failed."""


class Engine(Protocol):
    """A flow, loaded once. Only one thread asks for executables."""

    @property
    def name(self) -> str:
        """What it is, with its version: `promptflow 1.18.5`, `python 3.11.7`."""
        ...

    def executable(self, variants: Mapping[str, str], parameters: Mapping[str, Any]) -> Executable:
        """The flow with these variants and parameters.

        Raises:
            BusinessFailure: there is no such variant or parameter, or a connection is missing.
            BaseException: whatever flow code raises when it is loaded.
        """
        ...
