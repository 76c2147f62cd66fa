"""Runs and lines as rows: what of a stored record goes into which column, and which of its values are scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from shared.reporting.facts import CellFacts, Line
from shared.results import RunRecord


def told(facts: CellFacts, line: Line) -> dict[str, Any]:
    """A line as a row of a table."""
    record = line.record
    scores = {
        f"{evaluator}.{name}": value
        for evaluator, evaluation in line.evaluations.items()
        for name, value in evaluation.outputs.items()
    }
    return {
        "variant": facts.cell.label,
        "dataset": facts.cell.dataset,
        "line": record.line,
        "status": str(record.status),
        "error": record.error,
        **{f"inputs.{name}": value for name, value in record.inputs.items()},
        **{f"outputs.{name}": value for name, value in record.outputs.items()},
        **{f"expected.{name}": value for name, value in line.expected.items()},
        **scores,
        "latency_ms": record.latency_ms,
        "tokens": record.tokens.total,
        "reused": record.origin is not None,
    }


def records_of(facts: CellFacts) -> Iterator[RunRecord]:
    """Of the run and its evaluations, as far as they are there."""
    yield from (record for record in (facts.run, *facts.evaluations.values()) if record is not None)


def metrics_of(facts: CellFacts) -> dict[str, float]:
    """`<evaluator>.<metric>` → value."""
    return {
        f"{evaluator}.{metric}": value
        for evaluator, record in facts.evaluations.items()
        if record is not None
        for metric, value in record.metrics.items()
    }


def score_value(value: object) -> float | None:
    """The value as a score; what is no finite number is none."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def score_of(line: Line, evaluator: str, name: str | None) -> float | None:
    """One score of a line, or the mean of the evaluator's scores where no name is given; None: it has none."""
    record = line.evaluations.get(evaluator)
    if record is None:
        return None
    if name is not None:
        return score_value(record.outputs.get(name))
    scores = [score for value in record.outputs.values() if (score := score_value(value)) is not None]
    return fmean(scores) if scores else None
