"""Metrics over all compared tickets."""

from __future__ import annotations

import re
from typing import List

from promptflow.core import log_metric, tool


@tool
def aggregate(comparisons: List[dict]) -> dict:
    """Log accuracy, urgency_accuracy, f1_<category> and macro_f1.

    A category counts if it is expected or was answered at least once; its F1 is 2·TP / (2·TP + FP + FN), and macro F1 is
    the plain mean over categories.
    """
    done = [comparison for comparison in comparisons if comparison]
    metrics = {}
    if done:
        metrics["accuracy"] = sum(c["category_correct"] for c in done) / len(done)
        metrics["urgency_accuracy"] = sum(c["urgency_correct"] for c in done) / len(done)
        scores = _f1_by_category([(c["expected_category"], c["category"]) for c in done])
        metrics["macro_f1"] = sum(scores.values()) / len(scores)
        for category, score in scores.items():
            metrics["f1_" + (re.sub(r"\W+", "_", category) or "none")] = score
    for name, value in metrics.items():
        log_metric(name, value)
    return metrics


def _f1_by_category(pairs: list) -> dict:
    scores = {}
    for category in sorted({label for pair in pairs for label in pair}):
        hits = sum(expected == found == category for expected, found in pairs)
        misses = sum((expected == category) != (found == category) for expected, found in pairs)
        scores[category] = 2 * hits / (2 * hits + misses)
    return scores
