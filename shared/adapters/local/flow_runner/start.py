"""Starting a worker's process: its command, and an environment in which prompt flow is kept quiet and apart.

What speaks to the process is `process.py`, and it takes copies of the fork server (`fork_server.py`) in the same way.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, Protocol

from shared.adapters.local.engines.environment import engine_environment

_ROOT: Final = Path(__file__).parents[4]
_MODULE: Final = "shared.adapters.local.flow_runner.worker"


class Started(Protocol):
    """A worker's process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...
    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    @property
    def stderr(self) -> IO[bytes] | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


def started(python: str, scratch: Path, *, preload: bool) -> Started:
    """A worker's process. Start it in a thread that outlives it: Linux kills the worker when that thread ends.

    `preload` has it import prompt flow at once, which takes seconds; without, only a flow that needs it does.
    """
    return subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [python, "-m", _MODULE, str(os.getpid()), str(scratch), "promptflow" if preload else "plain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=scratch,
        env=worker_environment(scratch),
        start_new_session=True,  # Ctrl-C in the terminal is the host's: it drains first
    )


def worker_environment(scratch: Path) -> Mapping[str, str]:
    """A worker's environment: prompt flow kept quiet and apart, in a home of its own that is made under `scratch`."""
    home = scratch / "promptflow"
    home.mkdir(parents=True, exist_ok=True)
    # Without these prompt flow phones home and starts a service (port 23333) that outlives everybody.
    home.joinpath("pf.yaml").write_text("telemetry:\n  enabled: false\ntrace:\n  destination: none\n", encoding="utf-8")
    return {
        **engine_environment(),
        "PYTHONPATH": str(_ROOT),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "PYTHONFAULTHANDLER": "1",
        "PF_HOME_DIRECTORY": str(home),
        "PF_LOGGING_LEVEL": "CRITICAL",
        "PF_SKIP_SERIALIZATION_CHECK": "true",  # outputs are checked once, by us
    }
