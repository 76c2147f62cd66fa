"""What is in a dataset: rows, columns, duplicates and the hash that names its content."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from shared.datasets.read import numbered_rows
from shared.digests import file_digest


@dataclass(frozen=True)
class Gap:
    """The first row that lacks a column which other rows have."""

    row: int
    """From 0."""
    line: int
    """From 1, in the file."""


@dataclass(frozen=True)
class DatasetFacts:
    """What is in a dataset."""

    rows: int
    columns: tuple[str, ...]
    """Every column of any row, in the order of their first appearance."""
    duplicates: int
    """Rows that are equal to an earlier one: allowed, but worth knowing."""
    content_hash: str
    """SHA-256 of the file's bytes."""
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    """Columns that not every row has."""

    def gap(self, column: str, rows: int) -> Gap | None:
        """The first of the first `rows` rows that lacks `column`."""
        found = self.gaps.get(column)
        return found if found is not None and found.row < rows else None


def inspect(path: Path, name: str | None = None) -> DatasetFacts:
    """Read a whole dataset once.

    Args:
        path: the file.
        name: its name in errors, whose ending tells the format; None: that of `path`.

    Raises:
        Malformed: as `rows`.
    """
    columns: dict[str, None] = {}
    gaps: dict[str, Gap] = {}
    # Eight bytes a row, sorted at the end: a set of 100,000 digests would take 15 MB. That two different rows of even
    # 10 million have the same eight is one chance in 300,000, and then a note is wrong by one.
    digests = array("Q")
    count = 0
    first_line = 0
    for line, row in numbered_rows(path, name or path.name):
        first_line = first_line or line
        for column in row:
            if column not in columns:
                columns[column] = None
                if count:
                    gaps[column] = Gap(row=0, line=first_line)
        if len(row) < len(columns):
            for column in columns:
                if column not in row:
                    gaps.setdefault(column, Gap(row=count, line=line))
        digests.frombytes(hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=8).digest())
        count += 1
    return DatasetFacts(
        rows=count,
        columns=tuple(columns),
        duplicates=_repeated(digests),
        content_hash=file_digest(path),
        gaps=gaps,
    )


def _repeated(digests: array[int]) -> int:
    """How many are equal to one before them."""
    ordered = sorted(digests)
    return sum(one == other for one, other in pairwise(ordered))


def columns(path: Path, name: str | None = None) -> tuple[str, ...]:
    """The columns of a dataset. Raises Malformed as `rows`."""
    return inspect(path, name).columns
