"""How traffic is split between the new deployment and the former one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.deployment.traffic import shifted


def test_the_first_deployment_gets_everything_whatever_was_asked():
    assert shifted({}, "v1", 10) == {"v1": 100}
    assert shifted({"v1": 0}, "v2", 10) == {"v2": 100}


def test_the_new_deployment_gets_its_share_beside_the_former_one():
    assert shifted({"v1": 100}, "v2", 10) == {"v1": 90, "v2": 10}


def test_of_several_the_one_with_the_most_traffic_is_the_former_one():
    assert shifted({"v1": 10, "v2": 90}, "v3", 20) == {"v2": 80, "v3": 20}


def test_a_repeated_shift_changes_nothing():
    once = shifted({"v1": 100}, "v2", 10)
    assert shifted(once, "v2", 10) == once


@given(
    st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.integers(0, 100)),
    st.sampled_from(["v1", "v2", "v4"]),
    st.integers(0, 100),
)
def test_every_split_sums_to_a_hundred_and_names_at_most_two(before, new, percent):
    split = shifted(before, new, percent)
    assert sum(split.values()) == 100
    assert new in split
    assert len(split) <= 2
