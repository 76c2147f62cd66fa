"""The azure profile in a host process of its own, among servers that speak as Azure's do, and that fail when told to.

Queues are the test broker's, blobs Azurite's; the management stand-in keeps assets, runs flows and serves deployments.
The host is `python -m genaiops start --bus …`, as for those who debug their functions against a real namespace.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genaiops.stand_in_model import StandIn, start_stand_in
from shared.adapters.queues import QueueConfig
from shared.chain.messages import Queue
from shared.connections import Connection
from tests.acceptance.embedded import Embedded
from tests.servers.azurite import Azurite
from tests.servers.certificates import NAMES, Authority
from tests.servers.containers import Engine
from tests.servers.fixtures import STORAGE, with_variables
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.management.workspace import GROUP, SUBSCRIPTION_ID, WORKSPACE
from tests.servers.proxy import Proxy
from tests.servers.service_bus import Broker

MAX_DELIVERIES = 5
LOCK_S = 60.0


@dataclass
class AzureWorld:
    """The host with its servers."""

    host: Embedded
    broker: Broker
    azurite: Azurite
    management: Management
    model: StandIn
    lose_run_events: bool = False
    run_events: int = 0
    """Events that were sent to the queue `run-events`."""

    def run_changed(self, event: dict[str, Any]) -> None:
        """As Event Grid's subscription does: the event becomes a message."""
        if not self.lose_run_events:
            self.run_events += 1
            self.host.send(json.dumps(event).encode(), event["id"], Queue.RUN_EVENTS)


@contextmanager
def azure_world(
    folder: Path, authority: Authority, identity: IdentityEndpoint, **variables: str
) -> Iterator[AzureWorld]:
    """Everything up; `variables` are further settings of the host."""
    with ExitStack() as stack:
        (folder / "azurite").mkdir(parents=True)
        azurite = stack.enter_context(Azurite(folder / "azurite", authority, on_disk=True))
        queues = [
            QueueConfig(queue.value, LOCK_S, MAX_DELIVERIES, sessions=queue is Queue.CHAIN_EVENTS) for queue in Queue
        ]
        broker = stack.enter_context(Broker(queues))
        certificate = authority.certificate(*NAMES, STORAGE).server_context()
        management = stack.enter_context(Management(certificate))
        proxy = stack.enter_context(Proxy({STORAGE: management.port}))
        model = start_stand_in(0, log=folder / "model.log")
        stack.callback(model.stop)
        account = azurite.account()
        settings = {
            **authority.environment,
            **identity.environment,
            **proxy.environment,
            **management.environment,
            "GENAIOPS_PROFILE": "azure",
            "ServiceBus__fullyQualifiedNamespace": "genaiops.servicebus.windows.net",
            "Storage__blobServiceUri": account,
            "GENAIOPS_SUBSCRIPTION_ID": SUBSCRIPTION_ID,
            "GENAIOPS_RESOURCE_GROUP": GROUP,
            "GENAIOPS_ML_WORKSPACE": WORKSPACE,
            "GENAIOPS_MANAGEMENT_URL": management.url,
            "GENAIOPS_LOOK_SECONDS": "1",
        }
        connection = Connection("aoai", "azure", model.url, "a-key-of-the-workspace")
        management.prompt_flow.connections["aoai"] = connection
        engine = Engine(folder, partial(fetch, management), {"aoai": connection})
        stack.callback(engine.close)
        management.online_endpoints.serve = engine
        host = Embedded(folder / "home", **{**settings, **variables})
        world = AzureWorld(host, broker, azurite, management, model)
        management.prompt_flow.on_run_event = world.run_changed
        stack.enter_context(with_variables(settings))  # this process looks at the same world
        try:
            host.arguments += ["--bus", broker.connection_string]
            host.start()
            host.variables["GENAIOPS_BUS"] = broker.connection_string  # from now on: for the test's own ports
            host.until_serving()
            yield world
            host.stop()
        finally:
            if host.process is not None:
                host.kill()


def fetch(management: Management, address: str, folder: Path) -> None:
    """Bring a build context from the workspace's storage into a folder, as Azure ML's build does."""
    container, _, prefix = urlsplit(address).path.strip("/").partition("/")
    for name, blob in management.storage.of(container).items():
        if name.startswith(f"{prefix}/"):
            place = folder / name.removeprefix(f"{prefix}/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(blob.content)
