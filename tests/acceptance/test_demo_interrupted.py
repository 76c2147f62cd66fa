"""A demo that is interrupted in the middle of its runs ends soon, with the signal's exit code, and leaves no process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0


def until(holds: Callable[[], object], what: Callable[[], str]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < limit, f"never happened: {what()}"
        time.sleep(0.05)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_ends_with_the_signals_code_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-u", "-m", "genaiops", "demo"],
            cwd=ROOT,
            env=os.environ | {"GENAIOPS_HOME": str(tmp_path / "home")},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        until(lambda: demo.poll() is not None or re.search(r"\d+ of \d+ runs", output.read_text()), output.read_text)
        started = psutil.Process(demo.pid).children(recursive=True)
        assert started, "the stand-in model and the flow runner's workers"

        demo.send_signal(number)

        assert demo.wait(PATIENCE_S) == code, output.read_text()
        assert "Interrupted. No process is left running." in output.read_text()
        assert "Traceback" not in output.read_text()
        until(lambda: not alive(started), lambda: f"{alive(started)} end")
    finally:
        demo.kill()
        demo.wait()
