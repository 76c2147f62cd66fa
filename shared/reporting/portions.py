"""How much of a long table a page shows: what matters most open, more of it folded, the rest in the CSV files. Pure.

A chain may have tens of thousands of runs; a page that listed them all could not be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

OPEN: Final = 30
"""Rows that are open."""
MOST: Final = 300
"""Rows in all."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Portion(Generic[Row]):
    """What a page shows of a table's rows."""

    open: tuple[Row, ...]
    folded: tuple[Row, ...]
    left_out: int
    """How many more there are: none of them is on the page."""


def portion(
    rows: Sequence[Row], matters: Callable[[Row], bool] = lambda _: False, *, opened: int = OPEN, most: int = MOST
) -> Portion[Row]:
    """The rows in their order, those that matter first in line for a place."""
    ranked = sorted(range(len(rows)), key=lambda index: (not matters(rows[index]), index))
    first, then = sorted(ranked[:opened]), sorted(ranked[opened:most])
    return Portion(
        open=tuple(rows[index] for index in first),
        folded=tuple(rows[index] for index in then),
        left_out=max(0, len(rows) - most),
    )
