"""The one place that chooses adapters: environment → settings → ports, once per process.

Adapters are imported here and nowhere else, and only those of the profile at hand.
"""

from __future__ import annotations

import os
import sys
from threading import Lock
from typing import Any

from shared import telemetry
from shared.azure_settings import SERVICE_BUS, Needs
from shared.chain.messages import Queue
from shared.ports import Bus, Clock, Ports
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
            telemetry.start(_ports[0].settings)
        return _ports[0]


def use(chosen: Ports) -> None:
    """Let this process use these ports: for the embedded host and for tests."""
    with _lock:
        _ports[:] = [chosen]
    telemetry.start(chosen.settings)


def wire(settings: Settings) -> Ports:
    """Wire the adapters of the settings' profile."""
    if settings.telemetry_by_identity:
        _identify_telemetry(settings)
    match settings.profile:
        case "local":
            return _local(settings)
        case _:
            return _azure(settings)


def publishing_ports(*, sends: bool) -> Ports:
    """Settings, clock, blobs and, if it `sends`, the bus of the azure profile, for who asks for chains from outside.

    Raises:
        InvalidSettings: listing every setting that is missing of these two services, or wrong.
    """
    from shared.adapters.azure import credential
    from shared.adapters.azure.blobs import AzureBlobStore
    from shared.adapters.azure.lazy_credential import LazyCredential
    from shared.adapters.local.clock import SystemClock

    settings = read({**os.environ, "GENAIOPS_PROFILE": "azure"}, Needs.BLOBS_AND_BUS if sends else Needs.BLOBS)
    azure = settings.azure
    assert azure is not None, "`settings.read` gives the azure profile its settings"
    clock = SystemClock()
    not_wired: Any = None  # who publishes has no way to them: a call would be a mistake of ours
    return Ports(
        settings=settings,
        clock=clock,
        bus=_bus(settings, clock) if sends else not_wired,
        blobs=AzureBlobStore(azure.blob_service, LazyCredential(lambda: credential.credential(azure))),
        runner=not_wired,
        registry=not_wired,
        endpoints=not_wired,
        notifier=not_wired,
        pipelines=not_wired,
        keys=not_wired,
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
    from shared.adapters.azure import credential
    from shared.adapters.azure.lazy_credential import LazyCredential
    from shared.adapters.azure_devops import AzureDevOpsPipelines
    from shared.adapters.blob_keys import BlobKeys
    from shared.adapters.local.blobs import FileBlobStore
    from shared.adapters.local.clock import SystemClock
    from shared.adapters.local.endpoints.adapter import LocalEndpoints
    from shared.adapters.local.flow_runner import LocalFlowRunner
    from shared.adapters.local.registry import LocalRegistry
    from shared.adapters.people import people_notifier

    make_home(settings)
    clock = SystemClock()
    blobs = FileBlobStore(settings.home / "blobs")
    identity = LazyCredential(lambda: credential.of_identity(os.environ.get("AZURE_CLIENT_ID")))
    return Ports(
        settings=settings,
        clock=clock,
        bus=_bus(settings, clock),
        blobs=blobs,
        runner=LocalFlowRunner(settings.home, calls_in_flight=settings.calls_in_flight),
        registry=LocalRegistry(blobs, clock),
        endpoints=LocalEndpoints(blobs, settings.home, settings.router_url),
        notifier=people_notifier(settings, blobs, clock, sys.stdout),
        pipelines=AzureDevOpsPipelines(settings.people.azure_devops, identity, blobs, clock),
        keys=BlobKeys(blobs),
    )


def _azure(settings: Settings) -> Ports:
    """Nothing is connected, and no SDK imported, before a port is first used."""
    from shared.adapters.azure import credential
    from shared.adapters.azure.blobs import AzureBlobStore
    from shared.adapters.azure.endpoints import azure_endpoints
    from shared.adapters.azure.lazy_credential import LazyCredential
    from shared.adapters.azure.machine_learning import AzureFlowRunner, AzureRegistry, Workspace
    from shared.adapters.azure.wrapped_keys import WrappedKeys
    from shared.adapters.azure_devops import AzureDevOpsPipelines
    from shared.adapters.blob_keys import BlobKeys
    from shared.adapters.local.clock import SystemClock
    from shared.adapters.people import people_notifier

    azure = settings.azure
    assert azure is not None, "`settings.read` gives the azure profile its settings"
    identity = LazyCredential(lambda: credential.credential(azure))
    clock = SystemClock()
    blobs = AzureBlobStore(azure.blob_service, identity)
    workspace = Workspace(azure, identity)
    wrapping_key = azure.key_encryption_key
    return Ports(
        settings=settings,
        clock=clock,
        bus=_bus(settings, clock),
        blobs=blobs,
        runner=AzureFlowRunner(workspace, blobs),
        registry=AzureRegistry(workspace, blobs, clock),
        endpoints=azure_endpoints(azure, identity, workspace, blobs, clock),
        notifier=people_notifier(settings, blobs, clock, sys.stdout),
        pipelines=AzureDevOpsPipelines(settings.people.azure_devops, identity, blobs, clock),
        keys=WrappedKeys(blobs, wrapping_key, identity) if wrapping_key else BlobKeys(blobs),
    )


def _identify_telemetry(settings: Settings) -> None:
    from shared.adapters.azure import credential
    from shared.adapters.azure.lazy_credential import LazyCredential

    client_id = settings.telemetry_client_id or (settings.azure.client_id if settings.azure else None)
    telemetry.identify(LazyCredential(lambda: credential.of_identity(client_id)))


def _bus(settings: Settings, clock: Clock) -> Bus:
    """The namespace that `GENAIOPS_BUS` names, or the profile's own queues."""
    from shared.adapters.queues import QueueConfig

    queues = [
        QueueConfig(name, max_delivery_count=settings.max_delivery_count, sessions=queue is Queue.CHAIN_EVENTS)
        for queue, name in settings.queues.items()
    ]
    if settings.bus_connection is None and settings.azure is None:
        from shared.adapters.local.bus import LocalBus

        return LocalBus(settings.home / "bus.sqlite3", queues, clock)
    from shared.adapters.azure import credential
    from shared.adapters.azure.bus import ServiceBus
    from shared.adapters.azure.lazy_credential import LazyCredential

    azure = settings.azure
    client_id = azure.client_id if azure else os.environ.get("AZURE_CLIENT_ID")
    identity = LazyCredential(lambda: credential.of_identity(client_id))
    if settings.bus_connection is not None:
        return ServiceBus(settings.bus_connection, queues, identity, setting="GENAIOPS_BUS")
    assert azure is not None
    return ServiceBus(azure.service_bus, queues, identity, setting=SERVICE_BUS)
