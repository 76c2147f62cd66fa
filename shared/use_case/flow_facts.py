"""What a flow of any kind takes, gives and offers to vary: read from its files, importing neither engine nor flow.

So a use case is validated and its run matrix planned in milliseconds, wherever prompt flow is not installed as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.use_case.dag import read_dag
from shared.use_case.flex import read_flex
from shared.use_case.flow_files import DAG_FILES, FLEX_FILES
from shared.use_case.flow_model import FlowFacts, FlowInput, NodeSpec
from shared.use_case.problems import Problems
from shared.use_case.prompty import read_prompty
from shared.use_case.python_evaluator import read_python_evaluator
from shared.use_case.yaml_file import read_yaml

__all__ = ["FLOW_FILE", "FlowFacts", "FlowInput", "NodeSpec", "flow_facts", "read_flow"]

FLOW_FILE: Final = DAG_FILES[0]


def flow_facts(flow: Path, flow_file: str = FLOW_FILE) -> FlowFacts:
    """Read the flow in this folder.

    Args:
        flow: its folder.
        flow_file: the file in it that describes the flow; empty for an evaluator without a flow file.

    Raises:
        InvalidUseCase: with every problem of its files.
    """
    problems = Problems()
    facts = read_flow(flow, flow_file, problems, shown=flow_file or flow.name)
    problems.raise_if_any()
    assert facts is not None
    return facts


def read_flow(flow: Path, flow_file: str, problems: Problems, *, shown: str) -> FlowFacts | None:
    """As `flow_facts`, but adds to `problems`; None where a file is wrong. `shown` is the name that problems show."""
    before = problems.count
    facts: FlowFacts | None = None
    try:
        facts = _read(flow, flow_file, problems, shown)
    except (RecursionError, MemoryError):  # a sum of a thousand terms, or as many `elif`, is a tree of that depth
        problems.add(shown, 0, "code", "its Python code is nested too deeply to be read; split long expressions")
    return facts if problems.count == before else None


def _read(flow: Path, flow_file: str, problems: Problems, shown: str) -> FlowFacts | None:
    if not flow_file:
        return read_python_evaluator(flow, shown, problems)
    if flow_file.endswith(".prompty"):
        return read_prompty(flow / flow_file, shown, problems)
    document = read_yaml(flow / flow_file, shown, problems)
    if document is None:
        return None
    is_flex = flow_file in FLEX_FILES or (isinstance(document.value, dict) and "entry" in document.value)
    return (read_flex if is_flex else read_dag)(flow, document, problems)
