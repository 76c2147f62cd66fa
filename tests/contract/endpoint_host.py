"""A host that does nothing but serve endpoints: `python -m tests.contract.endpoint_host HOME PORT`, to be killed by tests."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.endpoints.attendant import Care
from shared.adapters.local.endpoints.supervisor import EndpointSupervisor
from shared.connections import Connection
from shared.use_case.model import ConnectionSpec

KEY = "a-key-that-nobody-may-see"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def resolved(specs: Sequence[ConnectionSpec]) -> Mapping[str, Connection]:
    return connections([spec.name for spec in specs])


def connections(names: Sequence[str]) -> Mapping[str, Connection]:
    return {name: Connection(name, "azure", "http://127.0.0.1:9", KEY) for name in names}


def supervisor(home: Path, port: int, care: Care | None = None) -> EndpointSupervisor:
    return EndpointSupervisor(FileBlobStore(home / "blobs"), home, port, resolved, care=care)


if __name__ == "__main__":
    host = supervisor(Path(sys.argv[1]), int(sys.argv[2]))
    host.start()
    print("started", flush=True)
    threading.Event().wait()
