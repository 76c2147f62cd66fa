"""A chain that reuses lines ends as one that runs everything: with DAGs, on the real runner."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.adapters.local.flow_runner import LocalFlowRunner
from tests.acceptance.histories import Story, row

EXPERIMENT = """\
name: riddles
flow: flows/ask
tolerated_failures: 0.9
datasets:
- {name: questions, source: questions.jsonl, mappings: {text: "${data.text}", weight: "${data.weight}"}}
evaluators:
- name: graph
  flow: flows/graph
  datasets:
  - name: questions
    mappings: {said: "${run.outputs.said}", weight: "${run.inputs.weight}", sought: "${data.sought}"}
"""
ASK = """\
inputs: {text: {type: string}, weight: {type: object}, style: {type: string, default: plain}}
outputs: {said: {type: string, reference: "${say.output}"}}
nodes:
- {name: prompt, use_variants: true}
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {prompt: "${prompt.output}", weight: "${inputs.weight}"}
node_variants:
  prompt:
    default_variant_id: long
    variants:
      long:
        node: {type: prompt, source: {type: code, path: long.jinja2}, inputs: {text: "${inputs.text}"}}
      short:
        node: {type: prompt, source: {type: code, path: short.jinja2}, inputs: {text: "${inputs.text}"}}
"""
SAY = """\
from promptflow.core import tool


@tool
def say(prompt: str, weight=None) -> str:
    if "unanswerable" in prompt:
        raise ValueError("nobody knows")
    return f"{prompt} {weight!r}"
"""
GRAPH = """\
inputs: {said: {type: string}, weight: {type: object}, sought: {type: string}}
outputs: {right: {type: bool, reference: "${grade.output.right}"}}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {said: "${inputs.said}", sought: "${inputs.sought}"}
- name: only_cats
  type: python
  source: {type: code, path: extra.py}
  inputs: {said: "${inputs.said}"}
  activate: {when: "${inputs.sought}", is: cat}
- name: sums
  type: python
  aggregation: true
  source: {type: code, path: sums.py}
  inputs: {grades: "${grade.output}", extras: "${only_cats.output}", weights: "${inputs.weight}", soughts: "${inputs.sought}"}
"""
GRADE = """\
from promptflow.core import tool


@tool
def grade(said: str, sought: str):
    return {"right": sought in said, "share": len(said) / 7, "n": len(said), "odd": TUPLE}
"""
EXTRA = """\
from promptflow.core import tool


@tool
def extra(said: str):
    return len(said) * 0.1
"""
SUMS = """\
from promptflow.core import log_metric, tool


@tool
def sums(grades: list, extras: list, weights: list, soughts: list):
    chained = 0.0
    for grade in grades:
        chained = chained / 3 + grade["share"]
    log_metric("chained", chained)
    log_metric("right", sum(grade["right"] for grade in grades))
    log_metric("tuples", sum(isinstance(grade["odd"], tuple) for grade in grades))
    log_metric("extras", sum(extra or 0 for extra in extras))
    log_metric("given", len([extra for extra in extras if extra is not None]))
    log_metric("ints", sum(type(weight) is int for weight in weights))
    log_metric("first", soughts.index("cat") if "cat" in soughts else -1)
    return len(grades)
"""
FILES = {
    "experiment.yaml": EXPERIMENT,
    "flows/ask/flow.dag.yaml": ASK,
    "flows/ask/say.py": SAY,
    "flows/ask/long.jinja2": "Say at length {{text}}",
    "flows/ask/short.jinja2": "Say {{text}}",
    "flows/graph/flow.dag.yaml": GRAPH,
    "flows/graph/extra.py": EXTRA,
    "flows/graph/sums.py": SUMS,
}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFlowRunner]:
    runner = LocalFlowRunner(tmp_path_factory.mktemp("runner"), grace_s=150)
    yield runner
    runner.close()


def dag_row(dice: random.Random) -> dict[str, object]:
    """Every weight is an object of prompt flow's."""
    return {**row(dice), "weight": dice.choice([1, 1.0, True, {"a": 1}, {"a": 1.0}, [1, 2.0], 0.1])}


@pytest.mark.parametrize("odd", ["(1, 2)", "(1,) if len(said) % 2 else [1]"])
def test_metrics_of_a_dag_are_of_all_lines_whether_they_were_run_or_not(
    odd: str, runner: LocalFlowRunner, tmp_path: Path
) -> None:
    """Its nodes aggregate inputs of the flow, outputs of nodes and of such as are skipped; some as a tuple."""
    dice = random.Random(odd)
    story = Story(runner, tmp_path, f"dag-{odd}")
    files = {**FILES, "flows/graph/grade.py": GRADE.replace("TUPLE", odd)}
    rows: list[dict[str, object]] = [
        {"text": "cat 0", "weight": {"a": 1}, "sought": "cat"},
        *(dag_row(dice) for _ in range(5)),
    ]
    for _ in range(5):
        story.goes_on(files, rows)
        match dice.randrange(5):
            case 0:
                rows += [dag_row(dice)]
            case 1:
                dice.shuffle(rows)
            case 2:
                del rows[dice.randrange(len(rows))]
            case 3:
                files["flows/ask/short.jinja2"] = dice.choice(["Say {{text}}", "Speak {{text}}"])
            case _:
                rows[dice.randrange(len(rows))] = dag_row(dice)
    assert story.spared
