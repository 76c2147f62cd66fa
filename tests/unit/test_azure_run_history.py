"""What the workspace's metric service says of a run, whatever the flow has logged there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.adapters.azure.machine_learning.runs.history import History


class Recorded(History):
    """Gives one answer, and asks nobody."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self._answer = answer

    def _post(self, service: str, what: str, body: Mapping[str, Any]) -> Any:
        return self._answer


def test_metrics_that_are_no_single_values_cost_the_run_nothing():
    logged = [
        {"name": "accuracy", "value": [{"data": {"accuracy": 0.5}}]},
        {"name": "confusion", "value": [{"data": {"schema_type": "confusion_matrix"}}]},
        {"name": "plot", "value": []},
        {"name": "latency", "value": [{"data": None}]},
        {"name": "__pf__.lines.completed", "value": [{"data": {"__pf__.lines.completed": 3}}]},
    ]
    assert Recorded({"value": logged}).metrics("run") == {"accuracy": 0.5}
    assert Recorded({}).metrics("run") == {}
