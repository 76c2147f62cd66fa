"""The handle on the compute session's process: orders in, ends out. It is started with the first run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

SCRIPT = Path(__file__).parent / "compute_process.py"


class Compute:
    """One process for all runs; ends are told in a thread of its own."""

    def __init__(self) -> None:
        self.ended: Callable[[str, int], None] = lambda run, code: None
        """Told of every run's end, with the exit code of its process."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="compute-")

    @property
    def folder(self) -> Path:
        """For snapshots, data and outputs."""
        return Path(self._folder.name)

    def send(self, order: Mapping[str, Any]) -> None:
        """Hand an order over."""
        with self._lock:
            stdin = self._started().stdin
            assert stdin is not None
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()

    def close(self) -> None:
        """End the process and all its runs."""
        with self._lock:
            process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=20)
        self._folder.cleanup()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            home = self.folder / "home"
            home.mkdir()
            (home / "pf.yaml").write_text("telemetry:\n  enabled: false\ntrace:\n  destination: none\n")
            self._process = subprocess.Popen(
                [sys.executable, str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=home,
                env={
                    **{
                        k: v
                        for k, v in os.environ.items()
                        if k in ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "NO_PROXY")
                    },
                    "PF_HOME_DIRECTORY": str(home),
                    "PF_DISABLE_TRACING": "false",
                    "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
                    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
                    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
            )
            assert self._process.stdout is not None
            threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()
        return self._process

    def _listen(self, answers: IO[bytes]) -> None:
        for line in answers:
            answer = json.loads(line)
            if "run" in answer:
                self.ended(answer["run"], answer["code"])
