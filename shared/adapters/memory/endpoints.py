"""Endpoints in memory, where a Python function answers for a flow; they ship so that users can test with them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.adapters.traffic import without
from shared.errors import BusinessFailure, NotFound, Transient
from shared.names import checked
from shared.ports import DeploymentInfo, DeploymentSpec, DeploymentState, EndpointInfo, Invocation

Handler = Callable[[Mapping[str, object], DeploymentSpec], Mapping[str, object]]
"""One request: the payload and the deployment's spec → the answer. What it raises is answered with status 500."""


@dataclass
class _Deployment:
    spec: DeploymentSpec
    looks_left: int
    failure: str
    requests: int = 0
    errors: int = 0
    credit: int = 0
    """Share of the traffic that it has not had yet: see `_choose`."""


@dataclass
class _Endpoint:
    deployments: dict[str, _Deployment] = field(default_factory=dict)
    traffic: dict[str, int] = field(default_factory=dict)


class MemoryEndpoints:
    """Endpoints over functions by flow folder name: `MemoryEndpoints({"triage": lambda payload, spec: {...}})`.

    A deployment is CREATING until it was looked at `looks` times. `failures` maps a flow folder's name to the reason
    why its deployments fail. Traffic is split exactly, not by chance: of 10 calls at 90/10, one goes to the second.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], *, looks: int = 1, failures: Mapping[str, str] | None = None
    ) -> None:
        self._handlers = handlers
        self._looks = looks
        self._failures = failures or {}
        self._mutex = threading.RLock()
        self._endpoints: dict[str, _Endpoint] = {}

    def deploy(self, spec: DeploymentSpec) -> DeploymentInfo:
        """Create the deployment at 0 % traffic, or find it; one that has failed is created anew.

        Raises:
            BusinessFailure: no function answers for it, or another flow is deployed under that name.
            InvalidName: of the endpoint or the deployment.
        """
        checked(spec.endpoint, "endpoint")
        checked(spec.name, "deployment")
        with self._mutex:
            if spec.flow.name not in self._handlers and spec.flow.name not in self._failures:
                raise BusinessFailure(f"No function answers for the flow folder {spec.flow.name!r}.")
            endpoint = self._endpoints.setdefault(spec.endpoint, _Endpoint())
            present = endpoint.deployments.get(spec.name)
            if present is not None and _content(present.spec) != _content(spec):
                raise BusinessFailure(
                    f"Deployment {spec.name!r} of endpoint {spec.endpoint!r} exists, with another flow, other variants "
                    "or other parameters: use another name, or remove it first."
                )
            created = present is None or _info(present).state is DeploymentState.FAILED
            if created:
                failure = self._failures.get(spec.flow.name, "")
                endpoint.deployments[spec.name] = _Deployment(spec, self._looks, failure)
                endpoint.traffic = without(endpoint.traffic, spec.name)
            return _info(endpoint.deployments[spec.name], created=created)

    def look(self, endpoint: str, deployment: str) -> DeploymentInfo:
        """Look at a deployment, which brings it nearer to being ready. Raises NotFound."""
        with self._mutex:
            found = self._deployment(endpoint, deployment)
            found.looks_left = max(0, found.looks_left - 1)
            return _info(found)

    def describe(self, endpoint: str) -> EndpointInfo:
        """Raises NotFound."""
        with self._mutex:
            found = self._endpoint(endpoint)
            deployments = tuple(_info(found.deployments[name]) for name in sorted(found.deployments))
            return EndpointInfo(endpoint, f"memory://{endpoint}/score", dict(found.traffic), deployments)

    def list(self) -> list[EndpointInfo]:
        """All endpoints, by name."""
        with self._mutex:
            return [self.describe(name) for name in sorted(self._endpoints)]

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """Replace the traffic split; it must sum to 0 or 100 and name existing deployments, else BusinessFailure."""
        with self._mutex:
            found = self._endpoint(endpoint)
            unknown = sorted(set(traffic) - set(found.deployments))
            if unknown:
                raise BusinessFailure(
                    f"The endpoint {endpoint!r} has no deployment {', '.join(unknown)} to give traffic to."
                )
            if sum(traffic.values()) not in (0, 100) or any(percent < 0 for percent in traffic.values()):
                raise BusinessFailure(f"The traffic of {endpoint!r} must sum to 0 or 100, not {dict(traffic)}.")
            found.traffic = dict(traffic)
            for deployment in found.deployments.values():
                deployment.credit = 0

    def invoke(self, endpoint: str, payload: Mapping[str, object], deployment: str | None = None) -> Invocation:
        """Score one request, through the split or on the named deployment. Raises NotFound, Transient."""
        with self._mutex:
            found = self._endpoint(endpoint)
            chosen = self._deployment(endpoint, deployment) if deployment is not None else _choose(found)
            if chosen is None or _info(chosen).state is not DeploymentState.READY:
                raise Transient(f"Nothing could answer at endpoint {endpoint!r}: no deployment with traffic is ready.")
            chosen.requests += 1
            try:
                answer = self._handlers[chosen.spec.flow.name](payload, chosen.spec)
            except Exception as error:
                chosen.errors += 1
                return Invocation(500, json.dumps({"error": str(error)}).encode(), 1.0, chosen.spec.name)
            return Invocation(200, json.dumps(dict(answer)).encode(), 1.0, chosen.spec.name)

    def remove(self, endpoint: str, deployment: str) -> None:
        """Delete the deployment (its traffic must be 0, else BusinessFailure); one that does not exist is no error."""
        with self._mutex:
            found = self._endpoints.get(endpoint, _Endpoint())
            if found.traffic.get(deployment, 0) > 0:
                raise BusinessFailure(f"The deployment {deployment!r} of {endpoint!r} has traffic; take it away first.")
            found.deployments.pop(deployment, None)
            found.traffic.pop(deployment, None)

    def _endpoint(self, name: str) -> _Endpoint:
        if name not in self._endpoints:
            raise NotFound(f"There is no endpoint {name!r}.")
        return self._endpoints[name]

    def _deployment(self, endpoint: str, name: str) -> _Deployment:
        deployments = self._endpoint(endpoint).deployments
        if name not in deployments:
            raise NotFound(f"The endpoint {endpoint!r} has no deployment {name!r}.")
        return deployments[name]


def _content(spec: DeploymentSpec) -> tuple[object, ...]:
    return spec.flow_digest, dict(spec.variants), dict(spec.parameters)


def _choose(endpoint: _Endpoint) -> _Deployment | None:
    """Smooth weighted round robin: everyone earns its share, the richest serves and pays for all."""
    sharing = [(endpoint.deployments[name], percent) for name, percent in endpoint.traffic.items() if percent > 0]
    if not sharing:
        return None
    for deployment, percent in sharing:
        deployment.credit += percent
    chosen = max((deployment for deployment, _ in sharing), key=lambda deployment: deployment.credit)
    chosen.credit -= 100
    return chosen


def _info(deployment: _Deployment, *, created: bool = False) -> DeploymentInfo:
    state = DeploymentState.READY
    if deployment.looks_left > 0:
        state = DeploymentState.CREATING
    elif deployment.failure:
        state = DeploymentState.FAILED
    answered = deployment.requests > 0
    return DeploymentInfo(
        endpoint=deployment.spec.endpoint,
        name=deployment.spec.name,
        flow_version=deployment.spec.flow_version,
        state=state,
        reason=deployment.failure if state is DeploymentState.FAILED else "",
        created=created,
        requests=deployment.requests,
        errors=deployment.errors,
        latency_p50_ms=1.0 if answered else None,
        latency_p95_ms=1.0 if answered else None,
        tags=deployment.spec.tags,
    )
