"""A small valid use case folder for tests to spoil: one llm node with two variants, a parser, one evaluator."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import BusinessFailure
from shared.use_case.load import InvalidUseCase, load
from shared.use_case.model import Problem, UseCase

EXPERIMENT = """\
name: greetings
flow: flows/standard

connections:
- name: aoai
  connection_type: AzureOpenAIConnection
  api_key: ${api_key}

datasets:
- name: train
  source: data/train.jsonl
  description: For experiments.
  mappings:
    text: "${data.text}"

evaluators:
- name: scores
  flow: flows/evaluation
  datasets:
  - name: truth
    reference: train
    source: truth.csv
    mappings:
      expected: "${data.answer}"
      found: "${run.outputs.label}"

parameters:
  classify.temperature: [0, 0.7]

gates:
  choose_by: scores.accuracy
  checks:
  - metric: scores.accuracy
    dataset: train
    at_least: 0.5

approval:
  approvers: [ann@example.org]
  timeout_minutes: 30
  reminder_minutes: 10

deployment:
  endpoint: greetings
  traffic: 10
  after_ci: true
  sample_request: sample.json
  expected_outputs: [label]
  max_latency_ms: 2000
  test_calls: 3
"""

FLOW = """\
inputs:
  text:
    type: string
  tone:
    type: string
    default: polite
outputs:
  label:
    type: string
    reference: ${parse.output}
nodes:
- name: classify
  use_variants: true
- name: parse
  type: python
  source:
    type: code
    path: parse.py
  inputs:
    answer: ${classify.output}
node_variants:
  classify:
    default_variant_id: plain
    variants:
      plain:
        node:
          type: llm
          source: {type: code, path: classify.jinja2}
          inputs: {deployment_name: gpt, temperature: 0, text: "${inputs.text}", tone: "${inputs.tone}"}
          connection: aoai
          api: chat
      terse:
        node:
          type: llm
          source: {type: code, path: classify.jinja2}
          inputs: {deployment_name: gpt, temperature: 0, text: "${inputs.text}", tone: short}
          connection: aoai
          api: chat
"""

EVALUATION = """\
inputs:
  expected: {type: string}
  found: {type: string}
outputs:
  grade: {type: string, reference: "${grade.output}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {expected: "${inputs.expected}", found: "${inputs.found}"}
- name: accuracy
  type: python
  aggregation: true
  source: {type: code, path: accuracy.py}
  inputs: {grades: "${grade.output}"}
"""

FILES = {
    "experiment.yaml": EXPERIMENT,
    "flows/standard/flow.dag.yaml": FLOW,
    "flows/standard/classify.jinja2": "system:\nBe {{tone}}.\nuser:\n{{text}}{% if hint %} {{hint}}{% endif %}\n",
    "flows/standard/parse.py": "from promptflow.core import tool\n\n\n@tool\ndef parse(answer: str) -> str:\n    return answer\n",
    "flows/evaluation/flow.dag.yaml": EVALUATION,
    "flows/evaluation/grade.py": "from promptflow.core import tool\n\n\n@tool\ndef grade(expected: str, found: str) -> str:\n    return expected\n",
    "flows/evaluation/accuracy.py": "from promptflow.core import tool\n\n\n@tool\ndef accuracy(grades: list) -> float:\n    return 1.0\n",
    "data/train.jsonl": '{"text": "hello"}\n{"text": "good evening"}\n{"text": "hi"}\n',
    "sample.json": '{"text": "hello"}\n',
}
TRUTH = "answer\nwarm\nformal\nwarm\n"


def written(root: Path) -> Path:
    """Write the folder to `<root>/flows/greetings` and its truth dataset to `<root>/data/greetings`."""
    folder = root / "flows" / "greetings"
    for name, content in FILES.items():
        put(folder, name, content)
    put(root / "data" / "greetings", "truth.csv", TRUTH)
    return folder


def put(folder: Path, name: str, content: str | bytes) -> Path:
    """Write one file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def change(folder: Path, name: str, old: str, new: str) -> int:
    """Replace a text that is there once; returns the line where it began."""
    text = (folder / name).read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
    (folder / name).write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def loaded(folder: Path, environment: str = "dev") -> UseCase:
    """The use case, valid."""
    return load(folder, environment, data=folder.parents[1] / "data")


def problems_of(folder: Path, environment: str = "dev") -> tuple[Problem, ...]:
    """What is wrong with it."""
    with pytest.raises(InvalidUseCase) as caught:
        loaded(folder, environment)
    assert isinstance(caught.value, BusinessFailure)
    return caught.value.problems


def only_problem(folder: Path, environment: str = "dev") -> Problem:
    """The one thing that is wrong with it."""
    found = problems_of(folder, environment)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]
