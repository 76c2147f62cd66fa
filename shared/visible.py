"""Text of users, flows and models made harmless to look at: what would hide, reorder or run becomes visible.

Pages, terminals and logs show the same sign for the same character.
"""

from __future__ import annotations

import re
from typing import Final

# Control characters, and those that reorder or hide text: a model could make an output read as its opposite.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every character that would hide or reorder it written out."""
    return _INVISIBLE.sub(lambda found: f"‹U+{ord(found[0]):04X}›", text)


def for_terminal(text: str) -> str:
    """As `visible`, for a terminal, on which a carriage return alone lets a text overwrite what stands before it."""
    return visible(text.replace("\r\n", "\n")).replace("\r", "‹U+000D›")


def in_json(text: str) -> str:
    """JSON with those characters escaped in JSON's own way: it means the same."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
