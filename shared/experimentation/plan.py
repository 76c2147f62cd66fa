"""What a chain of a use case would run, counted without running it.

It counts the very matrix that the chain freezes (`assembly.py`), and finds the lines that the chain would reuse the way
the chain finds them (`reuse/`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from shared.datasets.read import rows
from shared.evaluation.inputs import evaluator_inputs
from shared.experimentation import reuse
from shared.experimentation.assembly import LOG, Preparation, prepare
from shared.experimentation.estimate import tokens_per_line
from shared.experimentation.inputs import cell_inputs, log_lines
from shared.experimentation.matrix import Cell, PreparedChain, PreparedEvaluator
from shared.experimentation.surroundings import Surroundings
from shared.ports import BlobStore
from shared.results import LineRecord
from shared.use_case.flow_facts import flow_facts
from shared.use_case.flow_model import FlowFacts, FlowKind
from shared.use_case.model import Evaluator, UseCase

NO_BUNDLE: Final = "0" * 64
"""A plan is made without a bundle; nothing of it is stored."""
_SAMPLE: Final = 200
"""Rows whose length the estimate of tokens goes by."""


@dataclass(frozen=True)
class PlannedEvaluation:
    """One evaluator on one run."""

    evaluator: str
    lines: int
    model_calls: int
    """Of the lines that are run."""
    reused: int = 0
    """Lines that an earlier evaluation has answered."""
    tokens: int = 0
    """Estimated, of the lines that are run."""


@dataclass(frozen=True)
class PlannedRun:
    """One cell of the matrix."""

    cell: Cell
    lines: int
    model_calls: int
    """Of the lines that are run."""
    evaluations: tuple[PlannedEvaluation, ...]
    reused: int = 0
    """Lines that an earlier run has answered."""
    tokens: int = 0
    """Estimated, of the lines that are run."""


@dataclass(frozen=True)
class Plan:
    """What would be run.

    Model calls are those that files tell of (see `FlowFacts.model_calls`): retries come on top.
    """

    chain: PreparedChain
    runs: tuple[PlannedRun, ...]
    calls_assumed: bool = False
    """Whether some flow is Python code, which is only assumed to call its model once a line."""

    @property
    def evaluations(self) -> int:
        """Evaluator runs."""
        return sum(len(run.evaluations) for run in self.runs)

    @property
    def lines(self) -> int:
        """Lines of all runs, without those of evaluations."""
        return sum(run.lines for run in self.runs)

    @property
    def evaluation_lines(self) -> int:
        """Lines of all evaluations."""
        return sum(evaluation.lines for run in self.runs for evaluation in run.evaluations)

    @property
    def reused(self) -> int:
        """Lines of runs and evaluations that need not be run."""
        return sum(run.reused + sum(e.reused for e in run.evaluations) for run in self.runs)

    @property
    def model_calls(self) -> int:
        """Model calls of all runs and evaluations."""
        return sum(run.model_calls + sum(e.model_calls for e in run.evaluations) for run in self.runs)

    @property
    def tokens(self) -> int:
        """Estimated tokens of all runs and evaluations."""
        return sum(run.tokens + sum(e.tokens for e in run.evaluations) for run in self.runs)


def plan(
    use_case: UseCase,
    selection: str = "*",
    surroundings: Surroundings | None = None,
    blobs: BlobStore | None = None,
    *,
    fresh: bool = False,
) -> Plan:
    """Count what a chain of kind pr or ci runs.

    Without `surroundings` (the installation's connections and variables) and `blobs` nothing is found to reuse.

    Raises:
        BusinessFailure: as `prepare`.
    """
    around = surroundings or Surroundings()
    return counted(prepare(use_case, NO_BUNDLE, around, selection=selection, fresh=fresh), use_case, blobs)


def counted(preparation: Preparation, use_case: UseCase, blobs: BlobStore | None = None) -> Plan:
    """The counts of a matrix that is already there."""
    return _Counter(preparation, use_case, blobs).plan()


@dataclass(frozen=True)
class _Flow:
    """A flow with what counting asks of it."""

    flow: UseCase | Evaluator
    facts: FlowFacts

    def tokens(self, variants: Mapping[str, str], parameters: Mapping[str, object], characters: float) -> float:
        return tokens_per_line(self.facts, self.flow.flow, self.flow.flow_file, variants, parameters, characters)


class _Counter:
    """Counts one matrix."""

    def __init__(self, preparation: Preparation, use_case: UseCase, blobs: BlobStore | None) -> None:
        self.preparation = preparation
        self.chain = preparation.chain
        self.blobs = blobs
        self.flow = _Flow(use_case, flow_facts(use_case.flow, use_case.flow_file))
        self.evaluators = {e.name: _Flow(e, flow_facts(e.flow, e.flow_file)) for e in use_case.evaluators}
        self.characters = {name: self._mean(name) for name in preparation.local}

    def plan(self) -> Plan:
        kinds = [self.flow.facts, *(flow.facts for flow in self.evaluators.values())]
        assumed = any(facts.kind not in (FlowKind.DAG, FlowKind.PROMPTY) and facts.calls_model for facts in kinds)
        return Plan(self.chain, tuple(self._run(cell) for cell in self.chain.cells), assumed)

    def _run(self, cell: Cell) -> PlannedRun:
        lines = self.chain.dataset(cell.dataset).rows
        evaluators = self.chain.evaluators_of(cell.dataset)
        if cell.label == LOG:
            logged = tuple(self._evaluation(cell, e, lines, log_lines(self._rows(cell.dataset))) for e in evaluators)
            return PlannedRun(cell, lines, 0, logged)
        found = self._notes(cell.configuration, cell.digest)
        with reuse.matched(self.blobs, found, self._inputs(cell)) as matches:
            known = matches.known.count
            evaluations = tuple(self._evaluation(cell, e, lines, matches.lines()) for e in evaluators)
        calls = self.flow.facts.model_calls(lines - known, cell.variants)  # nodes that aggregate call in any case
        per_line = _measured(found) or self.flow.tokens(
            cell.variants, cell.parameters, self.characters.get(cell.dataset, 0.0)
        )
        return PlannedRun(cell, lines, calls, evaluations, known, round(per_line * (lines - known)))

    def _evaluation(
        self, cell: Cell, evaluator: PreparedEvaluator, lines: int, ended: Iterable[LineRecord]
    ) -> PlannedEvaluation:
        """Only lines that have `ended` can be told beforehand: of others, nobody knows the outputs yet."""
        flow = self.evaluators[evaluator.evaluator]
        found = self._notes(evaluator.configuration, reuse.evaluation_digest(self.chain, cell, evaluator))
        known = 0
        if found:
            truth = self.chain.dataset(evaluator.truth_dataset)
            inputs = evaluator_inputs(evaluator, truth, self._rows(truth.name), ended)
            with reuse.matched(self.blobs, found, inputs) as evaluated:
                known = evaluated.known.count
        calls = flow.facts.model_calls(lines - known, {})
        per_line = _measured(found) or flow.tokens({}, {}, self.characters.get(evaluator.truth_dataset, 0.0))
        return PlannedEvaluation(evaluator.evaluator, lines, calls, known, round(per_line * (lines - known)))

    def _notes(self, configuration: str, digest: str) -> list[reuse.Note]:
        if self.blobs is None:
            return []
        siblings = self.chain.sharing(configuration)
        return reuse.notes(self.blobs, configuration, self.chain.reuse, digest, siblings=siblings)

    def _rows(self, dataset: str) -> Iterator[dict[str, Any]]:
        prepared = self.chain.dataset(dataset)
        return rows(self.preparation.local[dataset], prepared.source, prepared.rows)

    def _inputs(self, cell: Cell) -> Iterator[tuple[int, dict[str, object]]]:
        return enumerate(cell_inputs(self.chain.dataset(cell.dataset), cell, self._rows(cell.dataset)))

    def _mean(self, dataset: str) -> float:
        """Characters of a row, on average."""
        sizes = [len(json.dumps(row, ensure_ascii=False)) for row in islice(self._rows(dataset), _SAMPLE)]
        return sum(sizes) / len(sizes)


def _measured(found: list[reuse.Note]) -> float:
    return found[0].tokens_per_line if found else 0.0
