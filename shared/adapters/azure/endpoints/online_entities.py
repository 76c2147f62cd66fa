"""From options and a deployment's wishes to what azure-ai-ml sends: an endpoint, a deployment. It makes no request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.endpoints.connection_references import references
from shared.adapters.azure.endpoints.online_options import (
    DataCollection,
    KubernetesOptions,
    ManagedOptions,
    OnlineOptions,
    Probe,
)
from shared.adapters.azure.endpoints.records import EndpointRecord, WantedDeployment
from shared.adapters.azure.endpoints.target import CREATION_TAG, tags_of
from shared.errors import BusinessFailure
from shared.process_secrets import holds_secret
from shared.use_case.references import is_secret, reference
from shared.use_case.variables import filled_in

if TYPE_CHECKING:
    from azure.ai.ml.entities import DataCollector, OnlineDeployment, OnlineEndpoint, ProbeSettings

INFERENCE: Final = {
    "liveness_route": {"path": "/health", "port": 8080},
    "readiness_route": {"path": "/ready", "port": 8080},
    "scoring_route": {"path": "/score", "port": 8080},
}
"""Routes of the image's server (`shared/adapters/serving`), as an environment's `inference_config` names them."""
SECRET_STORES: Final = "enforce_access_to_default_secret_stores"  # noqa: S105  # a property's name
"""Property of an endpoint: its system-assigned identity is given the role to read the workspace's connections."""
COLLECTIONS: Final = ("request", "response")
"""What Azure ML collects of a container that does no collecting itself: payloads, as they come and go. https://learn.
microsoft.com/azure/machine-learning/how-to-collect-production-data (payload logging)."""


def endpoint_of(
    record: EndpointRecord, options: ManagedOptions | KubernetesOptions, creation: str, workspace_id: str
) -> OnlineEndpoint:
    """A new endpoint, without traffic."""
    from azure.ai.ml.entities import (
        IdentityConfiguration,
        KubernetesOnlineEndpoint,
        ManagedIdentityConfiguration,
        ManagedOnlineEndpoint,
    )

    identities = [ManagedIdentityConfiguration(resource_id=each) for each in options.identity]
    identity = IdentityConfiguration(
        type="user_assigned" if identities else "system_assigned", user_assigned_identities=identities or None
    )
    common: dict[str, Any] = {
        "name": record.name,
        "auth_mode": options.auth_mode,
        "description": options.endpoint_description or None,
        "identity": identity,
        "tags": {CREATION_TAG: creation},
        "properties": {} if identities else {SECRET_STORES: "enabled"},
    }
    if isinstance(options, KubernetesOptions):
        return KubernetesOnlineEndpoint(compute=f"{workspace_id}/computes/{options.compute}", **common)
    return ManagedOnlineEndpoint(public_network_access=options.public_network_access, **common)


def deployment_of(
    record: EndpointRecord, wanted: WantedDeployment, options: ManagedOptions | KubernetesOptions, environment: str
) -> OnlineDeployment:
    """The deployment, with everything that its container is given.

    Raises:
        BusinessFailure: a variable of it is not set in this app; all of them are listed.
    """
    from azure.ai.ml.entities import (
        DefaultScaleSettings,
        KubernetesOnlineDeployment,
        ManagedOnlineDeployment,
        OnlineRequestSettings,
        ResourceRequirementsSettings,
        ResourceSettings,
        TargetUtilizationScaleSettings,
    )

    requests = options.requests
    common: dict[str, Any] = {
        "name": wanted.name,
        "endpoint_name": record.name,
        "description": options.description or None,
        "tags": tags_of(wanted),
        "environment": environment,
        "environment_variables": variables_of(wanted, options),
        "instance_count": options.instance_count,
        "app_insights_enabled": options.application_insights,
        "request_settings": OnlineRequestSettings(
            request_timeout_ms=requests.timeout_ms,
            max_concurrent_requests_per_instance=requests.max_concurrent_requests,
            max_queue_wait_ms=requests.max_queue_wait_ms,
        ),
        "liveness_probe": _probe(options.liveness),
        "readiness_probe": _probe(options.readiness),
        "data_collector": _collector(options.data_collection),
    }
    if isinstance(options, ManagedOptions):
        return ManagedOnlineDeployment(
            instance_type=options.instance_type, scale_settings=DefaultScaleSettings(), **common
        )
    scale = options.autoscale
    limits = ResourceSettings(cpu=options.cpu_limit or options.cpu, memory=options.memory_limit or options.memory)
    return KubernetesOnlineDeployment(
        instance_type=options.instance_type or None,
        resources=ResourceRequirementsSettings(
            requests=ResourceSettings(cpu=options.cpu, memory=options.memory), limits=limits
        ),
        scale_settings=TargetUtilizationScaleSettings(
            min_instances=scale.min_instances,
            max_instances=scale.max_instances,
            polling_interval=scale.polling_interval_s,
            target_utilization_percentage=scale.target_utilization,
        )
        if scale is not None
        else DefaultScaleSettings(),
        **common,
    )


def variables_of(wanted: WantedDeployment, options: OnlineOptions) -> dict[str, str]:
    """The container's environment: references to connections, and the variables that the flow's own name.

    A text of the flow's own lies in the image already; what is `${NAME}` there is looked for under NAME here, as the
    image's server looks for it in its environment.

    Raises:
        BusinessFailure: a variable is not set in this app, or holds a secret.
    """
    return {
        **references(wanted.connections),
        **looked_up(wanted.environment),
        "GENAIOPS_DEPLOYMENT": wanted.name,
        "GENAIOPS_SERVE_CONCURRENCY": str(options.requests.max_concurrent_requests),
    }


def looked_up(environment: Mapping[str, str]) -> dict[str, str]:
    """The values here of variables that are written as `${NAME}`, under NAME. They lie in clear in a deployment.

    Raises:
        BusinessFailure: one is not set in this app, or holds a secret.
    """
    values = filled_in(environment, os.environ, None)
    found = {}
    for name, written in environment.items():
        named = reference(written)
        if named is None:
            continue
        if is_secret(named, values[name]) or holds_secret(values[name]):
            raise BusinessFailure(
                f"The variable {name} holds a secret, and everybody who may read the Azure ML workspace could read it "
                "in the deployment: put it into a custom connection of the workspace and list that under `connections` "
                "in experiment.yaml."
            )
        found[named] = values[name]
    return found


def state_of(provisioning_state: str | None) -> str:
    """Azure's provisioning state in lower case: `creating`, `updating`, `deleting`, `succeeded`, `failed`, …"""
    return (provisioning_state or "").lower()


def shares_of(traffic: Mapping[str, Any] | None) -> dict[str, int]:
    """The split, of those who have a share."""
    return {name: int(share) for name, share in (traffic or {}).items() if int(share)}


def _probe(probe: Probe) -> ProbeSettings:
    from azure.ai.ml.entities import ProbeSettings

    return ProbeSettings(
        initial_delay=probe.initial_delay_s,
        period=probe.period_s,
        timeout=probe.timeout_s,
        success_threshold=probe.success_threshold,
        failure_threshold=probe.failure_threshold,
    )


def _collector(collection: DataCollection | None) -> DataCollector | None:
    if collection is None:
        return None
    from azure.ai.ml.entities import DataCollector, DeploymentCollection

    return DataCollector(
        collections={name: DeploymentCollection(enabled="true") for name in COLLECTIONS},
        rolling_rate=collection.rolling_rate,
        sampling_rate=collection.sampling_rate,
    )
