"""The split and the statistics behind the router, by themselves."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.local.endpoints.split import SmoothSplit
from shared.adapters.local.endpoints.statistics import Counts, Statistics

weights = st.lists(st.integers(1, 100), min_size=1, max_size=6).map(
    lambda shares: {f"v{number}": share for number, share in enumerate(shares)}
)


@given(weights)
def test_over_a_whole_period_every_deployment_gets_exactly_its_share(traffic: dict[str, int]) -> None:
    split = SmoothSplit()
    period = sum(traffic.values())
    assert Counter(split.pick(traffic, traffic) for _ in range(period)) == traffic
    assert Counter(split.pick(traffic, traffic) for _ in range(period)) == traffic


def test_the_smaller_share_comes_in_between_not_at_the_end() -> None:
    split = SmoothSplit()
    traffic = {"old": 80, "new": 20}
    assert [split.pick(traffic, traffic) for _ in range(10)].count("new") == 2
    assert "new" in [split.pick(traffic, traffic) for _ in range(5)]


def test_one_that_is_away_loses_its_turns_and_takes_them_up_again() -> None:
    split = SmoothSplit()
    traffic = {"old": 90, "new": 10}
    assert {split.pick(traffic, {"new": 10}) for _ in range(7)} == {"new"}
    assert Counter(split.pick(traffic, traffic) for _ in range(10)) == {"old": 9, "new": 1}


def test_a_change_of_traffic_starts_a_new_period() -> None:
    split = SmoothSplit()
    for _ in range(4):
        split.pick({"old": 90, "new": 10}, {"old": 90, "new": 10})
    turned = {"old": 10, "new": 90}
    assert Counter(split.pick(turned, turned) for _ in range(10)) == turned_shares(turned)


def turned_shares(traffic: dict[str, int]) -> dict[str, int]:
    return {name: share // 10 for name, share in traffic.items()}


@given(st.lists(st.floats(0.2, 300_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1.0]))
def test_percentiles_are_within_two_and_a_half_percent(latencies: list[float], share: float) -> None:
    statistics = Statistics()
    for latency in latencies:
        statistics.answered(latency, error=False)
    exact = sorted(latencies)[max(1, math.ceil(share * len(latencies))) - 1]
    assert statistics.counts().percentile(share) == pytest.approx(exact, rel=0.026, abs=0.011)


def test_without_an_answer_there_is_no_latency() -> None:
    statistics = Statistics()
    statistics.unanswered()
    counts = statistics.counts()
    assert (counts.requests, counts.errors, counts.percentile(0.5)) == (1, 1, None)


def test_statistics_go_on_from_what_was_stored() -> None:
    statistics = Statistics()
    statistics.answered(20, error=False)
    statistics.answered(30, error=True)
    stored = Counts.model_validate_json(statistics.counts().model_dump_json())
    later = Statistics(stored)
    later.answered(40, error=False)
    assert (later.counts().requests, later.counts().errors) == (3, 1)
    assert sum(later.counts().latency.values()) == 3
