"""How deep JSON values may lie in each other: what is read, and what flows return, is held to one limit.

Parsers, validators and writers give up at depths of their own, by raising RecursionError or by refusing a whole run. A
limit far below theirs is checked where values come in, so that nothing behind it needs to expect that.
"""

from __future__ import annotations

from typing import Final

DEEPEST: Final = 100
"""Levels of lists and objects in one value."""


def is_deeper(value: object, levels: int = DEEPEST) -> bool:
    """Whether lists and objects of a JSON value lie in each other more than `levels` deep; without recursion."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)
