"""One served process, seen from the host: its start, what it reports, the end of its output, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final

import shared
from shared.adapters.local.engines.environment import declared_environment, engine_environment
from shared.adapters.serving.promptflow_home import promptflow_environment, quiet_promptflow
from shared.connections import Connection

_MODULE: Final = "shared.adapters.local.endpoints.serve"
_ROOT: Final = Path(shared.__file__).parent.parent
_TAIL_CHUNKS: Final = 64
_CHUNK: Final = 1024
_REASON_CHARACTERS: Final = 1000


@dataclass(frozen=True)
class ServeOrders:
    """What a served process is told. `connections` hold keys: they go through a pipe and nowhere else."""

    flow: Path
    dag: Path | None
    """The flow's DAG with variants and parameters applied, inside `flow`; None for a flow of another kind."""
    scratch: Path
    """prompt flow's home, for this process alone."""
    connections: Mapping[str, Connection]
    environment: Mapping[str, str]
    secrets: Collection[str]
    """Texts that must not appear in what is shown of the output."""
    flow_file: str = "flow.dag.yaml"
    package: str = ""
    root: Path | None = None
    variants: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    threads: int = 32
    max_body: int = 16 * 1024 * 1024


class ServedProcess:
    """Started at once. Its attributes are written by threads that read its pipes."""

    def __init__(self, orders: ServeOrders) -> None:
        self.port: int | None = None
        self.pid: int | None = None
        """Of the server, not of its guardian."""
        self.failure: str | None = None
        """Why it could not load the flow."""
        self._exit_code: int | None = None
        self._secrets = [secret for secret in orders.secrets if secret]
        self._tail: deque[bytes] = deque(maxlen=_TAIL_CHUNKS)
        report_read, report_write = os.pipe()
        quiet_promptflow(orders.scratch)
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", _MODULE, str(os.getpid())],
                cwd=_ROOT,
                env=_environment(orders),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(report_write,),
                # A group of its own: Ctrl-C in the terminal is the host's to handle, and the group can be killed whole.
                start_new_session=True,
            )
        except BaseException:
            os.close(report_read)
            raise
        finally:
            os.close(report_write)
        self._threads = [
            Thread(target=self._read_output, name="served-output", daemon=True),
            Thread(target=self._read_reports, args=(report_read,), name="served-reports", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        line = {
            "flow": str(orders.flow),
            "flow_file": orders.flow_file,
            "package": orders.package,
            "root": str(orders.root) if orders.root is not None else None,
            "dag": str(orders.dag) if orders.dag is not None else None,
            "variants": dict(orders.variants),
            "parameters": dict(orders.parameters),
            "scratch": str(orders.scratch),
            "environment": dict(orders.environment),
            "connections": [asdict(connection) for connection in orders.connections.values()],
            "threads": orders.threads,
            "max_body": orders.max_body,
            "report_fd": report_write,
        }
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died already: `ended` will say so
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()

    def ended(self) -> str | None:
        """How the process ended, for people; None while it runs."""
        if self._process.poll() is None:
            return None
        for thread in self._threads:
            thread.join(timeout=2)  # until its last words are read
        if self.failure is not None:
            return self._shown(self.failure)
        code = self._exit_code
        if code is None:
            code = self._process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        tail = self.tail()
        return f"The served process {how}" + (f"; its last output: {tail}" if tail else ", without any output")

    def tail(self) -> str:
        """The end of what it printed, without secrets; at most 1,000 characters."""
        return self._shown(b"".join(self._tail).decode(errors="replace").strip())[-_REASON_CHARACTERS:]

    def stop(self) -> None:
        """End it and everything it started, at once; stopping twice is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=2)
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _shown(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:_REASON_CHARACTERS] if self.failure else text

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            # Read without end, keep the end: a flow that prints much must neither block nor fill the memory.
            while chunk := output.read1(_CHUNK):  # type: ignore[attr-defined]
                self._tail.append(chunk)

    def _read_reports(self, report_read: int) -> None:
        with os.fdopen(report_read, "rb") as reports:
            for line in reports:
                with contextlib.suppress(ValueError):
                    self._take(json.loads(line))

    def _take(self, report: Mapping[str, Any]) -> None:
        match report:
            case {"port": int(port), "pid": int(pid)}:
                self.pid = pid
                self.port = port
            case {"failed": str(failure)}:
                self.failure = failure
            case {"exited": int(code)}:
                self._exit_code = code
            case _:
                pass


def _environment(orders: ServeOrders) -> dict[str, str]:
    """The served process's environment: the flow's own variables, and prompt flow kept quiet and apart."""
    own = promptflow_environment(orders.flow, orders.scratch)
    return {**engine_environment(), **declared_environment(orders.flow, orders.flow_file), **orders.environment, **own}
