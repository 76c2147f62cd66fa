"""What goes through the pipe: facts as values, made in the thread that saw them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.telemetry.names import Event, Metric

Attributes = Mapping[str, str | int | float]


class Role(StrEnum):
    """What a span is of."""

    CHAIN = "chain"
    MESSAGE = "message"
    PAGE = "page"


@dataclass(frozen=True)
class Span:
    """Something that was done; it has ended."""

    name: str
    role: Role
    trace_id: int
    span_id: int
    parent_id: int | None
    links: tuple[tuple[int, int], ...]
    """(Trace id, span id) of what led to it from another trace."""
    started_ns: int
    ended_ns: int
    attributes: Attributes
    failure: str | None = None
    """Why it failed; None: it did not."""


@dataclass(frozen=True)
class Measurement:
    """One value of a metric that is summed up, or counted in a histogram."""

    metric: Metric
    value: float
    attributes: Attributes


@dataclass(frozen=True)
class Levels:
    """Values of a metric that is a state; each replaces what was seen before."""

    metric: Metric
    values: tuple[tuple[float, Attributes], ...]


@dataclass(frozen=True)
class Happening:
    """Something that happened once."""

    event: Event
    at_ns: int
    trace_id: int
    span_id: int
    attributes: Attributes


@dataclass(frozen=True)
class Line:
    """A log line, without secrets and without objects."""

    record: logging.LogRecord
    trace_id: int = 0
    span_id: int = 0
    attributes: Attributes = field(default_factory=dict)


Signal = Span | Measurement | Levels | Happening | Line
