"""Which adapters each contract suite is run against. A further adapter is one more entry in a table below."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.azure.blobs import AzureBlobStore
from shared.adapters.azure.bus import ServiceBus, Timing
from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.registry import AzureRegistry
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.bus import LocalBus
from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.adapters.local.registry import LocalRegistry
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.adapters.queues import QueueConfig
from shared.ports import BlobStore, Bus, QueueReceiver, ReceivedMessage, Registry
from tests.contract.azure_workspace import azure_settings
from tests.contract.model_server import ModelServer
from tests.servers.azurite import Azurite
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.service_bus import Broker

QUEUES = (
    QueueConfig("orders", lock_seconds=60, max_delivery_count=3, duplicate_window_seconds=600),
    QueueConfig("events", lock_seconds=60, max_delivery_count=3, sessions=True),
    QueueConfig("repeats", duplicate_window_seconds=0),
)


class QueueSystem(Bus, QueueReceiver, Protocol):
    """A bus that can also be received from, as the embedded host needs it."""

    def peek(self, queue: str, count: int = 32) -> list[ReceivedMessage]: ...

    def close(self) -> None: ...


class BusFactory:
    """Opens consumers of one set of queues; every one has sessions of its own."""

    def __init__(
        self,
        open_consumer: Callable[[Sequence[QueueConfig]], QueueSystem],
        end: Callable[[], None] | None = None,
        *,
        takes_time_to_close: bool = False,
    ) -> None:
        self._open, self._end, self._takes_time = open_consumer, end, takes_time_to_close
        self._consumers: list[QueueSystem] = []

    def consumer(self) -> QueueSystem:
        consumer = self._open(QUEUES)
        self._consumers.append(consumer)
        return consumer

    def close(self) -> None:
        for consumer in self._consumers:
            if self._takes_time:  # the SDK joins threads that sleep for a second: the next test need not wait for them
                threading.Thread(target=consumer.close, daemon=True).start()
            else:
                consumer.close()
        if self._end is not None:
            self._end()


def _local_bus(folder: Path, clock: ManualClock) -> BusFactory:
    return BusFactory(lambda queues: LocalBus(folder / "bus.sqlite", queues, clock))


def _memory_bus(folder: Path, clock: ManualClock) -> BusFactory:
    first = MemoryBus(QUEUES, clock)
    return BusFactory(lambda queues: first.consumer())


def _service_bus(folder: Path, clock: ManualClock) -> BusFactory:
    """Microsoft's SDK against the test broker, whose clock is the test's."""
    broker = Broker(QUEUES, clock=clock).start()
    timing = Timing(look_s=0.1, socket_s=0.05)
    return BusFactory(
        lambda queues: ServiceBus(broker.connection_string, queues, timing=timing),
        broker.stop,
        takes_time_to_close=True,
    )


BUSES = {"local": _local_bus, "memory": _memory_bus, "azure": _service_bus}
BLOB_STORES: dict[str, Callable[[pytest.FixtureRequest, Path], BlobStore]] = {
    "local": lambda request, folder: FileBlobStore(folder / "blobs"),
    "memory": lambda request, folder: MemoryBlobStore(),
    "azure": lambda request, folder: azure_blobs(request),
}


def _azure_registry(request: pytest.FixtureRequest, clock: ManualClock) -> AzureRegistry:
    """azure-ai-ml against the stand-in of the management APIs."""
    return request.getfixturevalue("azure_registry")


REGISTRIES: dict[str, Callable[[pytest.FixtureRequest, ManualClock], Registry]] = {
    "local": lambda request, clock: LocalRegistry(FileBlobStore(request.getfixturevalue("tmp_path") / "blobs"), clock),
    "memory": lambda request, clock: LocalRegistry(MemoryBlobStore(), clock),
    "azure": _azure_registry,
}


NEEDS = {"azure": pytest.mark.azurite}


def azure_blobs(request: pytest.FixtureRequest, **settings: Any) -> AzureBlobStore:
    """A store in an account of Azurite that nobody has used, asked as the managed identity."""
    azurite: Azurite = request.getfixturevalue("azurite")
    return AzureBlobStore(azurite.account(), ManagedIdentityCredential(), **settings)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=BUSES)
def buses(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[BusFactory]:
    factory = BUSES[request.param](tmp_path, clock)
    yield factory
    factory.close()


@pytest.fixture
def bus(buses: BusFactory) -> QueueSystem:
    return buses.consumer()


@pytest.fixture(params=[pytest.param(name, marks=NEEDS.get(name, ())) for name in BLOB_STORES])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return BLOB_STORES[request.param](request, tmp_path)


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest, clock: ManualClock) -> Registry:
    return REGISTRIES[request.param](request, clock)


@pytest.fixture
def turn_blobs() -> MemoryBlobStore:
    """Where processes of one installation take their turns in the Azure registry."""
    return MemoryBlobStore()


@pytest.fixture
def open_azure_registry(
    management: Management, workspace: Workspace, turn_blobs: MemoryBlobStore, clock: ManualClock
) -> Callable[..., AzureRegistry]:
    """Opens the registry as one more process of the installation would, against a stand-in that holds nothing yet."""
    return lambda **more: AzureRegistry(workspace, turn_blobs, clock, **more)


@pytest.fixture
def azure_registry(open_azure_registry: Callable[..., AzureRegistry]) -> AzureRegistry:
    return open_azure_registry()


@pytest.fixture(scope="session")
def workspace(management_server: Management, identity: IdentityEndpoint) -> Workspace:
    """The workspace as a process sees it: one client, tokens from the managed identity."""
    from azure.identity import ManagedIdentityCredential

    return Workspace(azure_settings(management_server), ManagedIdentityCredential())


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFlowRunner]:
    runner = LocalFlowRunner(tmp_path_factory.mktemp("runner"), grace_s=150)
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as model:
        yield model


@pytest.fixture
def own_runner(tmp_path: Path) -> Iterator[Callable[..., LocalFlowRunner]]:
    made = []

    def make(**settings: object) -> LocalFlowRunner:
        made.append(LocalFlowRunner(tmp_path / "home", **{"grace_s": 150, **settings}))
        return made[-1]

    yield make
    for runner in made:
        runner.close()
