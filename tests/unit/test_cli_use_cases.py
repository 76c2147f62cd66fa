"""`validate` names every problem of a use case folder by file and line."""

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


def test_a_warning_is_shown_with_its_line_and_leaves_the_folder_valid(folder: Path) -> None:
    line = change(folder, "experiment.yaml", '    text: "${data.text}"\n', '    txt: "${data.text}"\n')
    done = run("validate", "greetings")
    assert done.exit_code == ExitCode.OK
    assert f"warning: flows/greetings/experiment.yaml:{line}: datasets[0].mappings.txt: " in done.stdout
    assert "is valid in dev" in done.stdout
    checked = printed_json(run("validate", "greetings", "--json"))
    assert checked["valid"] is True
    assert [(warning["line"], warning["key"]) for warning in checked["warnings"]] == [
        (line, "datasets[0].mappings.txt")
    ]


def test_a_warning_is_shown_beside_problems_as_well(folder: Path) -> None:
    change(folder, "experiment.yaml", '    text: "${data.text}"\n', '    txt: "${data.text}"\n')
    change(folder, "experiment.yaml", "traffic: 10", "traffic: ten")
    refused = run("validate", "greetings")
    assert refused.exit_code == ExitCode.NO
    assert "warning: " in refused.stdout
    assert "1 problem in" in refused.stdout
