"""One value out of several: what a metric is when a run was repeated, and how far its repetitions lie apart. Pure.

The mean stands for the metric wherever one number is needed: tables, gates, the choice of the candidate, the baseline.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, isfinite, sqrt

from pydantic import BaseModel, ConfigDict


class Spread(BaseModel):
    """A metric over the repetitions that measured it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    min: float
    max: float
    stdev: float | None = None
    """Sample standard deviation; None of a single repetition, or where it is no finite number."""
    repetitions: int = 1
    """How many measured it."""


def spread(values: Iterable[float]) -> Spread | None:
    """What the values of a metric's repetitions add up to; those that are no finite number do not count."""
    known = [float(value) for value in values if isfinite(value)]
    if not known:
        return None
    low, high = min(known), max(known)
    return Spread(mean=mean(known), min=low, max=high, stdev=_deviation(known), repetitions=len(known))


def mean(values: Iterable[float]) -> float:
    """The mean of finite values: of equal ones exactly their value, and never outside of them."""
    known = list(values)
    # Divided before they are added: the sum of large values need not be a number.
    return min(max(fsum(value / len(known) for value in known), min(known)), max(known))


def _deviation(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    # In units of the largest value, for the same reason.
    unit = max(abs(value) for value in values) or 1.0
    scaled = [value / unit for value in values]
    middle = mean(scaled)
    deviation = unit * sqrt(fsum((value - middle) ** 2 for value in scaled) / (len(values) - 1))
    return deviation if isfinite(deviation) else None
