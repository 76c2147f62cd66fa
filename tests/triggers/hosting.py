"""Hosts for tests: small FunctionApps of their own on the stores in memory, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import azure.functions as func

from genaiops.host import Host
from shared.adapters.local.clock import SystemClock
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.queues import QueueConfig
from shared.ports import BlobStore, Clock, OutgoingMessage, QueueReceiver

HOST_JSON: dict[str, Any] = {
    "version": "2.0",
    "extensions": {
        "http": {"routePrefix": "api"},
        "serviceBus": {"maxConcurrentCalls": 4, "maxConcurrentSessions": 4, "sessionIdleTimeout": "00:00:00.050"},
    },
}


def bus(*queues: QueueConfig, clock: Clock | None = None) -> MemoryBus:
    return MemoryBus(queues or (QueueConfig("work"),), clock or SystemClock())


def message(text: str, *, identifier: str | None = None, session: str | None = None) -> OutgoingMessage:
    return OutgoingMessage(body=text.encode(), message_id=identifier or text, session_id=session)


@contextmanager
def hosting(
    app: func.FunctionApp,
    folder: Path,
    receiver: QueueReceiver | None = None,
    blobs: BlobStore | None = None,
    **options: Any,
) -> Iterator[Host]:
    options = {"host_json": HOST_JSON, "drain_timeout_s": 10.0, "first_wait_s": 0.01} | options
    host = Host(app, receiver or bus(), blobs or MemoryBlobStore(), folder, 0, **options)
    host.start()
    try:
        yield host
    finally:
        assert host.stop(), "functions still ran after the drain timeout"


def eventually(condition: Callable[[], object], what: str = "the condition", seconds: float = 20.0) -> None:
    """Wait until the condition holds; the test fails with `what` if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)
