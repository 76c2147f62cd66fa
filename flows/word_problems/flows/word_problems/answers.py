"""Reads what came back: the program in what the model said, and the number in what the program printed."""

from __future__ import annotations

import re
from decimal import Decimal

READ = 20_000  # characters of an answer that are looked at
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_CODE = re.compile(r"^\s*(?:\w+\s*=|print\s*\(|import |from |for |while |def |assert |#)", re.MULTILINE)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")


def program_in(said: str) -> str:
    """The first fenced block, else the whole text if it looks like a program; empty where there is none."""
    fenced = _FENCE.search(said[:READ])
    if fenced:
        return fenced[1].strip()
    return said[:READ].strip() if _CODE.search(said[:READ]) and "print" in said else ""


def number_in(printed: str) -> str:
    """The last number on the last line that has one, without separators and trailing zeros; empty if there is none."""
    for line in reversed(printed.splitlines()):
        found = _NUMBER.findall(line)
        if found:
            value = Decimal(found[-1].replace(",", ""))
            return format(value.normalize() + 0, "f") if abs(value.adjusted()) < 40 else ""
    return ""
