"""Runs a program that a model wrote, in a Python process of its own that can compute and print, and little else.

The process gets no environment, no network, no files and no children; its processor time, memory and output are limited,
and it is killed when its time is up. What that does not promise is in the README of the use case.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

GUARD = Path(__file__).with_name("sandbox_guard.py")
CPU_S = 2
MEMORY_MB = 256
WALL_S = 10.0
PRINTED = 4_000  # characters that a program may print
LONGEST = 20_000  # characters of a program
_REPORT = 6 * PRINTED + 4_000  # bytes that the guard's report may have: JSON spells a character with up to six


@dataclass(frozen=True)
class Outcome:
    """What a program did: what it printed, or why that does not count."""

    printed: str
    error: str


def run(program: str, *, wall_s: float = WALL_S, cpu_s: int = CPU_S, memory_mb: int = MEMORY_MB) -> Outcome:
    """Run a program and wait for its end, at most `wall_s` seconds. Never raises for what the program does."""
    if len(program) > LONGEST:
        return Outcome("", f"the program is longer than {LONGEST} characters")
    limits = {"cpu_s": cpu_s, "memory_mb": memory_mb, "wall_s": wall_s, "printed": PRINTED}
    asked = json.dumps({"program": program, **limits})
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen(
            # -I: no variables, no user packages, no current folder; -S: no site packages; -X utf8: whatever the locale
            [sys.executable, "-I", "-S", "-X", "utf8", str(GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=empty,
            env=_bare_environment(),
            start_new_session=True,
        )
        timer = threading.Timer(wall_s, _kill, (process,))
        timer.start()
        try:
            said = _exchange(process, asked)
        finally:
            timed_out = not timer.is_alive()
            timer.cancel()
            _kill(process)
            process.wait()
    return _outcome(said, process.returncode, timed_out=timed_out)


def _bare_environment() -> dict[str, str]:
    """Nothing, but for what Windows needs to start any process."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}


def _exchange(process: subprocess.Popen[bytes], asked: str) -> bytes:
    """Hand the program over and read the report, as far as a report may go: more is not read, so it cannot fill us."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(asked.encode())
        process.stdin.close()
    except OSError:
        pass  # it ended before it had read everything: its exit code tells
    with process.stdout:
        return process.stdout.read(_REPORT)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process and, in case it got that far, its children."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, OSError):  # Windows has no groups
        process.kill()


def _outcome(said: bytes, code: int, *, timed_out: bool) -> Outcome:
    try:
        report = json.loads(said)
        return Outcome(str(report["printed"]), str(report["error"]))
    except (ValueError, KeyError, TypeError):
        pass  # it did not get to its report
    if len(said) >= _REPORT:
        return Outcome("", "output limit: the program's process wrote too much")
    if timed_out:
        return Outcome("", "time limit: the program was still running")
    if code in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0)) and code:
        return Outcome("", "time limit: the program used up its processor time")
    return Outcome("", f"the program's process ended by itself (exit code {code})")
