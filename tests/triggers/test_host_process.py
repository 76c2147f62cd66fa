"""The embedded host as a process: it drains on a signal, and being killed at any moment loses nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.triggers.host_process import open_blobs, open_bus
from tests.triggers.hosting import eventually, message

ROOT = Path(__file__).parents[2]


@contextmanager
def process(home: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.triggers.host_process", str(home)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n", child.stderr.read() if child.stderr else ""
        yield child
    finally:
        child.kill()
        child.communicate()


def lines(home: Path, word: str) -> list[str]:
    try:
        content = (home / "log").read_text()
    except FileNotFoundError:
        return []
    return [line.split()[1] for line in content.splitlines() if line.startswith(word)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_functions_end_takes_no_more_and_exits_0(tmp_path, number):
    bus = open_bus(tmp_path)
    bus.send("work", [message("wait", identifier=f"m{i}") for i in range(6)])
    with process(tmp_path) as child:
        eventually(lambda: len(lines(tmp_path, "begin")) == 4, "as many as may run at once have begun")
        child.send_signal(number)
        (tmp_path / "release").touch()
        assert child.wait(30) == 0
    assert sorted(lines(tmp_path, "begin")) == sorted(lines(tmp_path, "end"))
    assert bus.counts("work").active == 6 - len(lines(tmp_path, "end"))


def test_a_second_signal_exits_at_once_and_the_message_comes_again(tmp_path):
    bus = open_bus(tmp_path)
    bus.send("work", [message("wait", identifier="m")])
    with process(tmp_path) as child:
        eventually(lambda: lines(tmp_path, "begin"))
        child.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 128 + signal.SIGTERM
    (tmp_path / "release").touch()
    with process(tmp_path):
        eventually(lambda: lines(tmp_path, "end") == ["m"])


def test_a_stopped_host_gives_its_sessions_back(tmp_path):
    bus = open_bus(tmp_path)
    with process(tmp_path) as child:
        bus.send("events", [message("quick", identifier="e1", session="chain")])
        eventually(lambda: lines(tmp_path, "end") == ["e1"])
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    bus.send("events", [message("quick", identifier="e2", session="chain")])
    assert bus.accept_session("events") == "chain"


def test_killed_again_and_again_at_random_moments_no_message_is_lost(tmp_path):
    bus = open_bus(tmp_path)
    moments = random.Random(7)
    names = [f"m{i}" for i in range(120)]
    events = [f"e{i}" for i in range(60)]
    bus.send("work", [message("quick", identifier=name) for name in names])
    for number, name in enumerate(events):
        bus.send("events", [message("quick", identifier=name, session=f"chain-{number % 3}")])
    for _ in range(6):
        before = len(lines(tmp_path, "begin"))
        with process(tmp_path) as child:
            goal = before + moments.randint(1, 20)
            eventually(lambda: len(lines(tmp_path, "begin")) >= goal, "some more messages have begun")  # noqa: B023
            child.send_signal(signal.SIGKILL)
    with process(tmp_path):
        eventually(lambda: bus.counts("work").active == bus.counts("events").active == 0, "all is done")
    assert set(lines(tmp_path, "end")) == {*names, *events}
    assert bus.counts("work").dead_letter == bus.counts("events").dead_letter == 0
    ended = lines(tmp_path, "end")
    for session in range(3):
        first = [ended.index(name) for name in events[session::3]]
        assert first == sorted(first), "the order within a session was kept"


def test_a_blob_whose_function_was_killed_is_handled_after_the_restart(tmp_path):
    blobs = open_blobs(tmp_path)
    with process(tmp_path) as child:
        blobs.write("datasets", "done", b"quick")
        eventually(lambda: lines(tmp_path, "end") == ["done"])
        blobs.write("datasets", "cut", b"wait")
        eventually(lambda: "cut" in lines(tmp_path, "begin"))
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    (tmp_path / "release").touch()
    with process(tmp_path):
        eventually(lambda: "cut" in lines(tmp_path, "end"))
    assert lines(tmp_path, "begin").count("cut") == 2


def test_one_host_per_home_and_a_killed_one_does_not_block_the_next(tmp_path):
    with process(tmp_path) as first:
        command = [sys.executable, "-m", "tests.triggers.host_process", str(tmp_path)]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 2
        assert f"Another host (pid {first.pid}) runs in {tmp_path}" in second.stderr
        assert "GENAIOPS_HOME" in second.stderr
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    with process(tmp_path):
        pass
