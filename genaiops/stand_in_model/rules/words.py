"""Content words: what two texts must share to speak of the same thing, as far as a simple model can tell."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from genaiops.stand_in_model.rules.languages import lowered

_WORD: Final = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")
_STOP_WORDS: Final = {
    "en": "a an and any are as at be been but by can could did do does for from get gets had has have how i if "
    "in into is it its me my may must no not of on one or our out shall she should so than that the their "
    "them then there they this to up us was we were what when where which who whom whose why will with "
    "would you your many much long often",
    "de": "der die das den dem des ein eine einen und oder ist sind in im am an auf für mit von zu bei wie was "
    "wann wo wer wird werden ich wir sie es man nicht nur viel viele lange kann darf muss",
    "fr": "le la les l un une des du de et ou est sont à au aux en dans pour par sur que qui quel quelle quels "
    "quelles quand combien où je nous vous il elle se ne pas",
    "es": "el los una y o es son en al con por para qué cuál cuándo cómo dónde cuántos cuántas yo me mi se no",
    "nl": "het een van op met voor hoe wat wanneer waar ik wij niet",
}
_STOP: Final = frozenset(word for words in _STOP_WORDS.values() for word in words.split())
_ENDINGS: Final = ("ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "en", "s", "e", "y")
SHORTEST_STEM: Final = 3


@lru_cache(maxsize=4_096)
def stem(word: str) -> str:
    """The word without its ending: `carried`, `carries` and `carry` are one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST_STEM and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def content_words(text: str) -> list[str]:
    """The stems of the words that carry meaning, in their order, with numbers as they stand."""
    return [stem(word) for word in _WORD.findall(lowered(text)) if word not in _STOP]
