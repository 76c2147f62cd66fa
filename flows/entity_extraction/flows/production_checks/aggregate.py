"""Metrics over all checked answers."""

from __future__ import annotations

from typing import List

from promptflow.core import log_metric, tool


@tool
def aggregate(checks: List[dict]) -> dict:
    """Log the means of shape_ok, duplicate_free and in_text, empty_share and entities_per_text."""
    done = [check for check in checks if check]
    if not done:
        return {}
    mean = {name: sum(check[name] for check in done) / len(done) for name in done[0]}
    metrics = {name: mean[name] for name in ("shape_ok", "duplicate_free", "in_text")}
    metrics["empty_share"] = 1.0 - mean["answered"]
    metrics["entities_per_text"] = mean["entities"]
    for name, value in metrics.items():
        log_metric(name, value)
    return metrics
