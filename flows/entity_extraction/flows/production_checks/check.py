"""Checks one answer without knowing the right one: a production log has no ground truth."""

from __future__ import annotations

import re
from typing import List, TypedDict

from promptflow.core import tool

LONGEST = 80  # characters of one entity: what is longer is a sentence
SHAPES = {  # what an entity of a type holds at least
    "people": r"[^\W\d_]{2}|[\u3040-\u9fff]",
    "organisations": r"[^\W\d_]{2}|[\u3040-\u9fff]",
    "places": r"[^\W\d_]{2}|[\u3040-\u9fff]",
    "dates": r"\d",
    "amounts": r"\d",
    "product codes": r"\d",
}


class Check(TypedDict):
    entities: int
    shape_ok: float
    duplicate_free: float
    in_text: float
    answered: float


@tool
def check(text: str, entity_type: str, entities: List[str]) -> Check:
    """Scores of one answer, 0.0 to 1.0: the share of its entities that hold, and 1.0 where it has none.

    shape_ok: not empty, one line, no sentence, no markup, and digits where the type needs them. duplicate_free: said
    once (case and spaces do not count). in_text: it occurs in the text. answered: 1.0 if there is any entity.
    """
    plain = [" ".join(str(entity).split()).casefold() for entity in entities or []]
    whole = " ".join(str(text or "").split()).casefold()
    shape = re.compile(SHAPES.get(entity_type.strip().lower(), r"\w"))
    shaped = [
        bool(shape.search(entity)) and len(entity) <= LONGEST and not _is_sentence(entity) and "<" not in entity
        for entity in plain
    ]
    return {
        "entities": len(plain),
        "shape_ok": _share(shaped),
        "duplicate_free": len(set(plain)) / len(plain) if plain else 1.0,
        "in_text": _share([bool(entity) and entity in whole for entity in plain]),
        "answered": float(bool(plain)),
    }


def _is_sentence(entity: str) -> bool:
    return len(entity.split()) > 4 and entity.endswith((".", "!", "?"))


def _share(holds: List[bool]) -> float:
    return sum(holds) / len(holds) if holds else 1.0
