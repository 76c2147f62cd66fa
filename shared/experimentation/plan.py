"""What a chain of a use case would run, counted without running it.

It counts the very matrix that the chain freezes: see `assembly.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.experimentation.assembly import LOG, prepare
from shared.experimentation.matrix import Cell, PreparedChain
from shared.use_case.flow_facts import flow_facts
from shared.use_case.model import UseCase

NO_BUNDLE: Final = "0" * 64
"""A plan is made without a bundle; nothing of it is stored."""


@dataclass(frozen=True)
class PlannedEvaluation:
    """One evaluator on one run."""

    evaluator: str
    lines: int
    model_calls: int


@dataclass(frozen=True)
class PlannedRun:
    """One cell of the matrix."""

    cell: Cell
    lines: int
    model_calls: int
    evaluations: tuple[PlannedEvaluation, ...]


@dataclass(frozen=True)
class Plan:
    """What would be run. Model calls are those of `llm` nodes: retries, and calls by Python code, come on top."""

    chain: PreparedChain
    runs: tuple[PlannedRun, ...]

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
    def model_calls(self) -> int:
        """Model calls of all runs and evaluations."""
        return sum(run.model_calls + sum(e.model_calls for e in run.evaluations) for run in self.runs)


def plan(use_case: UseCase, selection: str = "*") -> Plan:
    """Count what a chain of kind pr or ci runs.

    Raises:
        BusinessFailure: as `prepare`.
    """
    return counted(prepare(use_case, NO_BUNDLE, (), selection=selection).chain, use_case)


def counted(chain: PreparedChain, use_case: UseCase) -> Plan:
    """The counts of a matrix that is already there."""
    flow = flow_facts(use_case.flow)
    evaluators = {e.name: flow_facts(e.flow) for e in use_case.evaluators}
    runs: list[PlannedRun] = []
    for cell in chain.cells:
        lines = chain.dataset(cell.dataset).rows
        evaluations = tuple(
            PlannedEvaluation(e.evaluator, lines, evaluators[e.evaluator].model_calls(lines, {}))
            for e in chain.evaluators_of(cell.dataset)
        )
        calls = 0 if cell.label == LOG else flow.model_calls(lines, cell.variants)
        runs.append(PlannedRun(cell, lines, calls, evaluations))
    return Plan(chain=chain, runs=tuple(runs))
