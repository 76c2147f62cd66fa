"""Telemetry's own parts: ids of traces, the pipe that fails nobody, what a page and a message say of themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import telemetry
from shared.chain.messages import CancelRequested
from shared.envelopes import envelope
from shared.pages.http import respond
from shared.pages.page import message
from shared.telemetry import pipe, trace
from shared.telemetry.handling import Handling
from shared.telemetry.names import Metric
from shared.telemetry.pipe import Pipe
from shared.telemetry.signals import Levels, Measurement, Role, Signal, Span
from tests.memory_world import World


class Kept:
    """A sink that keeps what it takes; it can be made to hold up or to fail."""

    def __init__(self) -> None:
        self.taken: list[Signal] = []
        self.flushed = 0
        self.closed = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.fails = False

    def take(self, signal: Signal) -> None:
        self.go_on.wait(30)
        if self.fails:
            raise RuntimeError("the sink is full")
        self.taken.append(signal)

    def flush(self) -> None:
        self.flushed += 1
        if self.fails:
            raise RuntimeError("nobody listens")

    def close(self) -> None:
        self.closed += 1

    @property
    def spans(self) -> list[Span]:
        return [signal for signal in self.taken if isinstance(signal, Span)]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """This process sends to this sink."""
    sink = Kept()
    made = Pipe(lambda: sink)
    monkeypatch.setattr(pipe, "_active", [made])
    monkeypatch.setattr(pipe, "_pipes", {"here": made})
    yield sink
    made.close()


@pytest.fixture
def world(kept: Kept, tmp_path) -> World:
    world = World(tmp_path)
    world.settings = replace(world.settings, application_insights="here")
    world.ports = world._wired()
    return world


def sent(kept: Kept) -> list[Span]:
    active = pipe.active()
    assert active is not None
    assert active.flush(30)
    return kept.spans


def count(value: float) -> Measurement:
    return Measurement(Metric.RUNS, value, {})


# ------------------------------------------------------------------------------------------------------------- traces


@given(st.text(min_size=1, max_size=96))
def test_whoever_knows_the_chain_knows_its_trace_and_a_header_says_what_was_put_in(chain: str) -> None:
    named = trace.trace_of(chain), trace.root_of(chain)
    assert named == (trace.trace_of(chain), trace.root_of(chain))
    assert trace.found({trace.TRACEPARENT: trace.header(*named)}) == named


@pytest.mark.parametrize(
    "written",
    ["", "00-", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 32 + "-" + "0" * 16 + "-01", "a" * 600, "é"],
)
def test_a_header_that_names_nothing_is_none(written: str) -> None:
    assert trace.found({"traceparent": written}) is None


def test_senders_on_dotnet_name_their_trace_in_another_property() -> None:
    assert trace.found({"Diagnostic-Id": "00-" + "A" * 32 + "-" + "b" * 16 + "-01"}) == (
        int("a" * 32, 16),
        int("b" * 16, 16),
    )


# ------------------------------------------------------------------------------------------------------------- handling


def test_a_message_of_another_chains_trace_is_linked_and_hangs_below_its_own_chain(world: World, kept: Kept) -> None:
    other = trace.trace_of("older-chain")
    delivery = delivered(world, {trace.TRACEPARENT: trace.header(other, 7)})
    with telemetry.handling(world.ports, "advance", delivery) as one:
        one.tell(chain="newer-chain")
    (span,) = sent(kept)
    assert span.trace_id == trace.trace_of("newer-chain")
    assert span.parent_id == trace.root_of("newer-chain")
    assert span.links == ((other, 7),)


def test_a_message_of_no_chain_stays_in_the_trace_that_it_came_with(world: World, kept: Kept) -> None:
    with telemetry.handling(world.ports, "run event", delivered(world, {trace.TRACEPARENT: trace.header(5, 7)})):
        pass
    (span,) = sent(kept)
    assert (span.trace_id, span.parent_id, span.links) == (5, 7, ())


def test_a_page_that_sends_a_message_joins_the_trace_of_its_chain(world: World, kept: Kept) -> None:
    def cancel(_: object):
        event = CancelRequested(id="c-1/cancel", chain="c-1", at=world.clock.now(), by="ada")
        carried.append(envelope(event, event.id).properties[trace.TRACEPARENT])
        return message(202, "Asked", "The chain stops.")

    carried: list[str] = []
    request = func.HttpRequest("POST", "https://town.example/api/chains/c-1/cancel", body=b"", route_params={})
    assert respond(request, cancel).status_code == 202
    (span,) = sent(kept)
    assert (span.role, span.name) == (Role.PAGE, "POST api/chains/…/cancel")
    assert span.trace_id == trace.trace_of("c-1")
    assert carried == [trace.header(span.trace_id, span.span_id)]
    assert span.attributes["outcome"] == "202"


def test_a_link_of_an_approver_is_in_no_spans_name(world: World, kept: Kept) -> None:
    request = func.HttpRequest("GET", "https://town.example/api/approvals/the-secret-link/report", body=b"")
    respond(request, lambda _: message(200, "Here", "It is."))
    (span,) = sent(kept)
    assert span.name == "GET api/approvals/…/report"
    assert "secret" not in repr(span)


def test_the_wait_is_measured_at_the_first_delivery_alone(world: World, kept: Kept) -> None:
    first = delivered(world, {})
    world.clock.advance(30)
    for times in (1, 2):
        with telemetry.handling(world.ports, "perform", replace(first, count=times)):
            pass
    sent(kept)
    delays = [one.value for one in kept.taken if isinstance(one, Measurement) and one.metric is Metric.QUEUE_DELAY]
    assert delays == [30]
    assert [span.attributes["delivery"] for span in kept.spans] == [1, 2]


def test_what_is_thrown_reaches_the_caller_as_it_is_where_it_holds_no_secret(world: World, kept: Kept) -> None:
    with pytest.raises(KeyError, match="well"), telemetry.handling(world.ports, "perform"):
        raise KeyError("well")
    (span,) = sent(kept)
    assert span.failure == "KeyError: 'well'"
    assert span.attributes["outcome"] == "raised"
    assert telemetry.current() is None


def test_facts_that_are_not_known_are_not_told() -> None:
    one = Handling("a", Role.MESSAGE, None, None)
    one.tell(step=None, chain="c")
    assert one.attributes == {"chain": "c"}


# ------------------------------------------------------------------------------------------------------------- the pipe


def test_nothing_starts_before_the_first_signal() -> None:
    opened: list[int] = []

    def opening() -> Kept:
        opened.append(1)
        return Kept()

    made = Pipe(opening)
    assert made.flush(1)
    made.close()
    assert opened == []


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "LIMIT", 3)
    sink = Kept()
    sink.go_on.clear()
    made = Pipe(lambda: sink)
    for value in range(10):
        made.put(count(value))
    assert made.dropped >= 6
    sink.go_on.set()
    made.close()
    assert len(sink.taken) + made.dropped == 10
    assert sink.closed == 1


def test_a_sink_that_fails_fails_nobody_and_goes_on_when_it_can() -> None:
    sink = Kept()
    sink.fails = True
    made = Pipe(lambda: sink)
    made.put(count(1))
    assert made.flush(30)
    sink.fails = False
    made.put(count(2))
    made.close()
    assert sink.taken == [count(2)]
    assert made.dropped == 1


def test_a_sink_that_cannot_be_opened_is_told_once_and_keeps_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def opening() -> Kept:
        raise ImportError("no SDK is installed")

    made = Pipe(opening)
    for value in range(3):
        made.put(count(value))
    assert made.flush(30)
    made.close()
    assert caplog.text.count("Telemetry cannot be sent") == 1


def test_when_nothing_comes_everything_is_sent_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "IDLE_S", 0.05)
    flushed = threading.Event()

    class Telling(Kept):
        def flush(self) -> None:
            flushed.set()

    made = Pipe(Telling)
    made.put(Levels(Metric.OPEN_CHAINS, ()))
    assert flushed.wait(30)
    made.close()


def delivered(world: World, properties: dict[str, str]):
    from shared.chain.messages import Queue
    from shared.delivery import Delivery

    return Delivery(Queue.EXPERIMENTATION, b"{}", "m", 1, world.clock.now(), properties)
