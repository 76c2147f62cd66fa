"""One whole `pr` chain through the embedded host with the product's own functions; the flow runner takes no time.

request → trigger → handler → queue → … → report: what is measured is everything but the flows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genaiops.embedded import load_function_app
from genaiops.host import Host, app_settings
from shared import bootstrap, chain_store
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.chain.state import ChainStatus
from shared.errors import NotFound
from shared.names import chain_id
from shared.ports import OutgoingMessage, Ports

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Measured:
    """What one chain took."""

    cells: int
    seconds: float
    """From the request to the chain's end, its report and comment included."""
    events: int
    """Events that the chain decided on."""

    @property
    def ms_per_cell(self) -> float:
        """Milliseconds for one run and its evaluation."""
        return 1_000 * self.seconds / self.cells


def measure(ports: Ports, use_case: str, state: Path, *, patience_s: float = 3_000) -> Measured:
    """Carry one chain of the use case to its end. The ports' bus is also what the host receives from."""
    bootstrap.use(ports)
    receiver: Any = ports.bus
    host = Host(
        load_function_app(ROOT),
        receiver,
        ports.blobs,
        state,
        0,
        host_json=ROOT / "host.json",
        app_settings=app_settings(ports.settings),
        clock=ports.clock,
    )
    host.start()
    try:
        request_id = f"r{time.time_ns()}"
        request = ChainRequest(request_id=request_id, kind=ChainKind.PR, use_case=use_case)
        identifier = chain_id(use_case, "pr", request_id)
        started = time.perf_counter()
        body = request.model_dump_json().encode()
        ports.bus.send(ports.settings.queues[Queue.CHAIN_REQUESTS], [OutgoingMessage(body, request_id)])
        deadline = started + patience_s
        while (status := _status(ports, identifier)) is None or not status.is_final:
            if time.perf_counter() > deadline:
                raise SystemExit(f"The chain did not end within {patience_s:g} s: {status}")
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        chain, _ = chain_store.load(ports.blobs, identifier)
        if chain.status is not ChainStatus.SUCCEEDED:
            raise SystemExit(f"The chain ended as {chain.status}: {chain.reason}")
        # Every command is answered by one event; the first event is the request.
        return Measured(chain.progress.cells, seconds, chain.commands + 1)
    finally:
        host.stop()


def _status(ports: Ports, identifier: str) -> ChainStatus | None:
    try:
        return chain_store.load(ports.blobs, identifier)[0].status
    except NotFound:
        return None
