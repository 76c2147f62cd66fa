"""One message or page under way: facts are told to it, and when it ends they become a span.

The span's id is known from the begin, so that messages sent meanwhile can name it as their parent and log lines can
name it as theirs. An error that leaves a handler goes to the Functions host and its log: secrets are taken out of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from shared.delivery import Delivery
from shared.errors import Transient
from shared.ports import Ports
from shared.process_secrets import hidden
from shared.telemetry import pipe, trace
from shared.telemetry.names import Attribute, Metric
from shared.telemetry.signals import Measurement, Role, Span

_current: ContextVar[Handling | None] = ContextVar("handling", default=None)
_OF_METRICS: Final = (Attribute.KIND, Attribute.USE_CASE)
"""What every measurement has. No chain: a metric with as many values as there are chains is none."""


class Handling:
    """What is known so far of a message or a page under way."""

    def __init__(self, name: str, role: Role, carrier: tuple[int, int] | None, out: pipe.Pipe | None) -> None:
        self.name = name
        self.role = role
        self.failure: str | None = None
        self._carrier = carrier
        self._out = out
        self._attributes: dict[str, str | int | float] = {}
        self._own_trace = self.span_id = 0
        if out is not None or role is Role.PAGE:
            self._own_trace = secrets.randbits(128) or 1
            self.span_id = secrets.randbits(64) or 1
        self._started_ns = time.time_ns()

    @property
    def attributes(self) -> dict[str, str | int | float]:
        """A copy of what was told."""
        return dict(self._attributes)

    @property
    def chain(self) -> str | None:
        """The chain that it is about, as soon as it is known."""
        told = self._attributes.get(Attribute.CHAIN)
        return None if told is None else str(told)

    @property
    def trace_id(self) -> int:
        """The chain's trace; of what speaks of no chain, the sender's or one of its own."""
        if self.chain is not None:
            return trace.trace_of(self.chain)
        return self._carrier[0] if self._carrier is not None else self._own_trace

    def tell(self, **attributes: str | int | float | None) -> None:
        """Add facts; None says nothing."""
        self._attributes.update({name: value for name, value in attributes.items() if value is not None})

    def failed(self, family: str, why: str) -> None:
        """A fault was met: count it. The first that is told is the span's."""
        self.failure = self.failure or why
        self.tell(family=family)
        command = self._attributes.get(Attribute.COMMAND, "")
        self.measure(Metric.FAILURES, 1, family=family, command=command)

    def measure(self, metric: Metric, value: float, **attributes: str | int | float) -> None:
        """Add a value to a metric, with the kind and the use case of the chain."""
        out = self._to()
        if out is not None:
            common = {str(name): self._attributes[name] for name in _OF_METRICS if name in self._attributes}
            out.put(Measurement(metric, value, {**common, **attributes}))

    def end(self) -> None:
        """Send the span."""
        out = self._to()
        if out is None:
            return
        parent, links = self._ancestry()
        out.put(
            Span(
                name=self.name,
                role=self.role,
                trace_id=self.trace_id,
                span_id=self.span_id,
                parent_id=parent,
                links=links,
                started_ns=self._started_ns,
                ended_ns=time.time_ns(),
                attributes={name: hidden(v) if isinstance(v, str) else v for name, v in self._attributes.items()},
                failure=None if self.failure is None else hidden(self.failure),
            )
        )

    def _to(self) -> pipe.Pipe | None:
        # The first page that a process shows begins before its ports, and with them the pipe, are there.
        return pipe.active() if self.role is Role.PAGE else self._out

    def _ancestry(self) -> tuple[int | None, tuple[tuple[int, int], ...]]:
        root = None if self.chain is None else trace.root_of(self.chain)
        if self._carrier is None:
            return root, ()
        if self._carrier[0] == self.trace_id:
            return self._carrier[1], ()
        return root, (self._carrier,)


@contextmanager
def handling(ports: Ports, name: str, delivery: Delivery | None = None) -> Iterator[Handling]:
    """Handle a message (or, without one, a timer's beat).

    Raises:
        Transient: in the place of an error whose text held a secret; without it, and without its origin.
    """
    out = pipe.start(ports.settings)
    carrier = None if delivery is None or out is None else trace.found(delivery.properties)
    with _under_way(Handling(name, Role.MESSAGE, carrier, out)) as one:
        if out is not None and delivery is not None:
            delay = max(0.0, (ports.clock.now() - delivery.enqueued_at).total_seconds())
            one.tell(queue=delivery.queue, delivery=delivery.count, queue_delay_s=round(delay, 3))
            if delivery.count == 1:  # a redelivery waited for its lock, not for a free instance
                one.measure(Metric.QUEUE_DELAY, delay, queue=delivery.queue)
        yield one


@contextmanager
def answering(method: str, route: str) -> Iterator[Handling]:
    """Answer an HTTP request. It joins the trace of the chain that it sends a message to."""
    with _under_way(Handling(f"{method} {route}", Role.PAGE, None, None)) as one:
        one.tell(route=route)
        yield one


@contextmanager
def _under_way(one: Handling) -> Iterator[Handling]:
    token = _current.set(one)
    try:
        yield one
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        one.failure = one.failure or text
        one.tell(outcome="raised")
        if hidden(text) != text:
            raise Transient(hidden(text)) from None
        raise
    finally:
        _current.reset(token)
        one.end()


def current() -> Handling | None:
    """What this thread is handling."""
    return _current.get()


def carried(chain: str) -> dict[str, str]:
    """Properties for a message to a chain: they name what is under way as its parent."""
    one = _current.get()
    if one is None or pipe.active() is None:
        return {}
    if one.chain is None:
        one.tell(chain=chain)
    return {trace.TRACEPARENT: trace.header(one.trace_id, one.span_id)}
