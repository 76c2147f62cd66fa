"""The stand-in model as a child process: started, waited for, and never left behind.

The child holds the read end of a pipe as its standard input and exits when that ends, so it goes even where its parent
was killed and could not stop it.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from shared.child_environment import inherited_environment
from shared.errors import GenAIOpsError

READY: Final = "stand-in model (rules, not an LLM) on "
"""How the line starts by which the child says that it listens; its address follows."""
_ROOT: Final = Path(__file__).parents[2]


class StandInNotStarted(GenAIOpsError):
    """The stand-in model does not listen; the text holds what it said."""


@dataclass(frozen=True)
class StandIn:
    """A running stand-in model."""

    url: str
    """`http://127.0.0.1:<port>`."""
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End the process and wait for it; one that has ended is no error."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_stand_in(
    port: int = 0, *, options: Mapping[str, float] | None = None, log: Path | None = None, timeout_s: float = 20.0
) -> StandIn:
    """Start the stand-in model on 127.0.0.1 and return when it listens.

    Args:
        port: 0 takes a free one.
        options: as on its command line, without the dashes: `{"latency-ms": 200, "throttle-rate": 0.05}`.
        log: where its log goes; None: nowhere.
        timeout_s: how long to wait for it, seconds.

    Raises:
        StandInNotStarted: the port is taken, an option is wrong, or it took too long.
    """
    arguments = [part for name, value in (options or {}).items() for part in (f"--{name}", f"{value:g}")]
    command = [sys.executable, "-m", "genaiops.stand_in_model", "--port", str(port), "--exit-with-parent", *arguments]
    errors: IO[bytes]
    with tempfile.TemporaryFile() if log is None else log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            command,
            cwd=_ROOT,
            env=inherited_environment(),  # no connections: it has no use for their keys
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            # Ctrl-C at the terminal goes to the foreground group: the host drains first and stops the model itself.
            start_new_session=True,
        )
        line = _first_line(process, timeout_s)
        stand_in = StandIn(line.removeprefix(READY).strip(), process)
        if line.startswith(READY):
            return stand_in
        stand_in.stop()
        said = f"see {log}"
        if log is None:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace")[-2_000:].strip()
    raise StandInNotStarted(
        f"The stand-in model did not start on port {port} within {timeout_s:g} s ({said or 'it said nothing'}). "
        "Choose a free port with GENAIOPS_STAND_IN_PORT, or configure a connection in .env."
    )


def _first_line(process: subprocess.Popen[str], timeout_s: float) -> str:
    """The child's first line of output, or an empty text if it ends or says nothing in time."""
    assert process.stdout is not None
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([process.stdout], [], [], left)
        if ready:
            return process.stdout.readline()
    return ""
