"""Mistakes in `experiment.yaml`: each is named by file, line and key, and all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.load import InvalidUseCase, load
from tests.unit.use_case_folder import EXPERIMENT, change, loaded, only_problem, problems_of, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("datasets:\n- name: train", "dataset:\n- name: train", "dataset", "did you mean 'datasets'?"),
        ("name: greetings\n", "name: Grüße\n", "name", "is not a valid name"),
        ("name: greetings\n", "name: a/b\n", "name", "is not a valid name"),
        ("flow: flows/standard", "flow: flows/standrad", "flow", "did you mean 'flows/standard'?"),
        (
            "flow: flows/standard",
            "flow: ../greetings/flows/standard",
            "flow",
            "is no flow; did you mean 'flows/standard'?",
        ),
        ("api_key: ${api_key}", "api_key: sk-123", "connections[0].api_key", "secret in clear"),
        ("- name: aoai", "- name: other", "flow", "connection 'aoai', which `connections` does not list"),
        ("source: data/train.jsonl", "source: data/trian.jsonl", "datasets[0].source", "there is no file"),
        ("source: data/train.jsonl", "source: ../../x.jsonl", "datasets[0].source", "without `..`"),
        (
            "source: data/train.jsonl",
            "source: azureml:a/b:1",
            "datasets[0].source",
            "names no data asset; expected azureml:",
        ),
        ("source: data/train.jsonl", "source: sample.json", "datasets[0].source", "must end in one of"),
        ("  description: For experiments.", "  reference: x", "datasets[0].reference", "only an evaluator's dataset"),
        ("  description: For experiments.", "  max_rows: 0", "datasets[0].max_rows", "whole number from 1"),
        ("${data.text}", "${data.txt}", "datasets[0].mappings.text", "did you mean 'text'?"),
        ("${data.text}", "${dta.text}", "datasets[0].mappings.text", "refers to nothing"),
        ("${data.text}", "${run.outputs.label}", "datasets[0].mappings.text", "only an evaluator reads"),
        ("${run.outputs.label}", "${run.outputs.labl}", "evaluators[0].datasets[0].mappings.found", "'label'"),
        ("${run.outputs.label}", "${run.inputs.txt}", "evaluators[0].datasets[0].mappings.found", "'text'"),
        ("reference: train", "reference: trian", "evaluators[0].datasets[0].reference", "did you mean 'train'?"),
        ("  - name: truth", "  - name: train", "evaluators[0].datasets[0].name", "is an experiment dataset"),
        ("flow: flows/evaluation", "flow: evaluations", "evaluators[0].flow", "did you mean 'evaluation'?"),
        ("classify.temperature", "classfy.temperature", "parameters.classfy.temperature", "'classify'"),
        ("classify.temperature", "classify.temprature", "parameters.classify.temprature", "'temperature'"),
        ("classify.temperature", "temprature", "parameters.temprature", "did you mean 'temperature'?"),
        ("classify.temperature", "classify.text", "parameters.classify.text", "fed by the flow"),
        ("classify.temperature", "parse.other", "parameters.parse.other", "is no input of the node 'parse'"),
        ("[0, 0.7]", "[]", "parameters.classify.temperature", "one or more values"),
        ("[0, 0.7]", "0.7", "parameters.classify.temperature", "expected a list"),
        ("[0, 0.7]", "[0, 0]", "parameters.classify.temperature[1]", "is there twice"),
        ("[0, 0.7]", "[0, .nan]", "parameters.classify.temperature[1]", "expected a constant"),
        ("choose_by: scores.accuracy", "choose_by: score.accuracy", "gates.choose_by", "did you mean 'scores'?"),
        ("choose_by: scores.accuracy", "choose_by: accuracy", "gates.choose_by", "<evaluator>.<metric>"),
        ("    dataset: train", "    dataset: trein", "gates.checks[0].dataset", "did you mean 'train'?"),
        ("    at_least: 0.5", "    at_lest: 0.5\n    at_most: 1", "gates.checks[0].at_lest", "'at_least'"),
        ("    at_least: 0.5\n", "", "gates.checks[0]", "sets no limit"),
        ("    at_least: 0.5", "    at_least: high", "gates.checks[0].at_least", "expected a number"),
        ("    at_least: 0.5", "    at_least: 2\n    at_most: 1", "gates.checks[0].at_least", "nothing passes"),
        ("    at_least: 0.5", "    max_drop: -1", "gates.checks[0].max_drop", "expected a number from 0"),
        ("approvers: [ann@example.org]", "approvers: []", "approval.approvers", "names nobody"),
        ("approvers: [ann@example.org]", "approvers: [a, a]", "approval.approvers[1]", "twice"),
        ("approvers: [ann@example.org]", "approvers: [a, A]", "approval.approvers[1]", "twice"),
        ("approvers: [ann@example.org]", "approvers: [{group: team}]", "approval.approvers[0].group", "object id"),
        (
            "approvers: [ann@example.org]",
            "approvers: [{group: 3f2a9c41-0000-4000-8000-00000000aa01}]",
            "approval.approvers[0]",
            "'mail' is missing",
        ),
        (
            "approvers: [ann@example.org]",
            "approvers: [{group: 3f2a9c41-0000-4000-8000-00000000aa01, mail: team}]",
            "approval.approvers[0].mail",
            "mail address of the group",
        ),
        ("approvers: [ann@example.org]", "approvers: [{mail: a@b.c}]", "approval.approvers[0]", "'group' is missing"),
        ("timeout_minutes: 30", "timeout_minutes: 30\n  required: 2", "approval.required", "names only 1"),
        ("timeout_minutes: 30", "timeout_minutes: 30\n  required: 0", "approval.required", "from 1 to 20"),
        (
            "timeout_minutes: 30",
            "timeout_minutes: 30\n  requester_may_approve: 1",
            "approval.requester_may_approve",
            "true",
        ),
        ("timeout_minutes: 30", "timeout_minutes: 0", "approval.timeout_minutes", "expected a number from"),
        ("reminder_minutes: 10", "reminder_minutes: 45", "approval.reminder_minutes", "not before the timeout"),
        ("endpoint: greetings", "endpoint: a b", "deployment.endpoint", "is not a valid name"),
        ("traffic: 10", "traffic: 101", "deployment.traffic", "from 0 to 100"),
        ("after_ci: true", "after_ci: yes please", "deployment.after_ci", "expected true or false"),
        ("sample_request: sample.json", "sample_request: s.json", "deployment.sample_request", "there is no file"),
        ("expected_outputs: [label]", "expected_outputs: [lable]", "deployment.expected_outputs[0]", "'label'"),
        ("test_calls: 3", "test_calls: 3\nreuse: line", "reuse", "did you mean 'lines'?"),
        ("test_calls: 3", "test_calls: 3\ntolerated_failures: 2", "tolerated_failures", "from 0 to 1"),
        ("test_calls: 3", "test_calls: 3\nconcurrency: many", "concurrency", "whole number"),
    ],
)
def test_a_mistake_is_named_by_line_and_key_with_what_was_expected(
    folder: Path, old: str, new: str, key: str, says: str
) -> None:
    assert EXPERIMENT.count(old) >= 1
    text = EXPERIMENT.replace(old, new, 1)
    put(folder, "experiment.yaml", text)
    found = [p for p in problems_of(folder) if p.key == key]
    assert len(found) == 1, [str(p) for p in problems_of(folder)]
    assert says in found[0].message
    assert found[0].file == "experiment.yaml"
    last = key.rsplit(".", 1)[-1].split("[", maxsplit=1)[0]
    shown = text.splitlines()[found[0].line - 1]
    assert last in shown or key.endswith("]"), f"line {found[0].line} is {shown!r}"


def test_all_problems_come_at_once_in_the_order_of_the_file(folder: Path) -> None:
    change(folder, "experiment.yaml", "traffic: 10", "traffic: ten")
    change(folder, "experiment.yaml", "${data.text}", "${data.txt}")
    change(folder, "experiment.yaml", "at_least: 0.5", "at_least: a")
    found = problems_of(folder)
    assert [p.key for p in found] == ["datasets[0].mappings.text", "gates.checks[0].at_least", "deployment.traffic"]
    assert [p.line for p in found] == sorted(p.line for p in found)


def test_a_misspelt_input_is_named_and_the_one_that_is_missing_too(folder: Path) -> None:
    line = change(folder, "experiment.yaml", '    text: "${data.text}"', '    txt: "${data.text}"')
    put(folder, "data/train.jsonl", '{"txt": "a"}\n{"txt": "a"}\n{"txt": "a"}\n')
    keys = {(p.key, p.line) for p in problems_of(folder)}
    assert ("datasets[0].mappings.txt", line) in keys
    assert ("datasets[0].mappings", line - 1) in keys


def test_duplicate_names_are_refused(folder: Path) -> None:
    change(
        folder,
        "experiment.yaml",
        "evaluators:\n",
        "- name: train\n  source: data/train.jsonl\n  mappings: {text: x}\n\nevaluators:\n",
    )
    assert only_problem(folder).key == "datasets[1].name"


def test_the_use_case_must_be_the_one_that_was_asked_for(folder: Path) -> None:
    with pytest.raises(InvalidUseCase, match="'greetings', but the use case 'farewells' was asked for"):
        load(folder, "dev", data=folder.parents[1] / "data", name="farewells")


def test_of_very_many_problems_the_first_are_listed_and_the_others_counted(folder: Path) -> None:
    text = (folder / "experiment.yaml").read_text()
    (folder / "experiment.yaml").write_text(text + "".join(f"unknown_{n}: 1\n" for n in range(1_000)))
    with pytest.raises(InvalidUseCase) as caught:
        load(folder, "dev", data=folder.parents[1] / "data")
    assert len(caught.value.problems) == 200
    assert caught.value.more == 800
    assert str(caught.value).startswith("The use case is not valid: 1,000 problems.")
    assert str(caught.value).endswith("and 800 more")


def test_a_deployment_needs_a_sample_request(folder: Path) -> None:
    line = change(folder, "experiment.yaml", "  sample_request: sample.json\n", "")
    problem = only_problem(folder)
    assert (problem.key, problem.line) == ("deployment.sample_request", line - 3 - 1)
    assert "with which the endpoint is tested" in problem.message


def test_who_approves_must_be_said_where_a_merge_asks_for_it(folder: Path) -> None:
    change(folder, "experiment.yaml", "  approvers: [ann@example.org]\n", "")
    problem = only_problem(folder)
    assert problem.key == "approval.approvers"
    assert "`deployment.after_ci`" in problem.message
    change(folder, "experiment.yaml", "  after_ci: true\n", "")
    load(folder, "dev", data=folder.parents[1] / "data")


@pytest.mark.parametrize(
    "name", ["environment/env.yaml", "configs/deployment_config.json", "sample-request.json", "experiment.pr.yaml"]
)
def test_a_folder_in_the_place_of_a_file_is_named(folder: Path, name: str) -> None:
    put(folder, f"{name}/notes.txt", "x")
    problem = only_problem(folder)
    assert (problem.file, problem.message.partition(";")[0]) == (name, "is a folder")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("experiment.pr.yml", "rename it to experiment.pr.yaml"),
        ("experiment.yml", "experiment.yaml is beside it"),
    ],
)
def test_a_file_whose_name_ends_in_yml_is_never_read_and_told(folder: Path, name: str, says: str) -> None:
    put(folder, name, "runtime: x\n")
    (warning,) = loaded(folder).warnings
    assert (warning.file, says in warning.message) == (name, True)


@pytest.mark.parametrize("key", ["datasets", "evaluators", "connections", "parameters", "name", "flow"])
def test_a_misspelt_block_is_one_mistake_and_read_all_the_same(folder: Path, key: str) -> None:
    text = (folder / "experiment.yaml").read_text()
    put(folder, "experiment.yaml", f"\n{text}".replace(f"\n{key}:", f"\n{key[:-1]}:", 1).removeprefix("\n"))
    problem = only_problem(folder)
    assert f"did you mean {key!r}?" in problem.message
    line = change(folder, "experiment.yaml", "test_calls: 3", "test_calls: many")
    assert [p.line for p in problems_of(folder)] == [problem.line, line]
