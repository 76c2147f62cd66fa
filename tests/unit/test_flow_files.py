"""Which file describes a flow: what `flow` may name, and what a use case with flows of each kind is read as."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.flow_files import FlowPlace, find_flow
from tests.unit.use_case_folder import change, loaded, only_problem, problems_of, put, written

PROMPTY = (
    "---\nmodel:\n  configuration: {azure_deployment: gpt}\ninputs:\n  text: {type: string}\n---\nuser:\n{{text}}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize(
    ("files", "flow", "evaluator", "found"),
    [
        (["flows/a/flow.dag.yaml"], "a", False, "flows/a/flow.dag.yaml"),
        (["flows/a/flow.dag.yml"], "flows/a", False, "flows/a/flow.dag.yml"),
        (["flows/a/flow.flex.yaml", "flows/a/b.prompty", "flows/a/eval_b.py"], "a", True, "flows/a/flow.flex.yaml"),
        (["flows/a/flow.flex.yml"], "flows/a/flow.flex.yml", False, "flows/a/flow.flex.yml"),
        (["flows/a/b.prompty"], "a", False, "flows/a/b.prompty"),
        (["flows/a/b.prompty", "flows/a/c.prompty"], "a/c.prompty", False, "flows/a/c.prompty"),
        (["flows/b.prompty"], "b.prompty", False, "flows/b.prompty"),
        (["flows/a/eval_b.py"], "a", True, "flows/a"),
        (["flows/a/eval_b.py", "flows/a/judge.prompty"], "a", True, "flows/a"),
        (["flows/a/eval_b.py", "flows/a/judge.prompty"], "a", False, "flows/a/judge.prompty"),
        (["a/notes.txt", "flows/a/flow.dag.yaml"], "a", False, "flows/a/flow.dag.yaml"),
        (["a/flow.dag.yaml", "flows/a/flow.dag.yaml"], "a", False, "a/flow.dag.yaml"),
    ],
)
def test_a_flow_is_found_by_folder_or_file_with_or_without_flows(
    tmp_path: Path, files: list[str], flow: str, evaluator: bool, found: str
) -> None:
    for file in files:
        put(tmp_path, file, "")
    place = find_flow(flow, tmp_path.resolve(), evaluator=evaluator)
    assert isinstance(place, FlowPlace), place
    assert place.shown(tmp_path.resolve()) == found


@pytest.mark.parametrize(
    ("files", "flow", "says"),
    [
        (["flows/answer/flow.dag.yaml"], "anser", "did you mean 'answer'?"),
        ([], "answer", "is no flow: there is none"),
        (["flows/a/b.prompty", "flows/a/c.prompty"], "a", "more than one flow: b.prompty, c.prompty; name the file"),
        (["flows/a/flow.dag.yaml", "flows/a/flow.flex.yaml"], "a", "more than one flow: flow.dag.yaml, flow.flex.yaml"),
        (["flows/a/eval_b.py"], "a", "only an evaluator may consist of eval_*.py files"),
        (["flows/a/notes.txt"], "a/notes.txt", "is no flow: expected a folder, a .prompty file, or one of"),
        (["flows/a/flow.dag.yaml"], "../flows/a", "is no flow"),
        (["flows/a/flow.dag.yaml"], "x" * 5_000, "is no flow"),
    ],
)
def test_what_is_no_flow_is_said_with_what_was_expected(tmp_path: Path, files: list[str], flow: str, says: str) -> None:
    for file in files:
        put(tmp_path, file, "")
    place = find_flow(flow, tmp_path.resolve(), evaluator=False)
    assert isinstance(place, str)
    assert says in place


def test_a_use_case_may_have_a_prompty_and_a_class_flow_as_evaluator(folder: Path) -> None:
    put(folder, "flows/standard/classify.prompty", PROMPTY)
    change(folder, "experiment.yaml", "flow: flows/standard\n", "flow: flows/standard/classify.prompty\n")
    change(folder, "experiment.yaml", "run.outputs.label", "run.outputs.output")
    change(folder, "experiment.yaml", "classify.temperature", "temperature")
    change(folder, "experiment.yaml", "expected_outputs: [label]", "expected_outputs: [output]")
    (folder / "flows/evaluation/flow.dag.yaml").unlink()
    put(folder, "flows/evaluation/flow.flex.yaml", "entry: score:Score\n")
    put(
        folder,
        "flows/evaluation/score.py",
        "class Score:\n    def __call__(self, expected: str, found: str):\n        return {'hit': expected == found}\n"
        "    def __aggregate__(self, line_results: list):\n        return {'accuracy': 1.0}\n",
    )
    use_case = loaded(folder)
    assert (use_case.flow.name, use_case.flow_file) == ("standard", "classify.prompty")
    assert (use_case.evaluators[0].flow.name, use_case.evaluators[0].flow_file) == ("evaluation", "flow.flex.yaml")
    assert use_case.warnings == ()


def test_an_evaluator_named_like_its_folder_needs_neither_flow_nor_flow_file(folder: Path) -> None:
    put(folder, "flows/scores/eval_scores.py", "def eval_scores(expected, found): ...\n")
    change(folder, "experiment.yaml", "  flow: flows/evaluation\n", "")
    (evaluator,) = loaded(folder).evaluators
    assert (evaluator.flow, evaluator.flow_file) == (folder / "flows" / "scores", "")


def test_an_evaluator_of_whole_runs_may_be_given_anything_and_names_outputs_as_targets(folder: Path) -> None:
    put(folder, "flows/scores/eval_scores.py", "def eval_use_case(run_name, data_id, column_mapping): ...\n")
    change(folder, "experiment.yaml", "  flow: flows/evaluation\n", "")
    change(folder, "experiment.yaml", "run.outputs.label", "target.label")
    assert loaded(folder).evaluators[0].datasets[0].mappings == {
        "expected": "${data.answer}",
        "found": "${target.label}",
    }
    change(folder, "experiment.yaml", "target.label", "target.labl")
    assert "did you mean 'label'?" in only_problem(folder).message


def test_an_argument_of_init_without_a_value_is_a_problem_unless_a_parameter_gives_it(folder: Path) -> None:
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/flow.flex.yaml", "entry: greet:Greet\n")
    code = "class Greet:\n    def __init__(self, size: int): ...\n    def __call__(self, text: str):\n        return {'label': 1}\n"
    put(folder, "flows/standard/greet.py", code)
    change(folder, "experiment.yaml", "parameters:\n  classify.temperature: [0, 0.7]\n", "")
    problem = only_problem(folder)
    assert (problem.key, problem.line) == ("flow", 2)
    assert "the argument 'size' of its `__init__` has no value; give it one in init.json" in problem.message
    change(folder, "experiment.yaml", "gates:\n", "parameters:\n  init.size: [1, 2]\n\ngates:\n")
    assert loaded(folder).parameters == {"init.size": (1, 2)}


def test_a_flow_that_is_used_twice_is_read_once_and_its_problems_are_told_once(folder: Path) -> None:
    put(folder, "flows/evaluation/grade.py", "def grade(:\n")
    text = (folder / "experiment.yaml").read_text()
    block = text[text.index("- name: scores") : text.index("parameters:")]
    put(folder, "experiment.yaml", text.replace(block, block + block.replace("name: scores", "name: again")))
    assert [p.file for p in problems_of(folder)] == ["flows/evaluation/grade.py"]
