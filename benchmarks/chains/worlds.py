"""The adapters under the chains that are measured: those of each profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.broker_process import broker
from shared.adapters.blob_keys import BlobKeys
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.bus import LocalBus
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.registry import LocalRegistry
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.notifier import RecordingNotifier
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.adapters.queues import QueueConfig
from shared.chain.messages import Queue
from shared.ports import BlobStore, Bus, FlowRunner, Ports
from shared.settings import Settings, read

World = Callable[[Path, FlowRunner], AbstractContextManager[Ports]]


@contextmanager
def local(home: Path, runner: FlowRunner) -> Iterator[Ports]:
    """The local profile's queues and files."""
    settings = _settings(home)
    settings.home.mkdir()
    bus = LocalBus(settings.home / "bus.sqlite3", queues(settings), SystemClock())
    try:
        yield _ports(settings, bus, FileBlobStore(settings.home / "blobs"), runner)
    finally:
        bus.close()


@contextmanager
def azure(home: Path, runner: FlowRunner) -> Iterator[Ports]:
    """Microsoft's SDKs against the servers of the tests: the broker in a process of its own, and Azurite over TLS."""
    from azure.identity import ManagedIdentityCredential

    from shared.adapters.azure.blobs import AzureBlobStore
    from shared.adapters.azure.bus import ServiceBus
    from tests.servers.azurite import Azurite
    from tests.servers.certificates import Authority
    from tests.servers.fixtures import with_variables
    from tests.servers.identity import IdentityEndpoint

    settings = _settings(home)
    settings.home.mkdir()
    with ExitStack() as stack:
        authority = Authority(home)
        identity = stack.enter_context(IdentityEndpoint())
        stack.enter_context(with_variables({**authority.environment, **identity.environment}))
        (home / "azurite").mkdir()
        azurite = stack.enter_context(Azurite(home / "azurite", authority))
        address = stack.enter_context(broker(home, queues(settings)))
        bus = ServiceBus(address, queues(settings), None, setting="GENAIOPS_BUS")
        stack.callback(bus.close)
        yield _ports(settings, bus, AzureBlobStore(azurite.account(), ManagedIdentityCredential()), runner)


WORLDS: Final[Mapping[str, World]] = {"local": local, "azure": azure}


def queues(settings: Settings) -> list[QueueConfig]:
    """The queues as the product configures them."""
    return [QueueConfig(name, sessions=queue is Queue.CHAIN_EVENTS) for queue, name in settings.queues.items()]


def _settings(home: Path) -> Settings:
    return read({"GENAIOPS_HOME": str(home / "home"), "GENAIOPS_ROOT": str(home / "app")})


def _ports(settings: Settings, bus: Bus, blobs: BlobStore, runner: FlowRunner) -> Ports:
    clock = SystemClock()
    return Ports(
        settings=settings,
        clock=clock,
        bus=bus,
        blobs=blobs,
        runner=runner,
        registry=LocalRegistry(blobs, clock),
        endpoints=MemoryEndpoints({}),
        notifier=RecordingNotifier(),
        pipelines=RecordingPipelines(),
        keys=BlobKeys(blobs),
    )
