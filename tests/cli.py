"""Running the command line in the tests' process, on ports in memory with the chain core at the other end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner, Result

from shared import advance, bootstrap, settings
from shared.adapters.blob_keys import BlobKeys
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.chain.messages import ChainRequest, Queue, parse_request
from shared.delivery import Delivery
from shared.ports import OutgoingMessage, Ports

ANSWERED_AT = datetime(2026, 11, 23, 9, 45, tzinfo=UTC)


class FakeBus:
    """Keeps what is sent; once `ports` is set, requests and events reach the chain core at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, OutgoingMessage]] = []
        self.ports: Ports | None = None

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        for message in messages:
            self.sent.append((queue, message))
            if self.ports is not None:
                deliver(self.ports, queue, message)

    def requests(self) -> list[ChainRequest]:
        """The requests that were sent."""
        return [parse_request(message.body) for queue, message in self.sent if queue == Queue.CHAIN_REQUESTS]


def deliver(ports: Ports, queue: str, message: OutgoingMessage) -> None:
    delivery = Delivery(Queue(queue), message.body, message.message_id, 1, ANSWERED_AT)
    if queue == Queue.CHAIN_REQUESTS:
        advance.start(ports, delivery)
    elif queue == Queue.CHAIN_EVENTS:
        advance.advance(ports, delivery)


def fake_ports(home: Path, monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[Ports, FakeBus]:
    """Ports in memory, which the commands of this process find."""
    clock = ManualClock(ANSWERED_AT)
    bus = FakeBus()
    variables = {"GENAIOPS_HOME": str(home), **environment}
    absent = cast("Any", None)
    blobs = MemoryBlobStore(clock)
    ports = Ports(
        settings=settings.read(variables),
        clock=clock,
        bus=bus,
        blobs=blobs,
        runner=absent,
        registry=absent,
        endpoints=absent,
        notifier=absent,
        pipelines=RecordingPipelines("https://dev.azure.com/example"),
        keys=BlobKeys(blobs),
    )
    monkeypatch.setattr(bootstrap, "_ports", [ports])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return ports, bus


def with_core(ports: Ports, bus: FakeBus) -> None:
    """From now on a running host answers."""
    bus.ports = replace(ports)


def run(*arguments: str) -> Result:
    from genaiops.cli.app import app

    return CliRunner().invoke(app, list(arguments), prog_name="python -m genaiops")


def printed_json(result: Result) -> Any:
    return json.loads(result.stdout)
