"""Beginning azure-ai-ml's long-running operations without waiting for them, and without a thread that does.

`MLClient.online_deployments.begin_create_or_update` and its kin return an `LROPoller`, whose constructor starts a
thread that asks for the operation's state every few seconds until it ends (`azure/core/polling/_poller.py`), in a
function whose work is done: it costs requests, and dies with the instance. The operations that Microsoft generates
below take `polling=False` for that; the layer above passes a polling of its own and lets nobody change it. So these few
calls go to the generated operations of the same client, with the entities of the layer above; contract tests hold them
to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint


def begin_endpoint(client: MLClient, endpoint: OnlineEndpoint, location: str) -> str:
    """Begin to create or update the endpoint with the traffic that it has; the operation's address."""
    operations: Any = client.online_endpoints._online_operation  # noqa: SLF001
    poller = operations.begin_create_or_update(
        **_scope(client),
        endpoint_name=endpoint.name,
        body=endpoint._to_rest_online_endpoint(location=location),  # noqa: SLF001
        polling=False,
        cls=_address,
    )
    return str(poller.result())


def begin_deployment(client: MLClient, deployment: OnlineDeployment, location: str) -> str:
    """Begin to create or update the deployment; the operation's address."""
    operations: Any = client.online_deployments._online_deployment  # noqa: SLF001
    rest: Any = deployment
    poller = operations.begin_create_or_update(
        **_scope(client),
        endpoint_name=deployment.endpoint_name,
        deployment_name=deployment.name,
        body=rest._to_rest_object(location=location),  # noqa: SLF001
        polling=False,
        cls=_address,
    )
    return str(poller.result())


def begin_deletion(client: MLClient, endpoint: str, deployment: str) -> None:
    """Begin to delete the deployment."""
    operations: Any = client.online_deployments._online_deployment  # noqa: SLF001
    operations.begin_delete(**_scope(client), endpoint_name=endpoint, deployment_name=deployment, polling=False)


def _scope(client: MLClient) -> Mapping[str, Any]:
    return {"resource_group_name": client.resource_group_name, "workspace_name": client.workspace_name}


def _address(response: Any, *_: object) -> str:
    return response.http_response.headers.get("Azure-AsyncOperation", "") or "begun"
