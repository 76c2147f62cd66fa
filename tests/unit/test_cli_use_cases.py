"""`validate` names every problem by file and line; `plan` counts what a chain would run; neither runs anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.cli.outcome import ExitCode
from tests.cli import printed_json, run
from tests.unit.use_case_folder import change, put, written


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The use case `greetings` in an app of its own: 2 variants and 1 other temperature on 3 rows, one llm node."""
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return written(tmp_path)


def test_a_valid_folder_is_valid_by_name_and_by_path(folder: Path) -> None:
    for use_case in ("greetings", str(folder), "flows/greetings"):
        done = run("validate", use_case)
        assert done.exit_code == ExitCode.OK, done.stdout
        assert "is valid in dev" in done.stdout


def test_every_problem_of_every_environment_is_shown_once_with_its_file_and_line(folder: Path) -> None:
    put(folder, "experiment.pr.yaml", "datasets:\n- name: train\n  source: nowhere.jsonl\n")
    line = change(folder, "experiment.yaml", "    at_least: 0.5\n", "    at_leest: 0.5\n")
    refused = run("validate", "greetings")
    assert refused.exit_code == ExitCode.NO
    lines = refused.stdout.splitlines()
    assert [shown for shown in lines if shown.startswith(f"flows/greetings/experiment.yaml:{line}: ")] != []
    assert [shown for shown in lines if shown.startswith("flows/greetings/experiment.pr.yaml:3: ")] != []
    assert len(lines) == len(set(lines))
    checked = printed_json(run("validate", "greetings", "--json"))
    assert checked["valid"] is False
    assert checked["environments"] == ["dev", "pr"]
    assert {problem["file"] for problem in checked["problems"]} == {
        "flows/greetings/experiment.yaml",
        "flows/greetings/experiment.pr.yaml",
    }


def test_one_environment_can_be_checked_alone(folder: Path) -> None:
    put(folder, "experiment.pr.yaml", "datasets:\n- name: train\n  source: nowhere.jsonl\n")
    assert run("validate", "greetings", "-e", "dev").exit_code == ExitCode.OK
    assert run("validate", "greetings", "-e", "pr").exit_code == ExitCode.NO


def test_a_use_case_that_is_not_there_is_not_found(folder: Path) -> None:
    del folder
    refused = run("validate", "farewells")
    assert refused.exit_code == ExitCode.NOT_FOUND
    assert "greetings" in refused.stderr
    assert run("validate", "..").exit_code == ExitCode.USAGE


def test_plan_counts_runs_evaluations_lines_and_model_calls(folder: Path) -> None:
    del folder
    planned = printed_json(run("plan", "greetings", "--json"))
    assert planned["counts"] == {"runs": 3, "evaluations": 3, "lines": 9, "evaluation_lines": 9, "model_calls": 9}
    assert [one["label"] for one in planned["runs"]] == ["default", "classify.terse", "classify.temperature=0.7"]
    assert "approval" in planned["steps"]
    shown = run("plan", "greetings")
    assert "3 runs with 9 lines, 3 evaluations with 9 lines, 9 model calls. Nothing was run." in shown.stdout


def test_plan_follows_selection_and_overlay(folder: Path) -> None:
    put(
        folder,
        "experiment.pr.yaml",
        "datasets:\n- name: train\n  source: data/train.jsonl\n  max_rows: 2\n  mappings:\n    text: ${data.text}\n",
    )
    planned = printed_json(run("plan", "greetings", "--kind", "pr", "-e", "pr", "--variants", "defaults", "--json"))
    assert planned["counts"] == {"runs": 1, "evaluations": 1, "lines": 2, "evaluation_lines": 2, "model_calls": 2}


def test_a_selection_that_names_nothing_is_refused(folder: Path) -> None:
    del folder
    refused = run("plan", "greetings", "--variants", "verbose")
    assert refused.exit_code == ExitCode.NO
    assert "verbose" in refused.stderr


def test_a_dataset_chain_runs_what_its_dataset_touches(folder: Path) -> None:
    more = put(folder.parents[1], "more.jsonl", '{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n')
    planned = printed_json(run("plan", "greetings", "--kind", "dataset", "--dataset", "train", "--json"))
    assert planned["counts"]["lines"] == 9
    as_uploaded = run("plan", "greetings", "--kind", "dataset", "--dataset", "train", "--file", str(more), "--json")
    assert printed_json(as_uploaded)["counts"]["runs"] == 3
    assert run("plan", "greetings", "--kind", "dataset").exit_code == ExitCode.USAGE


def test_a_cd_chain_runs_nothing_and_says_what_it_walks(folder: Path) -> None:
    del folder
    planned = printed_json(run("plan", "greetings", "--kind", "cd", "--json"))
    assert planned["counts"]["runs"] == 0
    assert planned["steps"][:3] == ["preparation", "approval", "deployment"]
    assert "rollback" not in planned["steps"]
