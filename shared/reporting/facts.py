"""Everything that a report speaks of, read from where the chain left it: matrix, runs, gates and lines.

Lines are never held as a whole: they are streamed, each joined with what the evaluators said about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain as chained

from shared import chain_store, result_store, results
from shared.chain.state import Chain, LogEntry
from shared.errors import NotFound
from shared.evaluation.gates_model import GateResult, GatesDocument, read_gates
from shared.experimentation.matrix import Cell, PreparedChain
from shared.ports import BlobStore
from shared.results import LineRecord, LineStatus, RunRecord, Tokens


@dataclass(frozen=True)
class CellFacts:
    """One cell and what came of it."""

    cell: Cell
    run: RunRecord | None
    """None: the run left no record."""
    evaluations: Mapping[str, RunRecord | None]
    """Evaluator → its run; None: it left no record."""

    @property
    def tokens(self) -> Tokens:
        """Of the run and its evaluations."""
        records = [self.run, *self.evaluations.values()]
        return sum((record.tokens for record in records if record), Tokens())

    def measured(self, evaluator: str, metric: str) -> float | None:
        """The metric, where the evaluation succeeded and gave a number."""
        run = self.evaluations.get(evaluator)
        value = run.metrics.get(metric) if run is not None and run.succeeded else None
        return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Line:
    """One line of a run with what every evaluator said about it."""

    record: LineRecord
    evaluations: Mapping[str, LineRecord]
    expected: Mapping[str, object]
    """The truth that the evaluators compared with: their inputs that come from data and that the flow did not get."""
    scored: float | None = None
    """Its score, where the line is held without all of its values."""

    @property
    def failed(self) -> bool:
        """Whether the flow failed on it."""
        return self.record.status is LineStatus.FAILED

    @property
    def score(self) -> float | None:
        """Mean of its scores that are finite numbers; None without any."""
        if self.scored is not None:
            return self.scored
        scores = [
            score
            for evaluation in self.evaluations.values()
            for value in evaluation.outputs.values()
            if (score := _finite(value)) is not None
        ]
        # Divided before they are added: the sum of large scores need not be a number.
        return sum(score / len(scores) for score in scores) if scores else None


@dataclass(frozen=True)
class Facts:
    """What the chain prepared, ran, evaluated and checked."""

    chain: Chain
    prepared: PreparedChain
    cells: tuple[CellFacts, ...]
    gates: GatesDocument | None
    log: tuple[LogEntry, ...] = field(default=())

    @cached_property
    def by_label(self) -> Mapping[str, tuple[CellFacts, ...]]:
        """Choice of variants and parameters → its cells, in the order of the matrix."""
        groups: dict[str, list[CellFacts]] = {}
        for facts in self.cells:
            groups.setdefault(facts.cell.label, []).append(facts)
        return {label: tuple(group) for label, group in groups.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The choices of variants and parameters, in the order of the matrix."""
        return tuple(self.by_label)

    @cached_property
    def repetitions(self) -> int:
        """How often every cell was to be run."""
        return 1 + max((facts.cell.repetition for facts in self.cells), default=0)

    def called(self, cell: Cell) -> str:
        """A cell as people read it: its choice and, where there are several, its repetition from 1."""
        if self.repetitions == 1:
            return cell.label
        return f"{cell.label}, repetition {cell.repetition + 1} of {self.repetitions}"

    @property
    def candidate(self) -> str | None:
        """Label of the choice that the chain goes on with."""
        if self.gates is not None:
            return self.gates.candidate_label
        return self.chain.candidate.label if self.chain.candidate else None

    @property
    def default(self) -> str | None:
        """Label of the choice that the flow's files make."""
        return next((facts.cell.label for facts in self.cells if facts.cell.is_default), None)

    @property
    def candidate_gates(self) -> tuple[GateResult, ...]:
        """The gates as the candidate met or missed them."""
        return tuple(result for result in self.gates.results if result.is_candidate) if self.gates else ()

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Every model that was asked, as people read it."""
        used = chained.from_iterable(
            record.models for facts in self.cells for record in (facts.run, *facts.evaluations.values()) if record
        )
        return tuple(dict.fromkeys((*self.prepared.models, *used)))

    @property
    def stand_in(self) -> bool:
        """Whether a stand-in model answered."""
        return any("stand-in" in model for model in self.models)


def _finite(value: object) -> float | None:
    """The value as a score. Python counts in integers that no float can hold."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        score = float(value)
    except OverflowError:
        return None
    return score if math.isfinite(score) else None


def read(blobs: BlobStore, chain: Chain) -> Facts:
    """Read what the chain left behind. Raises NotFound before its preparation."""
    prepared = chain_store.read_prepared(blobs, chain.id)
    cells = []
    for cell in prepared.cells:
        run = result_store.record(blobs, results.cell_folder(chain.id, cell.name))
        evaluators = dict.fromkeys(e.evaluator for e in prepared.evaluators_of(cell.dataset))
        evaluations = {
            name: result_store.record(blobs, results.evaluation_folder(chain.id, cell.name, name))
            for name in evaluators
        }
        cells.append(CellFacts(cell=cell, run=run, evaluations=evaluations))
    return Facts(
        chain=chain,
        prepared=prepared,
        cells=tuple(cells),
        gates=read_gates(blobs, chain.id),
        log=tuple(chain_store.read_log(blobs, chain.id)),
    )


def lines(blobs: BlobStore, facts: Facts, cell: Cell) -> Iterator[Line]:
    """The lines of a cell in order, one at a time; none where the run left none."""
    chain_id = facts.chain.id
    evaluators = facts.prepared.evaluators_of(cell.dataset)
    truths = {e.evaluator: _from_data(e.mappings) for e in evaluators}
    sources = {name: _Ordered(_records(blobs, results.evaluation_folder(chain_id, cell.name, name))) for name in truths}
    for record in _records(blobs, results.cell_folder(chain_id, cell.name)):
        said = {name: found for name, source in sources.items() if (found := source.at(record.line)) is not None}
        known = [repr(value) for value in record.inputs.values()]
        expected: dict[str, object] = {}
        for name, evaluation in said.items():
            for key in truths[name]:
                if key in evaluation.inputs and repr(evaluation.inputs[key]) not in known:
                    expected.setdefault(key, evaluation.inputs[key])
        yield Line(record=record, evaluations=said, expected=expected)


class _Ordered:
    """Line records in line order, of which some may be missing (an evaluator skips lines that failed)."""

    def __init__(self, records: Iterator[LineRecord]) -> None:
        self._records = records
        self._next = next(records, None)

    def at(self, line: int) -> LineRecord | None:
        while self._next is not None and self._next.line < line:
            self._next = next(self._records, None)
        return self._next if self._next is not None and self._next.line == line else None


def _from_data(mappings: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(key for key, source in mappings.items() if isinstance(source, str) and source.startswith("${data."))


def _records(blobs: BlobStore, folder: str) -> Iterator[LineRecord]:
    try:
        yield from result_store.lines(blobs, folder)
    except NotFound:
        return
