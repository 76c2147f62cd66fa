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


def test_wrong_options_of_the_target_that_is_deployed_to_are_warned_of_and_those_of_others_are_not(
    folder: Path,
) -> None:
    put(
        folder,
        "configs/deployment_config.json",
        """{
  "webapp_endpoint": [{"ENV_NAME": "dev", "WEB_APP_SKU": "B3"}],
  "kubernetes_cluster": [{"ENV_NAME": "dev", "CLUSTER_URI": "https://k", "GATEWAY_NAME": "g", "PUBLIC_URL": "https://f"}],
  "azure_managed_endpoint": [{"ENV_NAME": "dev", "AUTH_MODE": "none"}]
}
""",
    )
    put(folder, "configs/sample.json", '{"text": "Good evening"}')
    config = "flows/greetings/configs/deployment_config.json"
    for kind, line, expected in (
        ("webapp_endpoint", 2, ["APP_PLAN_NAME is missing", "USER_MANAGED_ID is missing", "WEB_APP_SKU is 'B3'"]),
        ("kubernetes_cluster", 3, ["did you mean 'CLUSTER_URL'?", "CLUSTER_URL is missing"]),
        ("azure_managed_endpoint", 4, ["AUTH_MODE is 'none'"]),
    ):
        put(folder, "experiment.dev.yaml", f"deployment:\n  target: {kind}\n  sample_request: configs/sample.json\n")
        done = run("validate", "greetings", "-e", "dev")
        assert done.exit_code == ExitCode.OK, done.stdout
        warnings = [each for each in done.stdout.splitlines() if each.startswith("warning: ")]
        assert len(warnings) == len(expected), done.stdout
        for warning, says in zip(warnings, expected, strict=True):
            assert warning.startswith(f"warning: {config}:{line}: {kind} (dev): ")
            assert says in warning


def test_a_target_that_an_environment_lacks_is_refused_by_the_name_of_the_environment(folder: Path) -> None:
    put(folder, "configs/deployment_config.json", '{"webapp_endpoint": [{"ENV_NAME": "pr"}]}')
    put(folder, "experiment.dev.yaml", "deployment:\n  target: webapp_endpoint\n")
    refused = run("validate", "greetings", "-e", "dev")
    assert refused.exit_code == ExitCode.NO
    assert "'webapp_endpoint' is no target of the environment 'dev' in configs/deployment_config.json" in refused.stdout
