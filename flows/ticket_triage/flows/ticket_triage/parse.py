"""Reads category and urgency from what the model said, whatever it said."""

from __future__ import annotations

import json
import re
from typing import Optional, TypedDict

from promptflow.core import tool

CATEGORIES = ("billing", "technical", "account", "delivery", "feedback", "other")
URGENCIES = ("low", "normal", "high")
READ = 20_000  # characters of the answer that are looked at: labels stand at the start


class Labels(TypedDict):
    category: str
    urgency: str


@tool
def parse(classification: Optional[str]) -> Labels:
    """Take the first JSON object that has labels, else `key: value` lines, else any label's name; else the defaults."""
    text = (classification or "")[:READ]
    found = _first_object(text)
    return {
        "category": _label("category", found, text, CATEGORIES, "other"),
        "urgency": _label("urgency", found, text, URGENCIES, "normal"),
    }


def _first_object(text: str) -> dict:
    decoder = json.JSONDecoder()
    for start in [match.start() for match in re.finditer(r"\{", text)][:50]:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and ("category" in value or "urgency" in value):
            return value
    return {}


def _label(key: str, found: dict, text: str, allowed: tuple, default: str) -> str:
    given = str(found.get(key, "")).strip().lower()
    if given in allowed:
        return given
    names = "|".join(allowed)
    line = re.search(rf"\b{key}\b\W{{0,10}}({names})\b", text, re.IGNORECASE) or re.search(
        rf"\b({names})\b", text, re.IGNORECASE
    )
    return line[1].lower() if line else default
