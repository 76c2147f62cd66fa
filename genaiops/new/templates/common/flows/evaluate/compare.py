"""Scores one line."""

from __future__ import annotations

from promptflow.core import tool


@tool
def compare(category: str, expected: str) -> float:
    """1.0 where the category is the expected one, else 0.0; case and outer spaces do not count."""
    return float(str(category).strip().lower() == str(expected).strip().lower())
