"""Whatever the files of a use case say, the answer is a use case or problems with file and line."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from shared.use_case.load import KEYS, InvalidUseCase, load
from shared.use_case.model import Problem
from tests.unit.use_case_folder import EXPERIMENT, FLOW, change, put, written

AWKWARD = [
    "",
    "[]",
    "{}",
    "1",
    "-1.5",
    "null",
    "'x'",
    "[[1]]",
    "{a: {b: 1}}",
    "true",
    ".nan",
    ".inf",
    "2020-01-01",
    "*x",
]
AWKWARD += [
    "&a b",
    "0x1F",
    "1_000",
    "${data.}",
    "${",
    "'${run.inputs.}'",
    "[null]",
    "{null: null}",
    "a/b",
    "../..",
    "|",
    "'\\0'",
    "[" * 60,
    "0x" + "f" * 4_000,
    "<<: [1]",
    "\U0001f600",
]


def spoilt(text: str, data: st.DataObject) -> str:
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["value", "value", "delete", "repeat", "indent"])):
            case "value":
                lines[at] = lines[at].split(":", maxsplit=1)[0] + ": " + data.draw(st.sampled_from(AWKWARD))
            case "delete":
                lines[at] = ""
            case "repeat":
                lines.insert(at, lines[at])
            case _:
                lines[at] = "  " + lines[at]
    return "\n".join(lines)


CLASS_FLOW = """\
entry: greet:Greet
environment_variables: {TONE: warm}
inputs:
  text: {type: string}
outputs:
  label: {type: string}
init:
  size: {type: int, default: 1}
sample:
  init: {size: 2}
"""
CODE = """\
from dataclasses import dataclass
from .steps import helper as other


class Greet:
    def __init__(self, size: int, *, tone="warm", **more):
        self.size = size

    def __call__(self, text: str, history: list = None) -> "dict | None":
        result = {"label": text, **history}
        result["more"] = [other(x) for x in text]
        return result
"""
PROMPTY = """\
---
model:
  configuration: {type: azure_openai, connection: aoai}
  parameters: {response_format: {type: json_object}}
inputs:
  text: {type: string, default: x}
outputs:
  label: {type: string}
sample: {text: a}
---
user:
{{text}}
"""
VARIED = """\
name: greetings
flow: standard
datasets:
- name: train
  source: azureml:train:1
  max_rows: 2
  mappings: {text: "${data.text}"}
- name: other
  source: data/train.jsonl
evaluators:
- name: scores
  flow: evaluation
  datasets:
  - {name: train, mappings: {expected: "${data.text}", found: "${run.outputs.label}"}}
parameters:
  classify.temperature: [0, 0.7]
  inputs.tone: [a, b]
strategy:
- {name: one, variants: {classify: terse}, parameters: {top_p: 1}}
repeat: 2
budget: {max_runs: 1, max_model_calls: 2, max_tokens: 3}
reuse: lines
"""
FILES_OF = {
    "experiment.yaml": EXPERIMENT,
    "experiment.pr.yaml": EXPERIMENT,
    "flows/standard/flow.dag.yaml": FLOW,
    "flows/standard/parse.py": CODE,
    "flows/standard/classify.jinja2": "{% if a %}\n{{ b }}\n{% endif %}\n",
}
"""Of a use case whose flow is a DAG: name → what it is spoilt from."""
CLASS_FILES = {
    "flows/standard/flow.flex.yaml": CLASS_FLOW,
    "flows/standard/greet.py": CODE,
    "flows/standard/init.json": '{\n  "size": 1,\n  "tone": {"a": "${b}"}\n}\n',
}
KEYS_WITH_ANY_VALUE = [*KEYS, "datasets.0.source", "datasets.0.mappings", "evaluators.0.datasets", "evaluators.0.flow"]
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["${data.x}", "*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def answer(folder: Path, root: Path, environment: str = "dev") -> None:
    """Load the folder; whatever is wrong must be told as problems that an author can find."""
    problems: tuple[Problem, ...] = ()
    try:
        load(folder, environment, data=root / "data")
    except InvalidUseCase as error:
        problems = error.problems or (Problem("", -1, "", ""),)
    finally:
        shutil.rmtree(root)
    for problem in problems:
        assert problem.file
        assert problem.key
        assert problem.message
        assert problem.line >= 0


def use_case_of(factory: pytest.TempPathFactory, standard: Mapping[str, str]) -> tuple[Path, Path]:
    """A valid folder, whose standard flow these files are (none: the DAG)."""
    root = factory.mktemp("spoilt", numbered=True)
    folder = written(root)
    put(folder, "experiment.pr.yaml", "concurrency: 1\n")
    if standard:
        (folder / "flows/standard/flow.dag.yaml").unlink()
        change(folder, "experiment.yaml", "parameters:\n  classify.temperature: [0, 0.7]\n", "")
    for name, content in standard.items():
        put(folder, name, content)
    return folder, root


@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from(sorted(FILES_OF)))
def test_whatever_the_files_say_the_answer_is_a_use_case_or_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    folder, root = use_case_of(tmp_path_factory, {})
    put(folder, name, spoilt(FILES_OF[name], data))
    answer(folder, root, "pr")


@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from(sorted(CLASS_FILES)))
def test_the_same_holds_for_the_files_of_a_class_flow(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    folder, root = use_case_of(tmp_path_factory, CLASS_FILES)
    put(folder, name, spoilt(CLASS_FILES[name], data))
    answer(folder, root)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_same_holds_for_a_prompty(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder, root = use_case_of(tmp_path_factory, {"flows/standard/greet.prompty": PROMPTY})
    put(folder, "flows/standard/greet.prompty", spoilt(PROMPTY, data))
    answer(folder, root)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_same_holds_for_what_spans_the_matrix(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder, root = use_case_of(tmp_path_factory, {})
    put(folder, "experiment.yaml", spoilt(VARIED, data))
    answer(folder, root)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(KEYS_WITH_ANY_VALUE), plain)
def test_any_value_at_any_key_gives_a_use_case_or_problems(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    folder, root = use_case_of(tmp_path_factory, {})
    top = YAML(typ="safe", pure=True).load(EXPERIMENT)
    *parents, last = key.split(".")
    holder = top
    for part in parents:
        holder = holder[int(part) if part.isdigit() else part]
    holder[last] = value
    with (folder / "experiment.yaml").open("w", encoding="utf-8", errors="backslashreplace") as stream:
        YAML(typ="safe", pure=True).dump(top, stream)
    answer(folder, root)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.sampled_from([*FILES_OF, "data/train.jsonl", "sample.json"]))
def test_any_bytes_in_a_file_give_a_use_case_or_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    folder, root = use_case_of(tmp_path_factory, {})
    put(folder, name, content)
    answer(folder, root, "pr")
