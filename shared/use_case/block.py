"""One part of a YAML file with its place, and the readers of single keys: every mistake becomes a problem with a line.

A reader returns a usable value even after a problem, so that one run finds all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.names import NAME_PATTERN, NAME_RULE
from shared.use_case.problems import Problems, one_of
from shared.use_case.yaml_file import Document


@dataclass(frozen=True)
class Block:
    """A value of a YAML file."""

    document: Document
    path: tuple[str | int, ...]
    value: Any
    problems: Problems
    folder: Path = field(default=Path(), repr=False)
    """The use case folder, for the keys that name files."""

    def problem(self, message: str, *keys: str | int) -> None:
        """Note a problem at this block, or at a key below it."""
        self.problems.add(*self.place(*keys), message)

    def warn(self, message: str, *keys: str | int) -> None:
        """Note what is odd but harmless at this block, or at a key below it."""
        self.problems.warn(*self.place(*keys), message)

    def place(self, *keys: str | int) -> tuple[str, int, str]:
        """File, line and key of this block, or of a key below it, as problems show them."""
        path = (*self.path, *keys)
        key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "file"
        return self.document.file, self.document.line(*path), key

    def child(self, key: str | int) -> Block:
        """The value under a key (None where there is no such key)."""
        inside = self.value.get(key) if isinstance(self.value, dict) else self.value[key]
        return Block(self.document, (*self.path, key), inside, self.problems, self.folder)

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def mapping(self, known: Iterable[str] | None = None) -> Block | None:
        """Give this block if it is a mapping (each key that is not `known` is a problem); else None."""
        if not isinstance(self.value, dict):
            expected = f" with keys such as {', '.join(sorted(known)[:4])}" if known else ""
            self.problem(f"is {self.value!r}; expected a mapping{expected}"[:300])
            return None
        if known is not None:
            allowed = set(known)
            for key in self.value:
                if key not in allowed:
                    # To look for the nearest right key is slow; nobody reads it beyond the listed problems.
                    self.problem("is no known key" if self.problems.full else one_of(key, allowed, "known key"), key)
        return self

    def entries(self) -> list[Block]:
        """The values of a mapping; none for an absent one, with a problem for anything else."""
        if self.value is None or self.mapping() is None:
            return []
        return [self.child(key) for key in self.value]

    def items(self) -> list[Block]:
        """The items of a list; none for an absent one, with a problem for anything else."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            self.problem(f"is {self.value!r}; expected a list (lines that start with `- `)"[:300])
            return []
        return [self.child(index) for index in range(len(self.value))]

    def text(self, key: str, *, required: bool = False, default: str | None = None, most: int = 2_000) -> str | None:
        """A text."""
        value = self.child(key).value
        if value is None:
            if required:
                self.problem(f"the key {key!r} is missing or empty")
            return default
        if not isinstance(value, str) or not value.strip() or len(value) > most:
            self.problem(f"is {str(value)[:80]!r}; expected a text of 1 to {most:,} characters", key)
            return default
        return value

    def name(self, key: str, *, required: bool = True, most: int = 63) -> str:
        """A name; empty after a problem."""
        value = self.text(key, required=required) or ""
        if value and (not re.fullmatch(NAME_PATTERN[1:-1], value) or len(value) > most):
            self.problem(f"{value!r} is not a valid name: a name has {NAME_RULE}", key)
            return ""
        return value

    def number(self, key: str, low: float, high: float = math.inf) -> float | None:
        """A number from `low` to `high`; None where there is none."""
        value = self.child(key).value
        if value is None:
            return None
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or not low <= value <= high:
            limits = "" if low == -math.inf else f" from {low:g}" + ("" if high == math.inf else f" to {high:g}")
            self.problem(f"is {value!r}; expected a number{limits}"[:300], key)
            return None
        return float(value)

    def integer(self, key: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`; None where there is none."""
        value = self.child(key).value
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.problem(f"is {value!r}; expected a whole number from {low:,} to {high:,}"[:300], key)
            return None
        return value

    def flag(self, key: str) -> bool:
        """`true` or `false`; false where there is none."""
        value = self.child(key).value
        if value is not None and not isinstance(value, bool):
            self.problem(f"is {value!r}; expected true or false"[:300], key)
        return value is True

    def texts(self, key: str, most: int = 200) -> tuple[str, ...]:
        """A list of different texts."""
        found: list[str] = []
        for item in self.child(key).items():
            value = item.one_line(most)
            if value is not None and value in found:
                item.problem(f"{value!r} is there twice; remove one")
            elif value is not None:
                found.append(value)
        return tuple(found)

    def one_line(self, most: int = 200) -> str | None:
        """The block's own value, a text in one line; None after a problem."""
        if not isinstance(self.value, str) or not 0 < len(self.value.strip()) <= most:
            self.problem(f"is {str(self.value)[:80]!r}; expected a text of 1 to {most:,} characters")
        elif not self.value.isprintable():
            self.problem(f"is {self.value[:80]!r}; expected a text in one line, without control characters")
        else:
            return self.value
        return None
