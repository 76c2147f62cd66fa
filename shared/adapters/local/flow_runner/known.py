"""Lines that were run before: whether a run of nothing else needs a worker at all."""

from __future__ import annotations

from pathlib import Path

from shared.adapters.local.engines.kinds import kind_of, read_flow_file
from shared.use_case.flow_model import FlowKind


def may_aggregate(flow: Path, flow_file: str) -> bool:
    """Whether the flow may make metrics of its lines, as far as its files tell: code tells it only when it is loaded.

    Raises:
        BusinessFailure: its file is missing or no YAML.
    """
    match kind_of(flow, flow_file):
        case FlowKind.DAG:
            nodes = read_flow_file(flow, flow_file).get("nodes")
            return any(isinstance(node, dict) and node.get("aggregation") for node in nodes or ())
        case FlowKind.PROMPTY:
            return False
        case FlowKind.CLASS | FlowKind.FUNCTION | FlowKind.PYTHON:
            return True
