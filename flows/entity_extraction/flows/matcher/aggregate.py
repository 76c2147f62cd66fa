"""Metrics over all compared texts."""

from __future__ import annotations

import re
from typing import List

from promptflow.core import log_metric, tool


@tool
def aggregate(matches: List[dict]) -> dict:
    """Log exact_match and mean_f1 (means of the lines), and precision, recall, f1, f1_<entity type> (of all entities)."""
    done = [match for match in matches if match]
    if not done:
        return {}
    metrics = {
        "exact_match": sum(match["exact_match"] for match in done) / len(done),
        "mean_f1": sum(match["f1"] for match in done) / len(done),
        **_scores(done),
    }
    for entity_type in sorted({str(match["entity_type"]) for match in done}):
        of_type = _scores([match for match in done if match["entity_type"] == entity_type])
        metrics["f1_" + (re.sub(r"\W+", "_", entity_type.strip().lower()) or "none")] = of_type["f1"]
    for name, value in metrics.items():
        log_metric(name, value)
    return metrics


def _scores(matches: List[dict]) -> dict:
    """Every entity weighs the same, in whichever text it stands; nothing found and nothing expected is right."""
    hits, found, expected = (sum(match[name] for match in matches) for name in ("hits", "found", "expected"))
    return {
        "precision": hits / found if found else float(not expected),
        "recall": hits / expected if expected else float(not found),
        "f1": 2 * hits / (found + expected) if found + expected else 1.0,
    }
