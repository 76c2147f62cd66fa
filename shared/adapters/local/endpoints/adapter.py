"""The Endpoints port on a laptop, for any process: the host's functions, the command line, a notebook.

Changes are written to the desired document and then announced to the host's router, which reads it again before it
answers; where no host runs, they wait for the next one. Scoring goes through the router over HTTP, as a client's would.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

from shared.adapters.local.endpoints.client import RouterClient
from shared.adapters.local.endpoints.state import (
    FLOW,
    ROOT,
    SERVED,
    DesiredDeployment,
    DesiredEndpoint,
    EndpointStore,
    ObservedDeployment,
    ObservedEndpoint,
)
from shared.adapters.traffic import check_traffic, without
from shared.errors import BusinessFailure, NotFound, Transient
from shared.names import checked
from shared.ports import BlobStore, DeploymentInfo, DeploymentSpec, DeploymentState, EndpointInfo, Invocation
from shared.use_case.model import ConnectionSpec

_NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", ".promptflow", ".env", ".env.*", ".git", ".runs")
_START_THE_HOST: Final = "start it with `python -m genaiops start`"


class LocalEndpoints:
    """Endpoints behind the router at `router_url` (`http://127.0.0.1:<port>`), kept under `home` and in `blobs`."""

    def __init__(self, blobs: BlobStore, home: Path, router_url: str, *, timeout_s: float = 310.0) -> None:
        self._store = EndpointStore(blobs)
        self._served = home / SERVED
        self._router = RouterClient(router_url, timeout_s=timeout_s)

    def deploy(self, spec: DeploymentSpec) -> DeploymentInfo:
        """Ask for the deployment, at 0 % traffic. See the port.

        Where the same was deployed before and has failed, it is created anew: what it failed of may have passed.

        Raises:
            BusinessFailure: the flow's folder is missing, or another flow is deployed under that name.
            InvalidName: of the endpoint or the deployment.
        """
        checked(spec.endpoint, "endpoint")
        checked(spec.name, "deployment")
        present = self._found(spec)
        if present is not None and not self._has_failed(spec.endpoint, present):
            return self.look(spec.endpoint, spec.name)
        if not spec.flow.is_dir():
            raise BusinessFailure(
                f"Flow folder {spec.flow} does not exist: deploy the folder that holds {spec.flow_file}."
            )
        wanted = self._frozen(spec)

        def add(before: DesiredEndpoint) -> DesiredEndpoint:
            there = before.deployments.get(spec.name)
            if there is not None and (present is None or there.creation != present.creation):
                return before  # another caller came first
            deployments = {**before.deployments, spec.name: wanted}
            return before.model_copy(update={"deployments": deployments, "traffic": without(before.traffic, spec.name)})

        self._store.update(spec.endpoint, add, create=True)
        # Two callers may have come here at once: the document says whose deployment it is.
        found = self._found(spec)
        created = found is not None and found.creation == wanted.creation
        if not created:
            shutil.rmtree(self._served / wanted.folder, ignore_errors=True)
        self._router.refresh()
        return replace(self.look(spec.endpoint, spec.name), created=created)

    def look(self, endpoint: str, deployment: str) -> DeploymentInfo:
        """What is known of a deployment. Raises NotFound."""
        for info in self.describe(endpoint).deployments:
            if info.name == deployment:
                return info
        raise NotFound(f"Endpoint {endpoint!r} has no deployment {deployment!r}.")

    def describe(self, endpoint: str) -> EndpointInfo:
        """What is known of an endpoint. Raises NotFound."""
        return self._info(self._desired(endpoint), self._router.observed())

    def list(self) -> list[EndpointInfo]:
        """All endpoints, by name."""
        live = self._router.observed()
        return [self._info(self._store.desired(name), live) for name in self._store.names()]

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """Replace the traffic split.

        Raises:
            BusinessFailure: the shares are wrong, or name a deployment that does not exist.
            NotFound: there is no such endpoint.
        """
        self._desired(endpoint)

        def split(before: DesiredEndpoint) -> DesiredEndpoint:
            check_traffic(traffic, before.deployments.keys(), endpoint)
            return before.model_copy(update={"traffic": dict(traffic)})

        self._store.update(endpoint, split, create=False)
        self._router.refresh()

    def invoke(self, endpoint: str, payload: Mapping[str, object], deployment: str | None = None) -> Invocation:
        """Score one request through the router. See the port."""
        desired = self._desired(endpoint)
        if deployment is not None and deployment not in desired.deployments:
            raise NotFound(f"Endpoint {endpoint!r} has no deployment {deployment!r}.")
        start = time.perf_counter()
        try:
            answer = self._router.score(endpoint, json.dumps(payload).encode(), deployment)
        except OSError as error:
            raise Transient(f"No router answers at {self._router.url} ({error}): {_START_THE_HOST}.") from error
        latency_ms = (time.perf_counter() - start) * 1000
        if not answer.deployment:
            # The router's own word, not a deployment's.
            if answer.status == HTTPStatus.NOT_FOUND:
                raise NotFound(_message(answer.body))
            if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise Transient(_message(answer.body))
        return Invocation(answer.status, answer.body, latency_ms, answer.deployment)

    def remove(self, endpoint: str, deployment: str) -> None:
        """Delete the deployment; the host ends its process and deletes its folder.

        Raises:
            BusinessFailure: it has traffic.
        """

        def without(before: DesiredEndpoint) -> DesiredEndpoint:
            if before.traffic.get(deployment):
                raise BusinessFailure(
                    f"Deployment {deployment!r} of endpoint {endpoint!r} has {before.traffic[deployment]} % of the "
                    "traffic: give that to another deployment before you remove it."
                )
            rest = {name: value for name, value in before.deployments.items() if name != deployment}
            traffic = {name: share for name, share in before.traffic.items() if name != deployment}
            return before.model_copy(update={"deployments": rest, "traffic": traffic})

        try:
            self._store.update(checked(endpoint, "endpoint"), without, create=False)
        except NotFound:
            return
        self._router.refresh()

    def _desired(self, endpoint: str) -> DesiredEndpoint:
        try:
            return self._store.desired(checked(endpoint, "endpoint"))
        except NotFound:
            raise NotFound(f"There is no endpoint {endpoint!r}: deploy a flow to it first.") from None

    def _found(self, spec: DeploymentSpec) -> DesiredDeployment | None:
        """The deployment of that name, if there is one; raises BusinessFailure if it is of something else."""
        try:
            found = self._store.desired(spec.endpoint).deployments.get(spec.name)
        except NotFound:
            return None
        if found is None:
            return None
        asked = (spec.flow_digest, dict(spec.variants), dict(spec.parameters))
        if (found.flow_digest, dict(found.variants), dict(found.parameters)) != asked:
            raise BusinessFailure(
                f"Deployment {spec.name!r} of endpoint {spec.endpoint!r} exists, with another flow, other variants or "
                "other parameters: use another name, or remove it first."
            )
        return found

    def _has_failed(self, endpoint: str, present: DesiredDeployment) -> bool:
        live = self._router.observed()
        seen = live.get(endpoint) if live is not None else self._store.observed(endpoint)
        observed = seen.deployments.get(present.name) if seen is not None else None
        # Of this creation: a failure of the one before it says nothing.
        return (
            observed is not None and observed.creation == present.creation and observed.state is DeploymentState.FAILED
        )

    def _frozen(self, spec: DeploymentSpec) -> DesiredDeployment:
        # A folder of its own for every creation: a removal that the host has not carried out yet can then never delete
        # what a new deployment of the same name has just copied.
        creation = secrets.token_hex(6)
        folder = f"{spec.endpoint}/{spec.name}-{creation}"
        within = _place_in_root(spec)
        copied, target = (spec.flow, FLOW) if within is None else (spec.root or spec.flow, ROOT)
        shutil.copytree(copied, self._served / folder / target, ignore=_NOT_COPIED)
        return DesiredDeployment(
            name=spec.name,
            creation=creation,
            folder=folder,
            flow_digest=spec.flow_digest,
            flow_version=spec.flow_version,
            variants=spec.variants,
            parameters=spec.parameters,
            environment=spec.environment,
            connections=spec.connection_specs or tuple(ConnectionSpec(name) for name in spec.connections),
            tags=spec.tags,
            flow=FLOW if within is None else f"{ROOT}/{within.as_posix()}",
            flow_file=spec.flow_file,
            package=spec.package,
            root="" if within is None else ROOT,
        )

    def _info(self, desired: DesiredEndpoint, live: Mapping[str, ObservedEndpoint] | None) -> EndpointInfo:
        running = live is not None
        seen = (
            live.get(desired.name) if live is not None else self._store.observed(desired.name)
        ) or ObservedEndpoint()
        deployments = []
        for name, wanted in sorted(desired.deployments.items()):
            observed = seen.deployments.get(name)
            if observed is None or observed.creation != wanted.creation:
                observed = ObservedDeployment(
                    creation=wanted.creation, state=DeploymentState.CREATING, reason="the host has not seen it yet"
                )
            deployments.append(_deployment_info(desired.name, wanted, observed, running=running))
        url = f"{self._router.url}/{desired.name}/score"
        return EndpointInfo(desired.name, url, dict(desired.traffic), tuple(deployments))


def _place_in_root(spec: DeploymentSpec) -> Path | None:
    """Where the flow lies in the use case's folder, if code may import that folder and the flow lies in it."""
    if spec.root is None or not spec.package or not spec.flow.is_relative_to(spec.root):
        return None
    return spec.flow.relative_to(spec.root)


def _deployment_info(
    endpoint: str, wanted: DesiredDeployment, observed: ObservedDeployment, *, running: bool
) -> DeploymentInfo:
    state, reason = observed.state, observed.reason
    if not running and state is not DeploymentState.FAILED:
        state, reason = DeploymentState.CREATING, f"no host serves it now: {_START_THE_HOST}"
    return DeploymentInfo(
        endpoint=endpoint,
        name=wanted.name,
        flow_version=wanted.flow_version,
        state=state,
        reason=reason,
        requests=observed.counts.requests,
        errors=observed.counts.errors,
        latency_p50_ms=observed.counts.percentile(0.50),
        latency_p95_ms=observed.counts.percentile(0.95),
        tags=wanted.tags,
    )


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500].decode(errors="replace")
