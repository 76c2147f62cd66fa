"""Compares one ticket's labels with the ground truth."""

from __future__ import annotations

from typing import TypedDict

from promptflow.core import tool


class Comparison(TypedDict):
    category: str
    expected_category: str
    category_correct: float
    urgency_correct: float


@tool
def compare(category: str, urgency: str, expected_category: str, expected_urgency: str) -> Comparison:
    """1.0 where the label is the expected one, else 0.0; case and outer spaces do not count."""
    found, expected = _plain(category), _plain(expected_category)
    return {
        "category": found,
        "expected_category": expected,
        "category_correct": float(found == expected),
        "urgency_correct": float(_plain(urgency) == _plain(expected_urgency)),
    }


def _plain(label: str) -> str:
    return str(label).strip().lower()
