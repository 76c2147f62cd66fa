"""The evidence document as figures: one table a dataset, and the candidate beside the registered baseline. Pure.

The document may have been written by an older version of this product: what it lacks is left out, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.evaluation.spread import mean

Metric = tuple[str, str]
"""(evaluator, metric)."""
_SAME: Final = 1e-9
"""Differences below this come from binary fractions."""


@dataclass(frozen=True)
class Choice:
    """One choice of variants and parameters on one dataset."""

    label: str
    is_candidate: bool
    is_default: bool
    values: Mapping[Metric, float]
    """The mean of its repetitions."""
    failed: bool = False
    """Whether one of its runs or evaluations failed."""


@dataclass(frozen=True)
class DatasetFigures:
    """Every choice on one dataset."""

    dataset: str
    rows: int | None
    metrics: tuple[Metric, ...]
    """Those with a gate first."""
    choices: tuple[Choice, ...]
    """The candidate, the default, then the others in the order of the matrix."""


@dataclass(frozen=True)
class Change:
    """One metric of the candidate beside the baseline's."""

    dataset: str
    metric: Metric
    baseline: float
    now: float
    lower_is_better: bool | None
    """None: no gate says which way is better."""
    other_data: tuple[str, ...]
    """Datasets whose content the baseline was not measured on."""

    @property
    def difference(self) -> float:
        """Now less the baseline."""
        return self.now - self.baseline

    @property
    def word(self) -> str:
        """`better`, `worse`, `equal`, or, where no gate says which way is better, `higher` or `lower`."""
        if abs(self.difference) <= _SAME:
            return "equal"
        higher = self.difference > 0
        if self.lower_is_better is None:
            return "higher" if higher else "lower"
        return "better" if higher != self.lower_is_better else "worse"


def by_dataset(evidence: Mapping[str, Any]) -> tuple[DatasetFigures, ...]:
    """One table for each dataset, in the order of the matrix."""
    gated = [(gate["evaluator"], gate["metric"]) for gate in evidence["gates"]]
    rows = {data["name"]: data["rows"] for data in evidence["data"]}
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for cell in evidence["cells"]:
        found.setdefault(cell["dataset"], {}).setdefault(cell["label"], []).append(cell)
    figures = []
    for dataset, groups in found.items():
        choices = [_choice(label, cells, evidence["candidate"]) for label, cells in groups.items()]
        choices.sort(key=lambda choice: (not choice.is_candidate, not choice.is_default))
        known = list(dict.fromkeys(metric for choice in choices for metric in choice.values))
        known.sort(key=lambda metric: metric not in gated)
        figures.append(DatasetFigures(dataset, rows.get(dataset), tuple(known), tuple(choices)))
    return tuple(figures)


def against_baseline(evidence: Mapping[str, Any]) -> tuple[Change, ...]:
    """The candidate's metrics that the baseline has, too: with a gate first, then the largest differences."""
    baseline = evidence.get("baseline")
    if not baseline:
        return ()
    directions = _directions(evidence)
    changes = []
    for figures in by_dataset(evidence):
        choice = figures.choices[0]
        before: Mapping[str, float] = baseline["metrics"].get(figures.dataset, {})
        for metric in figures.metrics:
            was, now = before.get(".".join(metric)), choice.values.get(metric)
            if was is None or now is None or not math.isfinite(now - was):
                continue
            other = tuple(baseline["other_data"].get(figures.dataset, ()))
            changes.append(Change(figures.dataset, metric, was, now, directions.get(metric), other))
    return tuple(sorted(changes, key=lambda c: (c.lower_is_better is None, -abs(c.difference))))


def best(figures: DatasetFigures, metric: Metric, evidence: Mapping[str, Any]) -> float | None:
    """The best value of a metric with a gate; None where nothing says which way is better, or all are equal."""
    lower = _directions(evidence).get(metric)
    values = {value for choice in figures.choices if (value := choice.values.get(metric)) is not None}
    if lower is None or len(values) < 2:
        return None
    return min(values) if lower else max(values)


def _directions(evidence: Mapping[str, Any]) -> dict[Metric, bool]:
    """Of the metrics with a gate, whether less is better: one limit that caps a metric says so for all of them."""
    found: dict[Metric, bool] = {}
    for gate in evidence["gates"]:
        if "lower_is_better" in gate:
            metric = (gate["evaluator"], gate["metric"])
            found[metric] = found.get(metric, False) or gate["lower_is_better"]
    return found


def _choice(label: str, cells: list[Mapping[str, Any]], candidate: str | None) -> Choice:
    measured: dict[Metric, list[float]] = {}
    failed = False
    for cell in cells:
        failed |= not _succeeded(cell["run"])
        for evaluator, run in cell["evaluations"].items():
            failed |= not _succeeded(run)
            for metric, value in (run["metrics"] if _succeeded(run) else {}).items():
                measured.setdefault((evaluator, metric), []).extend(_finite(value))
    return Choice(
        label=label,
        is_candidate=label == candidate,
        is_default=any(cell["is_default"] for cell in cells),
        values={metric: mean(values) for metric, values in measured.items() if values},
        failed=failed,
    )


def _succeeded(run: Mapping[str, Any] | None) -> bool:
    return run is not None and bool(run["succeeded"])


def _finite(value: object) -> Iterable[float]:
    return (float(value),) if isinstance(value, int | float) and math.isfinite(value) else ()
