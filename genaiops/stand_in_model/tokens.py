"""Token counts of the stand-in model: a fixed approximation, so that equal texts always cost the same.

The rules: a run of ASCII letters or digits costs one token per started six characters, a run of other alphabetic
letters one per started three, an ideograph or kana one each, and every other visible character and line break one each.
A message adds four tokens and the answer's start three, as chat formats do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

PER_MESSAGE: Final = 4
ANSWER_START: Final = 3

_WIDE: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_PIECE: Final = re.compile(
    rf"(?P<ascii>[A-Za-z0-9]+)|(?P<wide>[{_WIDE}])|(?P<word>[^\W{_WIDE}A-Za-z0-9_]+)|(?P<mark>\n|\S)"
)


@lru_cache(maxsize=64)
def count(text: str) -> int:
    """Tokens of `text`."""
    return sum(map(_cost, _PIECE.finditer(text)))


def count_messages(contents: Iterable[str]) -> int:
    """Tokens of a prompt: the contents of its messages, and what the chat format adds."""
    return sum(count(content) + PER_MESSAGE for content in contents) + ANSWER_START


def cut(text: str, limit: int) -> tuple[str, bool]:
    """The longest start of `text` that costs at most `limit` tokens, and whether anything was cut off."""
    spent = 0
    for found in _PIECE.finditer(text):
        spent += _cost(found)
        if spent > limit:
            return text[: found.start()].rstrip(), True
    return text, False


def _cost(found: re.Match[str]) -> int:
    if found["ascii"]:
        return -(-len(found["ascii"]) // 6)
    if found["word"]:
        return -(-len(found[0]) // 3)
    return 1
