"""What an aggregation needs of a line travels as JSON where that loses nothing."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import date
from enum import StrEnum

import pytest

from shared.adapters.local.engines.kept import has_exact_json, packed, unpacked


class Colour(StrEnum):
    RED = "red"


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [None, True, 1, -0.5, 10**30, "é", [1, [2]], {"a": {"b": [None]}}, "", [], {}, nested(90)]
)
def test_json_gives_back_what_it_can_hold(value):
    kept = {"value": value}
    assert packed(kept) == {"aggregated": kept}
    assert unpacked(json.loads(json.dumps(packed(kept)))) == kept


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1: "a"},
        float("inf"),
        Colour.RED,
        OrderedDict(a=1),
        date(2025, 1, 1),
        {1, 2},
        "half \ud800",
        nested(5000),
    ],
)
def test_what_json_would_change_is_no_json(value):
    assert not has_exact_json(value)


@pytest.mark.parametrize("value", [(1, 2), {1: "a"}, Colour.RED, date(2025, 1, 1), {1, 2}])
def test_other_values_come_back_within_the_run(value):
    order = json.loads(json.dumps(packed({"value": value})))
    assert list(order) == ["kept"]
    assert unpacked(order) == {"value": value}
    assert type(unpacked(order)["value"]) is type(value)


def test_what_has_neither_form_is_refused():
    with pytest.raises(ValueError, match="cannot be passed on to the aggregation"):
        packed({"value": (n for n in range(3))})
