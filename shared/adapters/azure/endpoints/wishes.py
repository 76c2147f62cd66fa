"""Changes of an endpoint's record, as functions from what it says to what it ought to say. Pure.

Each is applied to the record as it is when it is written: what somebody else has changed since is left alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from shared.adapters.azure.endpoints.records import EndpointRecord, WantedDeployment, WantedTraffic
from shared.adapters.traffic import without
from shared.ports import DeploymentSpec
from shared.use_case.model import ConnectionSpec, DeploymentTarget


def new_endpoint(spec: DeploymentSpec, target: DeploymentTarget) -> EndpointRecord:
    """The record of an endpoint that nobody has deployed to."""
    return EndpointRecord(name=spec.endpoint, kind=target.kind, options=target.options)


def new_deployment(spec: DeploymentSpec, target: DeploymentTarget, creation: str) -> WantedDeployment:
    """What a deployment asks for; neither keys nor files are in it."""
    return WantedDeployment(
        name=spec.name,
        creation=creation,
        content=content_of(spec),
        options=target.options,
        flow_digest=spec.flow_digest,
        flow_version=spec.flow_version,
        flow_file=spec.flow_file,
        package=spec.package,
        variants=spec.variants,
        parameters=spec.parameters,
        environment=spec.environment,
        connections=spec.connection_specs or tuple(ConnectionSpec(name) for name in spec.connections),
        tags=spec.tags,
    )


def content_of(spec: DeploymentSpec) -> str:
    """A digest of what is served: of the flow, its variants and its parameters."""
    content = [spec.flow_digest, dict(spec.variants), dict(spec.parameters)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def claim(
    before: EndpointRecord, wanted: WantedDeployment, failed: str | None, traffic: Mapping[str, int]
) -> EndpointRecord:
    """Ask for a new deployment, unless another caller has asked for one of this name since.

    Args:
        before: the record.
        wanted: the new deployment.
        failed: creation of the failed deployment that it replaces.
        traffic: the endpoint's split now, out of which the failed one is taken.
    """
    there = before.deployments.get(wanted.name)
    if there is not None and not there.removed and there.creation != failed:
        return before
    after = before.having(wanted)
    split = dict(before.traffic.split) if before.traffic is not None else dict(traffic)
    if split.get(wanted.name):
        after = after.model_copy(update={"traffic": WantedTraffic(split=without(split, wanted.name))})
    return after


def replace(before: EndpointRecord, wanted: WantedDeployment) -> EndpointRecord:
    """Put the deployment in place of itself as it was, if this very creation is still asked for."""
    there = before.deployments.get(wanted.name)
    if there is None or there.creation != wanted.creation or there == wanted or there.removed:
        return before
    return before.having(wanted)


def drop(before: EndpointRecord, wanted: WantedDeployment) -> EndpointRecord:
    """Forget this very creation."""
    there = before.deployments.get(wanted.name)
    return before if there is None or there.creation != wanted.creation else before.lacking(wanted.name)


def with_traffic(before: EndpointRecord, traffic: WantedTraffic | None) -> EndpointRecord:
    """Ask for a split, or for what the platform has."""
    return before if before.traffic == traffic else before.model_copy(update={"traffic": traffic})


def confirm(before: EndpointRecord, asked: WantedTraffic, then: WantedTraffic | None) -> EndpointRecord:
    """What becomes of this very split, if nobody has asked for another one since."""
    return with_traffic(before, then) if before.traffic is not None and before.traffic.split == asked.split else before
