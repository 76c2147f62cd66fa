"""Makes a list of entities of what the model said, whatever it said."""

from __future__ import annotations

import json
import re
from typing import List, Optional

from promptflow.core import tool

READ = 20_000  # characters of the answer that are looked at
MOST = 200  # entities of one text
PLACEHOLDERS = {"", "none", "n/a", "null", "nothing", "-", "no entities", "no entities found"}
BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+(.+)$", re.MULTILINE)
QUOTES = "\"'`“”„«»「」 \t\r\n"


@tool
def cleanse(extraction: Optional[str], text: str, only_from_text: bool) -> List[str]:
    """The entities in the answer's order: trimmed, without placeholders, each once (case and spaces do not count).

    With `only_from_text`, an entity that does not occur in the text is left out: the model has made it up, or has said
    a sentence instead.
    """
    found: dict = {}
    for item in _items((extraction or "")[:READ]):
        entity = " ".join(item.split()).strip(QUOTES)
        key = entity.casefold()
        if key not in PLACEHOLDERS and (not only_from_text or key in _plain(text)):
            found.setdefault(key, entity)
    return list(found.values())[:MOST]


def _items(answer: str) -> List[str]:
    """The first JSON list of texts, else the bullets, else the parts between commas or lines."""
    decoder = json.JSONDecoder()
    for start in [match.start() for match in re.finditer(r"\[", answer)][:50]:
        try:
            value, _ = decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            continue
        if all(isinstance(item, (str, int, float)) for item in value):
            return [str(item) for item in value]
    return BULLET.findall(answer) or re.split(r",\s+|[;\n]", answer)


def _plain(text: str) -> str:
    return " ".join((text or "").split()).casefold()
