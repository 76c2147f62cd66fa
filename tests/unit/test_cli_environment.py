"""`validate`, `plan` and `submit` name what the environment lacks before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.cli.outcome import ExitCode
from shared.ports import Ports
from tests.cli import FakeBus, fake_ports, run
from tests.unit.use_case_folder import change, put, written


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, FakeBus]:
    """Ports in memory, for an app with the use case `greetings`, which asks for two variables that are not set."""
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path)
    put(folder, "environment/env.yaml", "PLACE: ${PLACE}\n")
    change(folder, "experiment.yaml", "  api_key: ${api_key}\n", "  api_key: ${api_key}\n  endpoint: ${endpoint}\n")
    monkeypatch.setenv("aoai_api_key", "planted-key-of-a-model")
    for name in ("aoai", "AOAI", "aoai_endpoint", "AOAI_ENDPOINT", "PLACE"):
        monkeypatch.delenv(name, raising=False)
    return fake_ports(tmp_path / "home", monkeypatch, GENAIOPS_ROOT=str(tmp_path))


def test_validate_names_both_by_file_and_line(wired: tuple[Ports, FakeBus]) -> None:
    refused = run("validate", "greetings")

    assert refused.exit_code == ExitCode.NO
    assert (
        "flows/greetings/environment/env.yaml:1: PLACE: PLACE is not set; set it in the environment" in refused.stdout
    )
    assert "flows/greetings/experiment.yaml:8: connections[0].endpoint: aoai_endpoint is not set" in refused.stdout
    assert "planted-key" not in refused.stdout


def test_validate_leaves_the_environment_out_where_it_is_told_to(wired: tuple[Ports, FakeBus]) -> None:
    assert run("validate", "greetings", "--no-environment").exit_code == ExitCode.OK


def test_what_the_env_file_sets_is_not_missing(wired: tuple[Ports, FakeBus], tmp_path: Path) -> None:
    put(tmp_path, ".env", "PLACE=Rome\naoai_endpoint=https://models.example.com\n")

    assert run("validate", "greetings").exit_code == ExitCode.OK


@pytest.mark.parametrize("command", ["plan", "submit"])
def test_plan_and_submit_refuse_what_lacks_a_variable(wired: tuple[Ports, FakeBus], command: str) -> None:
    refused = run(command, "greetings")

    assert refused.exit_code == ExitCode.NO
    assert "PLACE is not set" in refused.stdout + refused.stderr
    assert "aoai_endpoint is not set" in refused.stdout + refused.stderr
    assert wired[1].requests() == []


def test_submit_leaves_it_to_a_host_that_has_its_own_environment(wired: tuple[Ports, FakeBus]) -> None:
    assert run("submit", "greetings", "--no-environment").exit_code == ExitCode.OK
    assert len(wired[1].requests()) == 1
