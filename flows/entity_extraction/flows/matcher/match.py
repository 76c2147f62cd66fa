"""Compares the entities that were found in one text with the expected ones."""

from __future__ import annotations

from typing import List, TypedDict

from promptflow.core import tool


class Match(TypedDict):
    entity_type: str
    hits: int
    found: int
    expected: int
    exact_match: float
    precision: float
    recall: float
    f1: float


@tool
def match(entities: List[str], expected: List[str], entity_type: str) -> Match:
    """Counts and scores of one text. Case, order, repetition and the width of spaces do not count.

    Where nothing is expected, finding nothing is right (1.0 throughout) and finding anything is wrong (0.0 throughout).
    """
    found, truth = _plain(entities), _plain(expected)
    hits = len(found & truth)
    agreed = not found and not truth
    precision = hits / len(found) if found else float(agreed)
    recall = hits / len(truth) if truth else float(agreed)
    return {
        "entity_type": entity_type,
        "hits": hits,
        "found": len(found),
        "expected": len(truth),
        "exact_match": float(found == truth),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    }


def _plain(entities: List[str]) -> set:
    return {" ".join(str(entity).split()).casefold() for entity in entities or []} - {""}
