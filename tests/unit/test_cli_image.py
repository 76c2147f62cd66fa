"""`image` writes a context that any Docker host builds, and builds it where Docker runs."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from genaiops.cli.outcome import ExitCode
from tests.cli import printed_json, run
from tests.unit.use_case_folder import written


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The use case `greetings` in an app of its own, and no program on the PATH."""
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    return written(tmp_path)


def docker(tmp_path: Path, script: str) -> None:
    program = tmp_path / "bin" / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_the_context_is_written_and_what_to_do_with_it_is_said(tmp_path: Path) -> None:
    done = run("image", "greetings")
    assert done.exit_code == ExitCode.OK, done.stderr
    there = tmp_path / "image" / "greetings"
    assert (there / "Dockerfile").is_file()
    served = json.loads((there / "app" / "served.json").read_text())
    assert (served["package"], served["root"], served["dag"]) == ("greetings", "use-case", "served.dag.yaml")
    assert "docker build --tag greetings image/greetings" in done.stdout
    assert "docker run --rm --read-only --tmpfs /tmp --publish 8080:8080" in " ".join(done.stdout.split())


def test_twice_gives_the_same_digest_and_scripts_get_the_variables_that_a_container_needs(tmp_path: Path) -> None:
    first = printed_json(run("image", "greetings", "--json"))
    second = printed_json(run("image", "greetings", "--output", str(tmp_path / "other"), "--json"))
    assert first["digest"] == second["digest"]
    assert first["tag"] == first["digest"][:24]
    assert first["variables"] == ["AOAI_API_BASE", "AOAI_API_KEY"]


def test_without_docker_nothing_is_written_and_the_way_out_is_told(tmp_path: Path) -> None:
    refused = run("image", "greetings", "--build", "greetings:1")
    assert refused.exit_code == ExitCode.NO
    assert "no `docker` on the PATH" in refused.stderr
    assert "az acr build" in refused.stderr
    assert not (tmp_path / "image").exists()


def test_docker_without_an_engine_is_told_in_its_own_words(tmp_path: Path) -> None:
    docker(tmp_path, 'echo "Cannot connect to the Docker daemon" >&2; exit 1')
    refused = run("image", "greetings", "--build", "greetings:1")
    assert refused.exit_code == ExitCode.NO
    assert "Cannot connect to the Docker daemon" in refused.stderr
    assert not (tmp_path / "image").exists()


def test_docker_builds_the_context_under_the_tag(tmp_path: Path) -> None:
    docker(tmp_path, f'echo "$@" >> {tmp_path}/asked; echo 27.0')
    done = run("image", "greetings", "--build", "greetings:1")
    assert done.exit_code == ExitCode.OK, done.stderr
    assert (tmp_path / "asked").read_text().splitlines()[1] == "build --tag greetings:1 image/greetings"
    assert "greetings:1 is built" in done.stdout


def test_a_build_that_fails_fails_the_command(tmp_path: Path) -> None:
    docker(tmp_path, '[ "$1" = version ] || exit 17')
    refused = run("image", "greetings", "--build", "greetings:1")
    assert refused.exit_code == ExitCode.NO
    assert "ended with code 17" in refused.stderr


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("…")
    refused = run("image", "greetings", "--output", str(tmp_path / "mine"))
    assert refused.exit_code == ExitCode.NO
    assert "is not empty" in refused.stderr


def test_an_invalid_use_case_is_refused(folder: Path) -> None:
    (folder / "experiment.yaml").write_text("name: greetings\n")
    assert run("image", "greetings").exit_code == ExitCode.NO
