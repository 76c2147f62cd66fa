"""Numbers in a problem told in words: their values, what they count, and what is said of them in their clause."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SMALL: Final = (
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen",
)  # fmt: skip
_WORDS: Final = {
    **{word: value for value, word in enumerate(_SMALL, start=2)},
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "hundred": 100,
    "dozen": 12,
    "a dozen": 12,
}
_LEADING_ZEROS: Final = re.compile(r"^0+(?=\d)")  # Python takes none
_DIGITS: Final = r"\d{1,3}(?:,\d{3}){1,4}(?!\d)|\d{1,15}(?!\d)(?:\.\d{1,15})?"
_QUANTITY: Final = re.compile(
    rf"(?<![\w/.])(?P<sign>[€$£] ?)?(?:(?P<digits>{_DIGITS})|\b(?P<word>a dozen|"
    + "|".join(sorted((w for w in _WORDS if " " not in w), key=len, reverse=True))
    + r")\b)(?P<percent> ?%| percent\b)?(?P<rest>[ -][a-z]+)?",
    re.IGNORECASE,
)
_ASIDE: Final = re.compile(
    r"\b(?:bus|room|number|page|flat|line) \d+\b|\b(?:in|since) (?:19|20)\d\d\b|\b\d+ years? old\b|\bat \d+ o'clock\b"
    r"|\bat \d+ [A-Z]\w+ (?:street|road|avenue)\b",
    re.IGNORECASE,
)
"""Numbers that name something, or tell an age or a time."""
_SENTENCE: Final = re.compile(r"(?<=[.!?;])[\"')]?\s+(?=[A-Z\"'(<\d]|$)")
_CLAUSE: Final = re.compile(r",? and then |, and |, but |, then |, (?=\w+ (?:lies|drops|rises)\b)| and (?=\w+s \d)")
_UNITS: Final = {
    "minute": ("time", 1.0),
    "hour": ("time", 60.0),
    "day": ("days", 1.0),
    "week": ("days", 7.0),
    "gram": ("weight", 0.001),
    "kilogram": ("weight", 1.0),
    "metre": ("length", 0.001),
    "km": ("length", 1.0),
    "cent": ("money", 0.01),
    "euro": ("money", 1.0),
}


@dataclass(frozen=True)
class Quantity:
    """One number with what it counts."""

    code: str
    """The number as Python writes it."""
    unit: str
    """The word behind it, in the singular; empty where there is none."""
    percent: bool = False


def sentences(problem: str) -> list[str]:
    """The problem's sentences, each on one line."""
    return [part.strip() for part in _SENTENCE.split(" ".join(problem.split())) if part.strip()]


def clauses(sentence: str) -> list[str]:
    """What a sentence says one after the other."""
    return [part for part in _CLAUSE.split(sentence) if part]


def quantities(clause: str, *, without_asides: bool) -> list[Quantity]:
    """The numbers of a clause; `without_asides` leaves out those that only name something, or tell an age or a time."""
    text = _ASIDE.sub(" ", clause) if without_asides else clause
    found: list[Quantity] = []
    for match in _QUANTITY.finditer(text):
        code = (
            _LEADING_ZEROS.sub("", match["digits"].replace(",", ""))
            if match["digits"]
            else str(_WORDS[match["word"].lower()])
        )
        unit = singular((match["rest"] or "").strip(" -").lower())
        if unit == "dozen":
            code, unit = f"{code} * 12", ""
        if match["word"] and match["word"].lower() == "dozen" and found and found[-1].code.endswith("* 12"):
            continue  # `two dozen` has been read as one number
        found.append(Quantity(code, "euro" if match["sign"] else unit, bool(match["percent"])))
    return found


def singular(word: str) -> str:
    """A unit as the table knows it."""
    for name in _UNITS:
        if word in (name, name + "s"):
            return name
    return {"kilo": "kilogram", "kg": "kilogram", "kilometres": "km", "kilometre": "km", "g": "gram"}.get(word, word)


def factor(unit: str, wanted: str) -> float | None:
    """What turns a number of `unit` into one of `wanted`; None where they measure different things, or are the same."""
    if unit == wanted or unit not in _UNITS or wanted not in _UNITS or _UNITS[unit][0] != _UNITS[wanted][0]:
        return None
    return _UNITS[unit][1] / _UNITS[wanted][1]


def is_unit(word: str) -> bool:
    """Whether it is a unit that others can be turned into."""
    return word in _UNITS
