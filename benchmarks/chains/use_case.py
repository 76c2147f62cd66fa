"""A use case with as many cells as asked for: two parameters, every combination of them, two rows and one evaluator."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shared.adapters.memory.runner import MemoryFlowRunner
from shared.results import LineRecord

NAME: Final = "many_cells"
_FLOW: Final = """\
inputs:
  question: {type: string}
outputs:
  answer: {type: string, reference: "${answer.output}"}
nodes:
  - name: answer
    type: python
    source: {type: code, path: node.py}
    inputs: {question: "${inputs.question}", low: 0, high: 0}
"""
_NODE: Final = """\
from promptflow.core import tool


@tool
def answer(question: str, low: int, high: int) -> str:
    return f"{question} {low} {high}"
"""
_EVALUATOR: Final = """\
inputs:
  expected: {type: string}
  answer: {type: string}
outputs:
  correct: {type: bool, reference: "${grade.output}"}
nodes:
  - name: grade
    type: python
    source: {type: code, path: node.py}
    inputs: {expected: "${inputs.expected}", answer: "${inputs.answer}"}
"""
_GRADE: Final = """\
from promptflow.core import tool


@tool
def grade(expected: str, answer: str) -> bool:
    return expected in answer
"""


def write(flows: Path, cells: int) -> None:
    """Write the use case under `flows`; `cells` must be a square number."""
    side = math.isqrt(cells)
    if side * side != cells:
        raise SystemExit(f"{cells} is no square number: take 100, 900, 10000.")
    folder = flows / NAME
    for name, dag, node in (("answer", _FLOW, _NODE), ("grade", _EVALUATOR, _GRADE)):
        (folder / "flows" / name).mkdir(parents=True)
        (folder / "flows" / name / "flow.dag.yaml").write_text(dag)
        (folder / "flows" / name / "node.py").write_text(node)
    (folder / "data").mkdir()
    rows = [{"question": "one", "expected": "one"}, {"question": "two", "expected": "no"}]
    (folder / "data" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    experiment: dict[str, Any] = {
        "name": NAME,
        "flow": "flows/answer",
        "datasets": [{"name": "rows", "source": "rows.jsonl", "mappings": {"question": "${data.question}"}}],
        "evaluators": [
            {
                "name": "exact",
                "flow": "flows/grade",
                "datasets": [
                    {"name": "rows", "mappings": {"expected": "${data.expected}", "answer": "${run.outputs.answer}"}}
                ],
            }
        ],
        "strategy": "product",
        "parameters": {"answer.low": list(range(side)), "answer.high": list(range(side))},
    }
    (folder / "experiment.yaml").write_text(json.dumps(experiment))  # JSON is YAML


def runner() -> MemoryFlowRunner:
    """A flow runner whose runs take no time."""
    return MemoryFlowRunner({"answer": _answer, "grade": _grade}, {"grade": _accuracy})


def _answer(inputs: Mapping[str, object], spec: Any) -> Mapping[str, object]:
    return {"answer": f"{inputs['question']} {spec.parameters['answer.low']} {spec.parameters['answer.high']}"}


def _grade(inputs: Mapping[str, object], spec: Any) -> Mapping[str, object]:  # noqa: ARG001 - a flow is given both
    return {"correct": str(inputs["expected"]) in str(inputs["answer"])}


def _accuracy(lines: Sequence[LineRecord]) -> Mapping[str, float]:
    return {"accuracy": sum(bool(line.outputs["correct"]) for line in lines) / len(lines)}
