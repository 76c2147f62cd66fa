"""`start` as a user runs it: a process that serves, takes chains from other processes, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from genaiops.cli.outcome import ExitCode
from shared import bootstrap, settings
from tests.unit.use_case_folder import TRUTH, put, written

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Started:
    """A running `python -m genaiops start` with a home and ports of its own."""

    def __init__(self, home: Path) -> None:
        http, router, stand_in = free_ports(3)
        self.url = f"http://127.0.0.1:{http}"
        self.router = f"http://127.0.0.1:{router}"
        self.environment = os.environ | {
            "GENAIOPS_HOME": str(home),
            "GENAIOPS_HTTP_PORT": str(http),
            "GENAIOPS_ROUTER_PORT": str(router),
            "GENAIOPS_STAND_IN_PORT": str(stand_in),
            "GENAIOPS_ENV_FILE": str(home / "no.env"),
        }
        home.mkdir(parents=True, exist_ok=True)
        self.log = (home / "start.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "genaiops", "start"],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
        )

    def said(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def wait_until_serving(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while "Everything is up." not in self.said():
            assert time.monotonic() < deadline, self.said()
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)
        with urllib.request.urlopen(f"{self.url}/api/dashboard", timeout=PATIENCE_S) as answer:
            assert answer.status == 200

    def command(self, *arguments: str, patience: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "genaiops", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=patience, check=False,
        )  # fmt: skip

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    running = Started(tmp_path / "home")
    try:
        running.wait_until_serving()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        running.log.close()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, left = psutil.wait_procs(processes, timeout=PATIENCE_S)
    return left


def test_start_takes_chains_from_other_processes_and_sigterm_leaves_nothing_behind(
    started: Started, tmp_path: Path
) -> None:
    said = started.said()
    assert f"{started.url}/api/dashboard" in said
    assert "STAND-IN MODEL IN USE (rules, not an LLM)" in said
    folder = written(tmp_path)
    put(folder, "data/truth.csv", TRUTH)
    release = ("--kind", "cd", "--flow-version", "9")  # nothing is registered yet: only the chain can know
    ended = started.command("submit", str(folder), *release, "--wait", "--timeout", "60")
    assert ended.returncode == ExitCode.NO, ended.stdout + ended.stderr
    assert "There is no registered version 9 of greetings" in ended.stdout
    listed = started.command("status")
    assert "failed" in listed.stdout

    children = started.descendants()
    assert children != [], "the stand-in model is a process of its own"
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(PATIENCE_S) == ExitCode.OK
    assert alive(children) == []
    assert "Stopped." in started.said()


@pytest.mark.timeout(400)
def test_a_chain_makes_the_very_runs_that_plan_has_counted(started: Started, tmp_path: Path) -> None:
    arguments = ("ticket_triage", "--kind", "pr", "--environment", "pr")
    planned = json.loads(started.command("plan", *arguments, "--json").stdout)
    ended = started.command("submit", *arguments, "--wait", "--json", patience=300)
    assert ended.returncode in (ExitCode.OK, ExitCode.NO), ended.stderr  # whether gates hold is not the plan's affair
    last = json.loads(ended.stdout.splitlines()[-1])
    counts = planned["counts"]
    assert last["runs"] == {"done": counts["runs"], "failed": 0, "planned": counts["runs"]}
    assert last["lines"] == {"done": counts["lines"], "planned": counts["lines"], "reused": 0}
    assert last["evaluations"] == {"done": counts["evaluations"], "started": counts["evaluations"]}

    report = started.command("report", last["chain"], "--out", str(tmp_path), "--json")
    assert "report.html" in {Path(file).name for file in json.loads(report.stdout)["files"]}
    blobs = bootstrap.wire(settings.read(started.environment)).blobs
    results = {info.name.removeprefix(f"{last['chain']}/") for info in blobs.list("results", f"{last['chain']}/")}
    assert {name.split("/")[0] for name in results} == {run["name"] for run in planned["runs"]}
    evaluated = {(run["name"], one["evaluator"]) for run in planned["runs"] for one in run["evaluations"]}
    assert {f"{run}/evaluations/{evaluator}/run.json" for run, evaluator in evaluated} <= results


def test_a_second_host_on_the_same_home_says_who_is_there_and_leaves_the_first_alone(started: Started) -> None:
    second = started.command("start")
    assert second.returncode == ExitCode.NO
    assert f"Another host (pid {started.process.pid}) runs in" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    started.wait_until_serving()


def test_killing_the_host_takes_its_children_along_and_the_next_one_starts(tmp_path: Path, started: Started) -> None:
    children = started.descendants()
    started.process.kill()
    started.process.wait()
    assert alive(children) == []
    again = Started(tmp_path / "home")
    try:
        again.wait_until_serving()
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(PATIENCE_S) == ExitCode.OK, again.said()
    finally:
        if again.process.poll() is None:
            again.process.kill()
            again.process.wait()
        again.log.close()
