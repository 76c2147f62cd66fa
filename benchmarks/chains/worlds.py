"""The adapters under the chains that are measured: those of each profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.bus import LocalBus
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.registry import LocalRegistry
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.notifier import RecordingNotifier
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


WORLDS: Final[Mapping[str, World]] = {"local": local}


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
    )
