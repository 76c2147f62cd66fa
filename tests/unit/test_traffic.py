"""How traffic moves between the new deployment and the former one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.deployment.traffic import returned, shifted

NAMES = st.sampled_from(["v1", "v2", "v3"])


@st.composite
def splits(draw: st.DrawFn) -> dict[str, int]:
    """What an endpoint may have: nothing, or shares that sum to 100."""
    names = draw(st.lists(NAMES, unique=True))
    if not names:
        return {}
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1)))
    shares = [after - before for before, after in zip([0, *cuts], [*cuts, 100], strict=True)]
    return dict(zip(names, shares, strict=True))


def test_the_first_deployment_gets_everything_whatever_was_asked():
    assert shifted({}, "v1", 10) == {"v1": 100}
    assert shifted({"v1": 0}, "v2", 10) == {"v2": 100}


def test_the_new_deployment_gets_its_share_beside_the_former_one():
    assert shifted({"v1": 100}, "v2", 10) == {"v1": 90, "v2": 10}


def test_of_several_the_one_with_the_most_traffic_is_the_former_one():
    assert shifted({"v1": 10, "v2": 90}, "v3", 20) == {"v2": 80, "v3": 20}


def test_deploying_what_already_serves_never_hands_its_share_to_the_other_one():
    assert shifted({"v1": 90, "v2": 10}, "v1", 10) == {"v1": 90, "v2": 10}


def test_a_share_that_was_asked_for_by_name_is_given_even_if_it_is_less():
    assert shifted({"v1": 90, "v2": 10}, "v1", 10, exactly=True) == {"v2": 90, "v1": 10}
    assert shifted({"v1": 90, "v2": 10}, "v2", 100, exactly=True) == {"v1": 0, "v2": 100}


def test_a_rollback_gives_the_share_back_to_the_former_deployment():
    assert returned({"v1": 90, "v2": 10}, "v2", {"v1": 100}) == {"v1": 100}
    assert returned({"v1": 60, "v2": 40}, "v2", {"v1": 90, "v2": 10}) == {"v1": 90, "v2": 10}
    assert returned({"v1": 100}, "v2", {"v1": 100}) == {"v1": 100}


def test_a_rollback_of_a_deployment_that_had_taken_everything_restores_what_was_before():
    assert returned({"v2": 100}, "v2", {"v1": 100}) == {"v1": 100}
    assert returned({"v1": 0, "v2": 100}, "v2", {"v1": 90, "v2": 10}) == {"v1": 90, "v2": 10}


def test_a_rollback_leaves_what_another_chain_has_shifted_since():
    assert returned({"v1": 60, "v2": 10, "v3": 30}, "v2", {"v1": 100}) == {"v1": 70, "v3": 30}


def test_a_rollback_of_the_only_deployment_routes_nothing_unless_it_served_before():
    assert returned({"v1": 100}, "v1", {}) == {}
    assert returned({"v1": 100}, "v1", {"v1": 100}) == {"v1": 100}


@given(splits(), NAMES, st.integers(0, 100), st.booleans())
def test_every_shift_sums_to_a_hundred_and_a_repeat_changes_nothing(before, new, percent, exactly):
    split = shifted(before, new, percent, exactly=exactly)
    assert sum(split.values()) == 100
    assert split.get(new, 0) >= (percent if any(n != new and s for n, s in before.items()) else 100)
    if percent < 100 or not exactly:
        again = shifted(split, new, percent, exactly=exactly)
        assert {n: s for n, s in again.items() if s} == {n: s for n, s in split.items() if s}


@given(splits(), NAMES, st.integers(0, 100))
def test_a_rollback_routes_as_much_as_before_and_undoes_a_shift_between_two(before, new, percent):
    split = returned(shifted(before, new, percent), new, before)
    assert sum(split.values()) == sum(before.values())
    if len([name for name, share in before.items() if name != new and share]) == 1:
        assert split == {n: s for n, s in before.items() if s}
