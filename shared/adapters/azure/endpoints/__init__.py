"""Endpoints of the azure profile: one port over several kinds of target, which nothing here ever waits for.

| file | what is in it |
|---|---|
| `target.py` | what every kind of target does, and what one look at it shows |
| `records.py`, `wishes.py` | what is asked of an endpoint, kept in blob storage; how it changes |
| `composite.py`, `info.py` | the port over all targets; what it tells of wishes and looks |
| `asked_traffic.py` | a split that was asked for, on its way to the platform |
| `online_endpoints.py`, `online_assets.py` | Azure ML's managed and Kubernetes online endpoints; their assets |
| `online_options.py`, `online_entities.py` | their options; what is sent for them |
| `unpolled.py` | beginning azure-ai-ml's long operations without waiting for them |
| `failures.py`, `scoring.py`, `metrics.py`, `autoscale.py` | reasons, scoring, counts and scaling of theirs |
| `connection_references.py` | how a container gets its connections from the workspace |
| `image_context.py`, `images.py`, `container_registry.py` | the image: its context, where it is built, ACR tasks |
| `exchange.py` | one request to a served flow, and as much of its answer as is believed |
| `log_ends.py` | the end of a log, in one line |
| `cluster/` | clusters without Azure ML, by plain manifests |
| `web_app.py` | App Service: a web app an endpoint, a slot a deployment |
| `web_app_options.py`, `web_app_slot.py` | its options; what is sent for it |
| `web_app_site.py`, `web_app_probe.py` | the calls; what a slot's container tells of itself |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.azure.arm import ResourceManager
from shared.adapters.azure.endpoints.cluster.api import ClusterApi
from shared.adapters.azure.endpoints.cluster.options import KIND as CLUSTER
from shared.adapters.azure.endpoints.cluster.target import ClusterTarget
from shared.adapters.azure.endpoints.composite import AzureEndpoints
from shared.adapters.azure.endpoints.container_registry import RegistryImages
from shared.adapters.azure.endpoints.online_endpoints import OnlineEndpoints
from shared.adapters.azure.endpoints.online_options import KUBERNETES, MANAGED
from shared.adapters.azure.endpoints.records import EndpointRecords
from shared.adapters.azure.endpoints.target import Target
from shared.adapters.azure.endpoints.web_app import WebAppTarget
from shared.adapters.azure.endpoints.web_app_options import KIND as WEB_APP
from shared.adapters.azure.endpoints.web_app_site import Sites
from shared.adapters.azure.machine_learning.client import Workspace
from shared.azure_settings import AzureSettings
from shared.ports import BlobStore, Clock, Endpoints

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


def azure_endpoints(
    azure: AzureSettings,
    credential: TokenCredential,
    workspace: Workspace,
    blobs: BlobStore,
    clock: Clock,
    *,
    retries: int = 3,
) -> Endpoints:
    """Endpoints on every kind of target; nothing is asked of Azure yet.

    `retries`: how often a request whose connection failed is sent again, see `Workspace`.
    """
    manager = ResourceManager(azure.management_url, credential, retries=retries)
    images = RegistryImages(azure, credential, retries=retries)
    builder = images if azure.container_registry is not None else None
    targets: dict[str, Target] = {
        kind: OnlineEndpoints(kind, workspace, manager, credential, clock, builder=builder)
        for kind in (MANAGED, KUBERNETES)
    }
    targets[CLUSTER] = ClusterTarget(
        images, lambda options: ClusterApi(options, credential, azure.cluster_scope), azure.clusters
    )
    targets[WEB_APP] = WebAppTarget(azure, Sites(azure, credential, manager, retries=retries), images)
    return AzureEndpoints(EndpointRecords(blobs), targets, default=MANAGED)
