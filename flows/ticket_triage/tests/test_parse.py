"""The pipelines run this before a chain is asked for: what `parse` makes of a model's answers needs no model."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "flows" / "ticket_triage"))

from parse import parse


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ('{"category": "billing", "urgency": "high"}', ("billing", "high")),
        ('Sure! {"category": "Delivery"} is it.', ("delivery", "normal")),
        ("category: account\nurgency: low", ("account", "low")),
        ("I cannot say.", ("other", "normal")),
        (None, ("other", "normal")),
    ],
)
def test_labels_are_found_in_whatever_the_model_said(answer, labels):
    found = parse(answer)
    assert (found["category"], found["urgency"]) == labels
