"""From what is asked of an endpoint and what its platform shows to what the port tells. Pure.

What was asked for counts as there at once; what was removed counts as gone at once.
"""

from __future__ import annotations

from shared.adapters.azure.endpoints.records import EndpointRecord, WantedDeployment
from shared.adapters.azure.endpoints.target import OWN_TAGS, VERSION_TAG, SeenDeployment, SeenEndpoint
from shared.ports import DeploymentInfo, DeploymentState, EndpointInfo

NOT_YET = SeenDeployment(DeploymentState.CREATING, "its creation has not begun yet")


def endpoint_info(record: EndpointRecord, seen: SeenEndpoint | None) -> EndpointInfo:
    """The endpoint as the port tells it; `seen` is None while the platform has none."""
    there = {} if seen is None else {name: each for name, each in seen.deployments.items() if not each.is_leaving}
    infos = {name: found_info(record.name, name, each) for name, each in there.items()}
    for name, wanted in record.deployments.items():
        if wanted.removed:
            infos.pop(name, None)
        elif name in there or not wanted.began:
            infos[name] = deployment_info(record.name, wanted, there.get(name, NOT_YET))
    ask = record.traffic
    return EndpointInfo(
        name=record.name,
        url=seen.url if seen is not None else "",
        traffic=dict(ask.split if ask is not None else seen.traffic if seen is not None else {}),
        deployments=tuple(infos[name] for name in sorted(infos)),
        settled=holds(record, seen),
        removing=tuple(sorted(name for name, wanted in record.deployments.items() if wanted.removed)),
    )


def holds(record: EndpointRecord, seen: SeenEndpoint | None) -> bool:
    """Whether requests are split as was asked last."""
    if seen is not None and seen.is_changing and record.traffic is not None:
        return False
    return record.traffic is None or dict(record.traffic.split) == dict(seen.traffic if seen is not None else {})


def deployment_info(
    endpoint: str, wanted: WantedDeployment, seen: SeenDeployment, *, created: bool = False
) -> DeploymentInfo:
    """A deployment of the record, as its platform shows it."""
    return DeploymentInfo(
        endpoint=endpoint,
        name=wanted.name,
        flow_version=wanted.flow_version,
        state=seen.state,
        reason=seen.reason,
        created=created,
        requests=seen.requests,
        errors=seen.errors,
        latency_p50_ms=seen.latency_p50_ms,
        latency_p95_ms=seen.latency_p95_ms,
        tags=wanted.tags,
    )


def found_info(endpoint: str, name: str, seen: SeenDeployment) -> DeploymentInfo:
    """A deployment that only the platform knows: made by hand, or one whose record is gone."""
    return DeploymentInfo(
        endpoint=endpoint,
        name=name,
        flow_version=seen.tags.get(VERSION_TAG, ""),
        state=seen.state,
        reason=seen.reason,
        requests=seen.requests,
        errors=seen.errors,
        latency_p50_ms=seen.latency_p50_ms,
        latency_p95_ms=seen.latency_p95_ms,
        tags={tag: value for tag, value in seen.tags.items() if tag not in OWN_TAGS},
    )


def shown(endpoint: SeenEndpoint | None, deployment: str) -> SeenDeployment | None:
    """The deployment as its platform shows it; None where it is not there, or being deleted."""
    found = endpoint.deployments.get(deployment) if endpoint is not None else None
    return None if found is None or found.is_leaving else found
