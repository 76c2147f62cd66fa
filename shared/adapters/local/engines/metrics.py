"""Metrics on their way from flow code to the run's record: whoever logs or returns them, numbers are what counts."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.adapters.local.engines.contract import Aggregation
from shared.adapters.local.engines.results import call

receiver: contextvars.ContextVar[Callable[[str, Any], None] | None] = contextvars.ContextVar("receiver", default=None)
"""Who gets the metrics that are logged in this context, by prompt flow's `log_metric`."""


def aggregated(function: Callable[..., Any], argument: str, lines: Sequence[Any]) -> Aggregation:
    """What an aggregation function of a flow's code returns for the lines, together with what it logs."""
    logged: dict[str, Any] = {}
    token = receiver.set(logged.__setitem__)
    try:
        returned = call(function, {argument: lines})
    finally:
        receiver.reset(token)
    return Aggregation({**logged, **(returned if isinstance(returned, Mapping) else {})})


def numbers(metrics: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    """The metrics that are numbers, and what is wrong with the first that is not finite.

    Texts are passed over: flows log them, too, and they are no metrics.
    """
    found = {}
    error = ""
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found[str(name)] = number
        else:
            error = error or f"The metric {name!r} is {number}: a metric must be a finite number."
    return found, error
