"""Which inputs are equal: those that a flow could not tell apart, after they were stored and read again as well."""

from __future__ import annotations

import json
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from shared.experimentation.reuse import input_key
from shared.results import LineRecord, LineStatus

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_inputs_have_the_key_that_they_had_before_they_were_stored(inputs: dict[str, object]) -> None:
    record = LineRecord(line=0, status=LineStatus.COMPLETED, inputs=inputs)
    stored = json.loads(record.model_dump_json())["inputs"]
    assert input_key(stored) == input_key(inputs)
    assert input_key(LineRecord.model_validate_json(record.model_dump_json()).inputs) == input_key(inputs)


def test_values_that_a_flow_can_tell_apart_are_not_equal() -> None:
    values = [
        1,
        1.0,
        True,
        "1",
        0,
        -0.0,
        None,
        "",
        "null",
        "é",
        "e\u0301",
        [],
        [1],
        {},
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
    ]
    for one, other in combinations(values, 2):
        assert input_key({"x": one}) != input_key({"x": other}), (one, other)
    assert input_key({"x": 1}) != input_key({"y": 1})
    assert input_key({"x": 1}) != input_key({"x": 1, "y": None})


def test_the_order_in_which_inputs_are_mapped_does_not_count() -> None:
    assert input_key({"x": 1, "y": [2]}) == input_key({"y": [2], "x": 1})
