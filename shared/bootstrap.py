"""The one place that chooses adapters: environment → settings → ports, once per process.

Adapters are imported here and nowhere else, and only those of the profile at hand.
"""

from __future__ import annotations

import sys
from threading import Lock

from shared.chain.messages import Queue
from shared.ports import Ports
from shared.settings import InvalidSettings, Settings, read

_lock = Lock()
_ports: list[Ports] = []


def ports() -> Ports:
    """The ports of this process, wired at the first call.

    Raises:
        InvalidSettings: listing every setting that is missing or wrong.
    """
    with _lock:
        if not _ports:
            _ports.append(wire(read()))
        return _ports[0]


def use(chosen: Ports) -> None:
    """Let this process use these ports: for the embedded host and for tests."""
    with _lock:
        _ports[:] = [chosen]


def wire(settings: Settings) -> Ports:
    """Wire the adapters of the settings' profile."""
    match settings.profile:
        case "local":
            return _local(settings)
        case _:
            raise InvalidSettings(
                f"GENAIOPS_PROFILE is {settings.profile!r}, whose adapters are not part of this release; use `local`."
            )


def make_home(settings: Settings) -> None:
    """Make the folder in which the local profile keeps everything. Raises InvalidSettings where it cannot."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        # Queues, links and the key that signs them lie here: nobody else on this machine may read them.
        settings.home.chmod(0o700)
    except OSError as error:
        raise InvalidSettings(
            f"The folder {settings.home} cannot be used ({error.strerror or error}): set GENAIOPS_HOME to a folder "
            "that you may write to, or leave it out for .genaiops here."
        ) from error


def _local(settings: Settings) -> Ports:
    from shared.adapters.local.blobs import FileBlobStore
    from shared.adapters.local.bus import LocalBus
    from shared.adapters.local.clock import SystemClock
    from shared.adapters.local.endpoints.adapter import LocalEndpoints
    from shared.adapters.local.flow_runner import LocalFlowRunner
    from shared.adapters.local.notifier import ConsoleNotifier
    from shared.adapters.local.registry import LocalRegistry
    from shared.adapters.queues import QueueConfig

    queues = [
        QueueConfig(name, max_delivery_count=settings.max_delivery_count, sessions=queue is Queue.CHAIN_EVENTS)
        for queue, name in settings.queues.items()
    ]
    make_home(settings)
    clock = SystemClock()
    blobs = FileBlobStore(settings.home / "blobs")
    return Ports(
        settings=settings,
        clock=clock,
        bus=LocalBus(settings.home / "bus.sqlite3", queues, clock),
        blobs=blobs,
        runner=LocalFlowRunner(settings.home, calls_in_flight=settings.calls_in_flight),
        registry=LocalRegistry(blobs, clock),
        endpoints=LocalEndpoints(blobs, settings.home, settings.router_url),
        notifier=ConsoleNotifier(blobs, sys.stdout),
    )
