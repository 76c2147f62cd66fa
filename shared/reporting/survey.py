"""One pass over all lines of a chain: which of them a page shows, what all of them add up to, and their digest.

The pass holds only what the page will show, and of long values only their beginning, so that a dataset of any size can
be reported on.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from shared.pages.words import shortened
from shared.ports import BlobStore
from shared.reporting import facts as reading
from shared.reporting.evidence import canonical
from shared.reporting.facts import CellFacts, Facts, Line
from shared.reporting.tables import line_values
from shared.results import LineRecord

SHOWN_LINES: Final = 500
"""Lines on one page; beyond that, the worst of each cell."""
_SHOWN_CELLS: Final = 100
SHOWN_VALUES: Final = 60
"""Inputs, and outputs, of one line on the page."""
MOST_COLUMNS: Final = 500
"""Own columns of `lines.csv`; where outputs have more names than that, the rest goes into one column as JSON."""


@dataclass(frozen=True)
class CellLines:
    """The lines of one cell."""

    facts: CellFacts
    total: int
    failed: int
    retried: int
    saved_calls: int
    """Model calls that reused lines, of the run and of its evaluations, made when they were run."""
    tokens: int
    """Of all lines, whether they were run or reused."""
    full_score: float | None
    """The highest score of any line."""
    shown: tuple[Line, ...]
    """In line order."""
    outputs: str
    """Digest of all lines' outputs and scores."""

    def below(self, line: Line) -> bool:
        """Whether the line failed or did not reach the full score."""
        if line.failed or any(evaluation.error for evaluation in line.evaluations.values()):
            return True
        return line.score is not None and self.full_score is not None and line.score < self.full_score


@dataclass(frozen=True)
class Survey:
    """What the pass found."""

    cells: tuple[CellLines, ...]
    columns: tuple[str, ...]
    """The lines' own columns for the CSV."""
    more_columns: bool = False
    """Whether lines have values that have no column of their own."""

    @property
    def total(self) -> int:
        """Lines in all."""
        return sum(cell.total for cell in self.cells)

    @property
    def failed(self) -> int:
        """Lines on which the flow failed."""
        return sum(cell.failed for cell in self.cells)

    @property
    def retried(self) -> int:
        """Lines that were tried more than once."""
        return sum(cell.retried for cell in self.cells)

    @property
    def saved_calls(self) -> int:
        """Model calls that were not made, since lines were reused."""
        return sum(cell.saved_calls for cell in self.cells)

    @property
    def shown(self) -> int:
        """Lines on the page."""
        return sum(len(cell.shown) for cell in self.cells)

    @property
    def digests(self) -> Mapping[str, str]:
        """Cell name → digest of its outputs and scores."""
        return {cell.facts.cell.name: cell.outputs for cell in self.cells}


def take(blobs: BlobStore, facts: Facts) -> Survey:
    """Read every line once."""
    expected = sum(cell.run.lines for cell in facts.cells if cell.run)
    everything = expected <= SHOWN_LINES
    # The candidate's and the default's lines come first where not all cells fit.
    order = sorted(
        facts.cells,
        key=lambda c: (c.cell.label != facts.candidate, not c.cell.is_default, c.cell.repetition, c.cell.index),
    )
    chosen = {c.cell.index for c in order[:_SHOWN_CELLS]}
    share = SHOWN_LINES if everything else max(4, SHOWN_LINES // max(1, len(chosen)))
    columns: dict[str, None] = {}
    cells = tuple(_cell(blobs, facts, cell, share if cell.cell.index in chosen else 0, columns) for cell in facts.cells)
    kept = sorted(columns, key=_column_order)
    return Survey(cells=cells, columns=tuple(kept[:MOST_COLUMNS]), more_columns=len(kept) > MOST_COLUMNS)


def _cell(blobs: BlobStore, facts: Facts, cell: CellFacts, share: int, columns: dict[str, None]) -> CellLines:
    total = failed = retried = saved = tokens = 0
    full: float | None = None
    outputs = hashlib.sha256()
    worst: list[tuple[float, int, Line]] = []
    for line in reading.lines(blobs, facts, cell.cell):
        record, score = line.record, line.score
        total += 1
        failed += line.failed
        retried += record.attempts > 1
        if score is not None:
            full = score if full is None else max(full, score)
        tokens += record.tokens.total
        saved += sum(r.model_calls for r in (record, *line.evaluations.values()) if r.origin is not None)
        if len(columns) <= MOST_COLUMNS:  # one more tells that there are too many
            columns |= dict.fromkeys(islice((c for c in line_values(line) if c not in columns), MOST_COLUMNS + 1))
        said = {name: [e.status.value, dict(e.outputs)] for name, e in line.evaluations.items()}
        outputs.update(canonical([record.line, record.status.value, dict(record.outputs), said]) + b"\n")
        # A heap whose smallest item is the best line kept: a worse one pushes it out. Line numbers break ties.
        rank = (_badness(line, score), -record.line)
        if len(worst) < share:
            heapq.heappush(worst, (*rank, _kept(line)))
        elif worst and rank > worst[0][:2]:
            heapq.heapreplace(worst, (*rank, _kept(line)))
    return CellLines(
        facts=cell,
        total=total,
        failed=failed,
        retried=retried,
        saved_calls=saved,
        tokens=tokens,
        full_score=full,
        shown=tuple(sorted((line for _, _, line in worst), key=lambda line: line.record.line)),
        outputs=outputs.hexdigest(),
    )


def _kept(line: Line) -> Line:
    """The line as the page shows it."""
    return replace(
        line,
        record=_short(line.record),
        evaluations={name: _short(evaluation, inputs=False) for name, evaluation in line.evaluations.items()},
        expected=_values(line.expected),
        scored=line.score,
    )


def _short(record: LineRecord, *, inputs: bool = True) -> LineRecord:
    changed = {
        "inputs": _values(record.inputs) if inputs else {},
        "outputs": _values(record.outputs),
        "aggregated": None,
    }
    return record.model_copy(update=changed)


def _values(values: Mapping[str, object]) -> dict[str, object]:
    kept = {key: shortened(value) for key, value in islice(values.items(), SHOWN_VALUES)}
    if len(values) > SHOWN_VALUES:
        kept["…"] = f"{len(values) - SHOWN_VALUES:,} more values in lines.csv"
    return kept


def _badness(line: Line, score: float | None) -> float:
    if line.failed:
        return float("inf")
    if any(evaluation.error for evaluation in line.evaluations.values()):
        return 1e300
    return float("-inf") if score is None else -score


def _column_order(column: str) -> tuple[int, str]:
    groups = ("inputs.", "expected.", "outputs.", "scores.", "evaluation_error.")
    return next((index for index, group in enumerate(groups) if column.startswith(group)), len(groups)), column
