"""Metrics as tables: for each dataset and evaluator one row a choice, the best marked, each with its difference.

Pure; the page and `metrics.csv` show the same values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

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
    cells = [c for c in facts.cells if c.cell.dataset == dataset]
    names = dict.fromkeys(name for c in cells if (run := c.evaluations.get(evaluator)) for name in run.metrics)
    lower = frozenset(metric for of, metric in lowers(facts) if of == evaluator)
    default = next((c for c in cells if c.cell.is_default), None)
    baselines = {
        r.metric: r.baseline
        for r in (facts.gates.results if facts.gates else ())
        if r.evaluator == evaluator and r.dataset == dataset and r.baseline is not None
    }
    rows = []
    best = {metric: _best((_value(c, evaluator, metric) for c in cells), lower=metric in lower) for metric in names}
    for c in cells:
        scores = []
        for metric in names:
            value = _value(c, evaluator, metric)
            base = _value(default, evaluator, metric) if default is not None and default is not c else None
            scores.append(
                Score(
                    value=value,
                    best=value is not None and value == best[metric],
                    to_default=_difference(value, base),
                    to_baseline=_difference(value, baselines.get(metric)),
                )
            )
        rows.append(
            Row(
                label=c.cell.label,
                is_candidate=c.cell.label == facts.candidate,
                is_default=c.cell.is_default,
                scores=tuple(scores),
                note=_note(c, evaluator),
            )
        )
    return Table(dataset=dataset, evaluator=evaluator, metrics=tuple(names), lower_is_better=lower, rows=tuple(rows))


def _value(cell: CellFacts, evaluator: str, metric: str) -> float | None:
    run = cell.evaluations.get(evaluator)
    value = run.metrics.get(metric) if run is not None else None
    return value if value is not None and math.isfinite(value) else None


def _best(values: Iterable[float | None], *, lower: bool) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < 2 or all(one == other for one, other in pairwise(known)):
        return None
    return min(known) if lower else max(known)


def _difference(value: float | None, base: float | None) -> float | None:
    if value is None or base is None:
        return None
    return value - base if math.isfinite(value - base) else None


def _note(cell: CellFacts, evaluator: str) -> str:
    if cell.run is None:
        return "The run left no results."
    if not cell.run.succeeded:
        return f"The run failed: {cell.run.reason}"
    run = cell.evaluations.get(evaluator)
    if run is None:
        return "The evaluation left no results."
    return "" if run.succeeded else f"The evaluation failed: {run.reason}"
