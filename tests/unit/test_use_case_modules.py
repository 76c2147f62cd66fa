"""The modules of a flow's folder and the prompties that its code loads are read before a run imports them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.use_case_folder import change, loaded, only_problem, problems_of, put, written

MODEL = "model:\n  configuration: {azure_deployment: gpt}\n"
PARSE = "flows/standard/parse.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize("name", ["helper.py", "tools/deep/helper.py"])
def test_a_helper_that_is_not_valid_python_is_named(folder: Path, name: str) -> None:
    put(folder, f"flows/standard/{name}", "x = 1\ndef f(:\n")
    problem = only_problem(folder)
    assert (problem.file, problem.line) == (f"flows/standard/{name}", 2)
    assert problem.message.startswith("is not valid Python: ")


@pytest.mark.parametrize(
    "name", ["tests/test_flow.py", "flows/standard/tests/x.py", "notes/x.py", "flows/standard/.old/x.py"]
)
def test_python_that_no_flow_imports_is_not_read(folder: Path, name: str) -> None:
    put(folder, name, "def f(:\n")
    assert not loaded(folder).warnings


def test_a_node_runs_one_tool_and_a_file_with_two_is_named(folder: Path) -> None:
    code = (folder / PARSE).read_text()
    put(folder, PARSE, code + "\n\n@tool\ndef other(answer: str) -> str:\n    return answer\n")
    problem = only_problem(folder)
    assert (problem.file, problem.line) == (PARSE, code.count("\n") + 4)
    assert "more than one function under `@tool` ('parse', 'other')" in problem.message


def as_loading(folder: Path, name: str) -> None:
    """The standard flow as a function that loads a prompty."""
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/flow.flex.yaml", "entry: answer:answer\n")
    code = f"def answer(text):\n    Prompty.load(source=HERE / {name!r})\n    return {{'label': text}}\n"
    put(folder, "flows/standard/answer.py", code)
    change(folder, "experiment.yaml", "parameters:\n  classify.temperature: [0, 0.7]\n", "")


def test_a_broken_prompty_that_the_code_loads_by_name_is_named(folder: Path) -> None:
    as_loading(folder, "ask.prompty")
    put(folder, "flows/standard/ask.prompty", f"---\n{MODEL}inputs: [\n---\nuser:\nHello\n")
    problem = only_problem(folder)
    assert (problem.file, "is not valid YAML" in problem.message) == ("flows/standard/ask.prompty", True)
    put(folder, "flows/standard/ask.prompty", f"---\n{MODEL}---\nuser:\nHello\n")
    assert not loaded(folder).warnings


def test_a_prompty_that_is_not_there_may_be_made_later(folder: Path) -> None:
    as_loading(folder, "made_later.prompty")
    assert not loaded(folder).warnings


def test_a_prompty_names_a_model_unless_a_parameter_brings_it(folder: Path) -> None:
    put(folder, "flows/p/p.prompty", "---\ninputs:\n  text: {type: string}\n---\nuser:\n{{text}}\n")
    change(folder, "experiment.yaml", "flow: flows/standard", "flow: flows/p")
    change(folder, "experiment.yaml", "run.outputs.label", "run.outputs.output")
    change(folder, "experiment.yaml", "[label]", "[output]")
    change(folder, "experiment.yaml", "  classify.temperature: [0, 0.7]", "  temperature: [0, 0.7]")
    assert ["names no model; add `azure_deployment`" in p.message for p in problems_of(folder)] == [True]
    change(folder, "experiment.yaml", "  temperature: [0, 0.7]", "  deployment_name: [small, large]")
    assert not loaded(folder).warnings
