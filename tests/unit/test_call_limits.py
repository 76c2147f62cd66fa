"""Calls of models in flight: who may call, who waits, and what a worker's end gives back."""

from __future__ import annotations

import pytest

from shared.adapters.local.flow_runner.latencies import Latencies
from shared.adapters.local.flow_runner.limits import CallLimits

MODEL, OTHER = "https://model.example.com", "https://other.example.com"


class Caller:
    """A worker that notes which of its calls were let go."""

    def __init__(self) -> None:
        self.gone: list[int] = []

    def go(self, ticket: int) -> None:
        self.gone.append(ticket)


def test_calls_beyond_the_limit_wait_and_go_in_the_order_of_their_coming() -> None:
    limits, one, two = CallLimits(2), Caller(), Caller()
    for ticket in (1, 2, 3):
        limits.ask(one, ticket, MODEL)
    limits.ask(two, 1, MODEL)
    limits.ask(one, 4, MODEL)
    assert (one.gone, two.gone) == ([1, 2], [])

    limits.back(one, 1)
    limits.back(one, 2)
    assert (one.gone, two.gone) == ([1, 2, 3], [1]), "two's only call does not wait for all of one's"
    limits.back(two, 1)
    assert one.gone == [1, 2, 3, 4]


def test_each_endpoint_has_a_limit_of_its_own() -> None:
    limits, caller = CallLimits(1), Caller()
    for ticket, endpoint in enumerate((MODEL, OTHER, MODEL, OTHER)):
        limits.ask(caller, ticket, endpoint)
    assert caller.gone == [0, 1]
    assert limits.counts() == {MODEL: (1, 1), OTHER: (1, 1)}


def test_who_gives_up_waiting_lets_the_next_one_pass() -> None:
    limits, caller = CallLimits(1), Caller()
    for ticket in (1, 2, 3):
        limits.ask(caller, ticket, MODEL)
    limits.back(caller, 2)
    limits.back(caller, 2)
    limits.back(caller, 1)
    assert caller.gone == [1, 3]
    limits.back(caller, 3)
    assert limits.counts() == {}


def test_the_end_of_a_worker_gives_its_places_to_others() -> None:
    limits, dead, alive = CallLimits(2), Caller(), Caller()
    for ticket in (1, 2, 3):
        limits.ask(dead, ticket, MODEL)
    for ticket in (1, 2, 3):
        limits.ask(alive, ticket, MODEL)

    limits.forget(dead)
    assert (dead.gone, alive.gone) == ([1, 2], [1, 2])
    assert limits.counts() == {MODEL: (2, 1)}
    limits.back(dead, 1)
    assert limits.counts() == {MODEL: (2, 1)}, "what comes late from a dead worker frees nothing"


def test_percentiles_of_few_latencies_are_exact() -> None:
    latencies = Latencies()
    for value in (30.0, 10.0, 0.0, 20.0):
        latencies.add(value)
    found = latencies.percentiles()
    assert (found.p50_ms, found.p95_ms, found.max_ms) == (20.0, 30.0, 30.0)


@pytest.mark.parametrize("count", [1_000, 1_001, 50_000])
def test_percentiles_of_many_latencies_are_within_a_hundredth_in_bounded_memory(count: int) -> None:
    latencies = Latencies()
    values = [0.5 * 1.0002**number for number in range(count)]
    for value in reversed(values):
        latencies.add(value)
    found = latencies.percentiles()
    assert found.p50_ms == pytest.approx(values[count // 2 - 1 + count % 2], rel=0.01, abs=0.06)
    assert found.p95_ms == pytest.approx(values[-(-count * 95 // 100) - 1], rel=0.01, abs=0.06)
    assert found.max_ms == pytest.approx(values[-1], abs=0.06)
    assert len(latencies._counts) < 2_000


def test_where_nothing_was_measured_latencies_are_zero() -> None:
    assert Latencies().percentiles().max_ms == 0.0
