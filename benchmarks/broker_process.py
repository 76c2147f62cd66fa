"""The test broker in a process of its own, so that its work is not counted with that of the SDK."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from shared.adapters.queues import QueueConfig


@contextmanager
def broker(folder: Path, queues: Sequence[QueueConfig]) -> Iterator[str]:
    """The connection string of a namespace with these queues; `folder` keeps their description."""
    spec = folder / "queues.json"
    spec.write_text(json.dumps([asdict(queue) for queue in queues]), encoding="utf-8")
    command = [sys.executable, "-m", "tests.servers.service_bus", "--queues", str(spec)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
