"""Strategies: every combination, or those that are listed; a selection takes what it names and nothing else."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BusinessFailure
from shared.experimentation.choices import choices
from shared.use_case.flow_model import FlowFacts, NodeSpec
from shared.use_case.model import ListedChoice, Strategy

NAMES = st.lists(st.text("abcXYZ", min_size=1, max_size=3), min_size=1, max_size=4, unique=True)
VALUES = st.lists(st.one_of(st.integers(0, 9), st.booleans(), st.text("ab", max_size=2)), min_size=1, max_size=3)


def flow(**variants: list[str]) -> FlowFacts:
    node = NodeSpec(type="llm", inputs={}, takes=None, connections=(), aggregation=False)
    return FlowFacts(
        inputs={},
        outputs=(),
        nodes={name: dict.fromkeys(offered, node) for name, offered in variants.items()},
        default_variants={name: offered[-1] for name, offered in variants.items()},
    )


def different(values: list[object]) -> tuple[object, ...]:
    return tuple(v for i, v in enumerate(values) if all((v, type(v)) != (w, type(w)) for w in values[:i]))


def labels(facts: FlowFacts, parameters: dict[str, tuple[object, ...]], selection: str) -> list[str]:
    return [choice.label for choice in choices(facts, parameters, selection, Strategy.PRODUCT)]


@given(st.dictionaries(st.sampled_from(["n", "m"]), NAMES), st.dictionaries(st.sampled_from(["n.t", "init.k"]), VALUES))
def test_a_product_is_every_combination_once_with_the_default_first(
    offered: dict[str, list[str]], values: dict[str, list[object]]
) -> None:
    facts = flow(**offered)
    parameters = {key: different(found) for key, found in values.items()}
    found = choices(facts, parameters, "*", Strategy.PRODUCT)

    every = list(itertools.product(*offered.values(), *parameters.values()))
    made = [(*c.variants.values(), *c.parameters.values()) for c in found]
    assert sorted(map(repr, made)) == sorted(map(repr, every))
    assert found[0].is_default
    assert [c.is_default for c in found].count(True) == 1
    assert len({c.label for c in found}) == len(found)
    for choice in found:
        assert choice in choices(facts, parameters, choice.label, Strategy.PRODUCT)


def test_a_selection_of_a_product_takes_every_combination_with_what_it_names() -> None:
    facts, parameters = flow(a=["x", "y"], b=["p", "q"]), {"a.t": (0, 1)}
    assert len(labels(facts, parameters, "*")) == 8
    assert labels(facts, parameters, "a.x") == ["a.x", "a.x + a.t=1", "a.x + b.p", "a.x + b.p + a.t=1"]
    assert labels(facts, parameters, "a.x + b.p") == ["a.x + b.p"]
    assert labels(facts, parameters, "defaults") == ["default"]
    assert labels(facts, parameters, "default,a.x + b.p") == ["default", "a.x + b.p"]


def test_too_large_a_product_is_refused_with_its_size_before_it_is_made() -> None:
    parameters = {f"n.p{number}": tuple(range(100)) for number in range(8)}
    with pytest.raises(BusinessFailure, match=r"makes 10,000,000,000,000,000 combinations.*Vary less"):
        choices(flow(), parameters, "*", Strategy.PRODUCT)


LISTED = (
    ListedChoice("cold", {"a": "x"}, {"a.t": 0.1}),
    ListedChoice(None, {}, {"a.t": 1}),
    ListedChoice("as it is"),
)


def test_a_list_runs_its_combinations_and_no_others() -> None:
    found = choices(flow(a=["x", "y"]), {"a.t": (0, 1)}, "*", Strategy.LIST, LISTED)
    assert [(c.label, dict(c.variants), dict(c.parameters), c.is_default) for c in found] == [
        ("cold", {"a": "x"}, {"a.t": 0.1}, False),
        ("a.t=1", {"a": "y"}, {"a.t": 1}, False),
        ("as it is", {"a": "y"}, {"a.t": 0}, True),
    ]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("cold", ["cold"]),
        ("a.x", ["cold"]),
        ("a.x + a.t=0.1", ["cold"]),
        ("y", ["a.t=1", "as it is"]),
        ("as it is,cold", ["cold", "as it is"]),
        ("defaults", ["default"]),
    ],
)
def test_a_selection_of_a_list_goes_by_name_or_by_what_is_in_it(selection: str, expected: list[str]) -> None:
    found = choices(flow(a=["x", "y"]), {"a.t": (0, 1)}, selection, Strategy.LIST, LISTED)
    assert [choice.label for choice in found] == expected


def test_names_are_case_sensitive() -> None:
    facts = flow(n=["Terse", "terse"])
    assert [c.label for c in choices(facts, {}, "Terse")] == ["n.Terse"]
    with pytest.raises(BusinessFailure, match=r"'TERSE' is no variant"):
        choices(facts, {}, "TERSE")


def test_choices_that_read_alike_have_labels_of_their_own() -> None:
    """Their results would be taken for repetitions of one."""
    facts, parameters = flow(a=["b=c", "x"]), {"a.b": ("z", "c")}
    found = choices(facts, parameters, "*")
    assert [c.label[:6] for c in found] == ["defaul", "a.b=c", "a.b=c…"]
    assert [choices(facts, parameters, c.label) for c in found[2:]] == [(found[2],)]

    product = choices(flow(), {"p": ("x", "v", "v + q=1"), "q": (0, 1)}, "*", Strategy.PRODUCT)
    assert len({c.label for c in product}) == len(product) == 6


def test_a_name_with_a_comma_can_be_selected_by_itself() -> None:
    facts = flow(a=["short, sweet", "x"])
    assert [c.label for c in choices(facts, {}, "short, sweet")] == ["a.short, sweet"]
    assert [c.label for c in choices(facts, {}, " a.short, sweet ")] == ["a.short, sweet"]


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ((ListedChoice("a", {"n": "x"}), ListedChoice("a")), "two combinations named 'a'"),
        ((ListedChoice("a", {"n": "x"}), ListedChoice("b", {"n": "x"})), "one combination twice, as 'a' and 'b'"),
        ((ListedChoice("default", {"n": "x"}),), "named|names a combination 'default'"),
    ],
)
def test_a_list_that_means_one_thing_twice_is_refused(listed: tuple[ListedChoice, ...], says: str) -> None:
    with pytest.raises(BusinessFailure, match=says):
        choices(flow(n=["x", "y"]), {}, "*", Strategy.LIST, listed)
