"""Metrics as tables: for each dataset and evaluator one row a choice, the best marked, each with its difference.

Pure; the page and `metrics.csv` show the same values. A choice that was run several times has the mean of its
repetitions, with their spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from shared.evaluation.spread import Spread, spread
from shared.reporting.facts import CellFacts, Facts


@dataclass(frozen=True)
class Score:
    """One metric of one choice."""

    value: float | None
    best: bool = False
    """Whether no other choice is better; false where all are equal."""
    to_default: float | None = None
    """Difference to the default choice."""
    to_baseline: float | None = None
    """Difference to the baseline, which is the registered version."""
    spread: Spread | None = None
    """How far the repetitions that measured it lie apart; None where none did."""


@dataclass(frozen=True)
class Row:
    """One choice of variants and parameters."""

    label: str
    is_candidate: bool
    is_default: bool
    scores: tuple[Score, ...]
    note: str = ""
    """Why it has no scores."""


@dataclass(frozen=True)
class Table:
    """The metrics of one evaluator on one dataset."""

    dataset: str
    evaluator: str
    metrics: tuple[str, ...]
    lower_is_better: frozenset[str]
    rows: tuple[Row, ...]


def tables(facts: Facts) -> tuple[Table, ...]:
    """One table for each dataset and evaluator, in the order of the matrix."""
    pairs = dict.fromkeys((e.experiment_dataset, e.evaluator) for e in facts.prepared.evaluators)
    return tuple(_table(facts, dataset, evaluator) for dataset, evaluator in pairs)


def lowers(facts: Facts) -> frozenset[tuple[str, str]]:
    """(evaluator, metric) of which less is better: those that a gate caps."""
    results = facts.gates.results if facts.gates else ()
    return frozenset((r.evaluator, r.metric) for r in results if r.lower_is_better)


def _table(facts: Facts, dataset: str, evaluator: str) -> Table:
    groups: dict[str, list[CellFacts]] = {}
    for cell in facts.cells:
        if cell.cell.dataset == dataset:
            groups.setdefault(cell.cell.label, []).append(cell)
    names = tuple(dict.fromkeys(name for group in groups.values() for c in group for name in _names(c, evaluator)))
    lower = frozenset(metric for of, metric in lowers(facts) if of == evaluator)
    values = {
        label: {metric: spread(_known(group, evaluator, metric)) for metric in names} for label, group in groups.items()
    }
    default = next((label for label, group in groups.items() if group[0].cell.is_default), None)
    baselines = {
        r.metric: r.baseline
        for r in (facts.gates.results if facts.gates else ())
        if r.evaluator == evaluator and r.dataset == dataset and r.baseline is not None
    }
    best = {metric: _best((_mean(v[metric]) for v in values.values()), lower=metric in lower) for metric in names}
    rows = []
    for label, group in groups.items():
        scores = []
        for metric in names:
            value = _mean(values[label][metric])
            base = _mean(values[default][metric]) if default not in (None, label) else None
            scores.append(
                Score(
                    value=value,
                    best=value is not None and value == best[metric],
                    to_default=_difference(value, base),
                    to_baseline=_difference(value, baselines.get(metric)),
                    spread=values[label][metric],
                )
            )
        rows.append(
            Row(
                label=label,
                is_candidate=label == facts.candidate,
                is_default=group[0].cell.is_default,
                scores=tuple(scores),
                note=_note(group, evaluator),
            )
        )
    return Table(dataset=dataset, evaluator=evaluator, metrics=names, lower_is_better=lower, rows=tuple(rows))


def _names(cell: CellFacts, evaluator: str) -> Iterable[str]:
    run = cell.evaluations.get(evaluator)
    return run.metrics if run is not None else ()


def _known(cells: Iterable[CellFacts], evaluator: str, metric: str) -> list[float]:
    return [value for cell in cells if (value := cell.measured(evaluator, metric)) is not None]


def _mean(of: Spread | None) -> float | None:
    return of.mean if of is not None else None


def _best(values: Iterable[float | None], *, lower: bool) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < 2 or all(one == other for one, other in pairwise(known)):
        return None
    return min(known) if lower else max(known)


def _difference(value: float | None, base: float | None) -> float | None:
    if value is None or base is None:
        return None
    return value - base if math.isfinite(value - base) else None


def _note(cells: list[CellFacts], evaluator: str) -> str:
    """What is missing; where there are repetitions, of which."""
    notes = [(cell.cell.repetition, text) for cell in cells if (text := _trouble(cell, evaluator))]
    if len(cells) == 1:
        return notes[0][1] if notes else ""
    return " ".join(f"Repetition {number + 1} of {len(cells)}: {text}" for number, text in notes)


def _trouble(cell: CellFacts, evaluator: str) -> str:
    if cell.run is None:
        return "The run left no results."
    if not cell.run.succeeded:
        return f"The run failed: {cell.run.reason}"
    run = cell.evaluations.get(evaluator)
    if run is None:
        return "The evaluation left no results."
    return "" if run.succeeded else f"The evaluation failed: {run.reason}"
