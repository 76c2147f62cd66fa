"""Where the demo plays: it empties its own home, but never under a host that lives there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from genaiops.cli.outcome import ExitCode
from genaiops.demo.stage import demo_settings
from genaiops.embedded import Embedded
from genaiops.host import HostError
from shared.errors import GenAIOpsError
from shared.settings import read
from tests.cli import run

HOST = """
import sys
from pathlib import Path
from genaiops.host.lock import HomeLock
lock = HomeLock(Path(sys.argv[1]))
lock.acquire()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's home, with what an earlier demo has left."""
    monkeypatch.setenv("GENAIOPS_HOME", str(tmp_path))
    home = tmp_path / "demo"
    (home / "host").mkdir(parents=True)
    (home / "queues.db").write_text("kept messages")
    return home


@pytest.fixture
def host(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the home's lock, as a host has it."""
    command = [sys.executable, "-c", HOST, str(home / "host")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_what_an_earlier_demo_left_is_deleted(home: Path) -> None:
    assert demo_settings().home == home
    assert not home.exists()


def test_a_first_demo_finds_nothing_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAIOPS_HOME", str(tmp_path))
    assert demo_settings().home == tmp_path / "demo"
    assert list(tmp_path.iterdir()) == []


def test_under_a_host_nothing_is_deleted_and_the_one_line_says_what_to_do(
    home: Path, host: subprocess.Popen[str]
) -> None:
    refused = run("demo")
    assert refused.exit_code == ExitCode.NO
    (line,) = refused.stderr.splitlines()
    assert f"A host (pid {host.pid}) runs in {home}" in line
    assert "Nothing was deleted" in line
    assert f"kill {host.pid}" in line
    assert "GENAIOPS_HOME" in line
    assert (home / "queues.db").read_text() == "kept messages"


def test_a_host_that_is_only_starting_has_its_home_already(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []

    def start_stand_in(*_arguments: object, **_options: object) -> None:
        with pytest.raises(HostError) as refused:
            demo_settings()
        refusals.append(str(refused.value))
        raise GenAIOpsError("that is far enough")

    monkeypatch.setattr("genaiops.stand_in_model.start_stand_in", start_stand_in)
    with pytest.raises(GenAIOpsError, match="far enough"):
        Embedded(replace(read(), home=home)).start()

    (refusal,) = refusals
    assert f"A host (pid {os.getpid()}) runs in {home}" in refusal
    demo_settings()  # the start that failed has let the home go
    assert not home.exists()


def test_a_host_that_was_killed_does_not_keep_the_demo_from_starting(home: Path, host: subprocess.Popen[str]) -> None:
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    demo_settings()
    assert not home.exists()
