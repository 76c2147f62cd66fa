"""Metrics over all checked replies."""

from __future__ import annotations

from typing import List

from promptflow.core import log_metric, tool


@tool
def aggregate(checks: List[dict]) -> dict:
    """Log the mean of each check and of the score."""
    done = [check for check in checks if check]
    metrics = {name: sum(check[name] for check in done) / len(done) for name in done[0]} if done else {}
    for name, value in metrics.items():
        log_metric(name, value)
    return metrics
