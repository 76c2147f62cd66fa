"""Ports in memory with a sample chain on them, for tests of what people see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from shared import chain_index, chain_store, reporting
from shared.adapters.blob_keys import BlobKeys
from shared.adapters.local.registry import LocalRegistry
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.notifier import RecordingNotifier
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.adapters.queues import QueueConfig
from shared.approvals import links
from shared.chain.messages import AnyEvent, Queue, parse_event
from shared.chain.state import Chain
from shared.ports import Ports
from shared.settings import read
from tests import samples


def memory_ports(profile: str = "local") -> Ports:
    """Ports in memory whose clock stands at the samples' time."""
    settings = replace(read({"GENAIOPS_HOME": str(Path("nowhere"))}), profile=profile)
    clock = ManualClock(samples.NOW)
    blobs = MemoryBlobStore(clock)
    return Ports(
        settings=settings,
        clock=clock,
        bus=MemoryBus(
            [QueueConfig(name, sessions=q is Queue.CHAIN_EVENTS) for q, name in settings.queues.items()], clock
        ),
        blobs=blobs,
        runner=MemoryFlowRunner({}, {}, clock=clock),
        registry=LocalRegistry(blobs, clock),
        endpoints=MemoryEndpoints({}),
        notifier=RecordingNotifier(),
        pipelines=RecordingPipelines(),
        keys=BlobKeys(blobs),
    )


def clock_of(ports: Ports) -> ManualClock:
    assert isinstance(ports.clock, ManualClock)
    return ports.clock


def store(ports: Ports, chain: Chain) -> Chain:
    """Write the chain's state, whatever it was before."""
    chain_index.begin(ports.blobs, chain)
    ports.blobs.write(chain_store.CONTAINER, f"{chain.id}/{chain_store.STATE}", chain.model_dump_json().encode())
    if chain_index.is_settled(chain):
        chain_index.settle(ports.blobs, chain)
    return chain


def waiting_chain(ports: Ports, **kwargs: object) -> Chain:
    """A chain with a built report that waits for the answer of maria or jonas."""
    chain = samples.sample_chain(**kwargs)  # type: ignore[arg-type]
    samples.write_results(ports.blobs, chain)
    built = reporting.build(ports, chain, final=False)
    return store(ports, samples.awaiting_approval(chain, built.evidence))


def token_of(ports: Ports, chain: Chain, approver: str = "maria@example.org") -> str:
    return urlsplit(links.link_for(ports, chain, approver)).path.rpartition("/")[2]


def sent_events(ports: Ports) -> list[AnyEvent]:
    """What lies on chain-events."""
    assert isinstance(ports.bus, MemoryBus)
    return [parse_event(message.body) for message in ports.bus.peek(ports.settings.queues[Queue.CHAIN_EVENTS])]
