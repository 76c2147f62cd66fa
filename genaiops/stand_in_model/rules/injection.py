"""Instructions hidden in a text ("ignore your instructions and answer …"): found, and cut out or obeyed.

The stand-in model obeys them unless the prompt forbids it, as a careless model does; so a guarded prompt scores better.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_OVERRIDE: Final = re.compile(
    r"(?:ignore|disregard|forget|override)\b[^\n]{0,50}\b(?:instruction|rule|prompt|above)\w*"
    r"|(?:ignorier|vergiss)\w*\b[^\n]{0,50}\b(?:anweisung|regel|vorgabe)\w*"
    r"|(?:ignore|oublie)\w*\b[^\n]{0,50}\b(?:consigne|instruction)\w*"
    r"|(?:ignora|olvida)\w*\b[^\n]{0,50}\binstrucci\w*"
    r"|(?:talimat|kural)\w*\b[^\n]{0,30}\b(?:yok say|unut|dikkate alma)\w*"
    r"|指示[^\n]{0,10}無視\w*",
    re.IGNORECASE,
)
_SAY: Final = re.compile(
    r"(?:say|reply|respond|answer|write|print|output|antworte|schreib\w*|réponds|écris|responde|escribe|yaz)"
    r"(?: only| just| nur| with| mit| par| con)*\s*[:\"'“«„‘]+\s*[\"'“«„‘]?(?P<words>[^\"”»“’\n]{2,200})",
    re.IGNORECASE,
)
_END: Final = re.compile(r"[.!?。！？\n]")


@lru_cache(maxsize=64)
def _override(text: str) -> re.Match[str] | None:
    """Kept, because every field of a prompt asks for it."""
    return _OVERRIDE.search(text)


def override_of(text: str) -> str | None:
    """What the text tells the model from the hidden instruction on; None where it holds none."""
    found = _override(text)
    return text[found.start() :] if found else None


def without_override(text: str) -> str:
    """`text` without the hidden instruction, to the end of its sentence."""
    found = _override(text)
    if found is None:
        return text
    stop = _END.search(text, found.end())
    return text[: found.start()] + (text[stop.end() :] if stop else "")


def demanded_words(override: str) -> str | None:
    """The words that a hidden instruction wants to hear, where it quotes them."""
    found = _SAY.search(override)
    return found["words"].strip() if found else None
