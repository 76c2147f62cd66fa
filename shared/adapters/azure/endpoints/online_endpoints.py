"""Azure ML's managed and Kubernetes online endpoints as a target: every look compares them with what is asked for.

The way of a deployment, one operation at a look, each begun and never waited for: the endpoint (create) → its image, as
an environment of the workspace → a former deployment of the name (delete) → the deployment (create, at 0 %) → its
autoscale setting → READY. A 409, since another operation is running, means: at the next look.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Final

from shared.adapters.azure.arm import ResourceManager
from shared.adapters.azure.endpoints import autoscale, images, scoring, unpolled
from shared.adapters.azure.endpoints.failures import reason_of
from shared.adapters.azure.endpoints.image_context import image_context
from shared.adapters.azure.endpoints.metrics import Measured, measured
from shared.adapters.azure.endpoints.online_assets import OnlineAssets, environment_id, workspace_id
from shared.adapters.azure.endpoints.online_entities import (
    deployment_of,
    endpoint_of,
    looked_up,
    shares_of,
    state_of,
)
from shared.adapters.azure.endpoints.online_options import (
    MANAGED,
    ManagedOptions,
    check_name,
    read_options,
)
from shared.adapters.azure.endpoints.records import EndpointRecord, WantedDeployment
from shared.adapters.azure.endpoints.target import CREATION_TAG, SeenDeployment, SeenEndpoint
from shared.adapters.azure.machine_learning.client import Workspace
from shared.errors import BusinessFailure, Conflict, NotFound, Transient
from shared.ports import Clock, DeploymentSpec, DeploymentState, Invocation

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint
    from azure.core.credentials import TokenCredential

_CREATING: Final = DeploymentState.CREATING
_BUSY: Final = frozenset({"creating", "updating", "deleting"})
_KNOWN_S: Final = 300.0
"""Seconds for which an endpoint's address and key are known without asking again."""


class OnlineEndpoints:
    """Online endpoints of one kind, `azure_managed_endpoint` or `kubernetes_endpoint`. Safe for several threads.

    Args:
        kind: which of them.
        workspace: with its clients.
        manager: Azure Resource Manager, for autoscale and counts.
        credential: the process's, for scoring by identity.
        clock: for the span of counts.
        builder: builds images into the registry of the settings; None: Azure ML builds them from their context.
        timeout_s: for a scoring request.
    """

    def __init__(
        self,
        kind: str,
        workspace: Workspace,
        manager: ResourceManager,
        credential: TokenCredential,
        clock: Clock,
        *,
        builder: images.Images | None = None,
        timeout_s: float = 180.0,
    ) -> None:
        self._kind = kind
        self._workspace = workspace
        self._assets = OnlineAssets(workspace)
        self._manager = manager
        self._credential = credential
        self._clock = clock
        self._builder = builder
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._known: dict[str, tuple[float, str, str]] = {}

    def check(self, spec: DeploymentSpec) -> None:
        """See the protocol. Raises BusinessFailure."""
        check_name(spec.endpoint, "endpoint")
        check_name(spec.name, "deployment")
        read_options(self._kind, spec.target.options if spec.target is not None else {})
        looked_up(spec.environment)

    def prepare(  # what every image of this content shares
        self,
        record: EndpointRecord,  # noqa: ARG002
        wanted: WantedDeployment,
        spec: DeploymentSpec,
    ) -> Mapping[str, str]:
        """Bring the image's context to where it is built, and name its environment. See the protocol."""
        spec = images.for_platform(spec)
        context = image_context(spec)
        prepared = {"environment": context.tag}
        if self._builder is not None:
            return prepared | dict(self._builder.begin(spec, wanted.options))
        with self._workspace.errors():
            if self._assets.environment(context.tag) is None:
                self._assets.upload(context)
        return prepared

    def advance(self, record: EndpointRecord, wanted: WantedDeployment) -> SeenDeployment:
        """Begin what comes next. See the protocol."""
        client = self._workspace.client()
        with self._workspace.errors():
            endpoint = self._endpoint(client, record.name)
            found = None if endpoint is None else self._deployment(client, record.name, wanted.name)
        if found is None and wanted.began:
            raise NotFound(f"The deployment {wanted.name!r} of endpoint {record.name!r} was deleted.")
        if endpoint is not None and found is not None:
            creation = (found.tags or {}).get(CREATION_TAG)
            if creation is None:
                raise BusinessFailure(
                    f"The endpoint {record.name!r} has a deployment {wanted.name!r} that this product did not create: "
                    "remove it there, or deploy another version."
                )
            if creation == wanted.creation:
                return self._seen(record, wanted, endpoint, found)
        try:
            with self._workspace.errors():
                if endpoint is None:
                    return self._begin_endpoint(client, record, wanted)
                if found is None:
                    return self._create(client, record, wanted, endpoint)
                return self._replace(client, record, found)
        except Conflict:
            return SeenDeployment(_CREATING, "it waits for another operation of its endpoint")
        except NotFound as error:  # not of the deployment: of what it needs
            raise BusinessFailure(str(error)) from error

    def observe(self, record: EndpointRecord, *, counts: bool = False) -> SeenEndpoint | None:
        """See the protocol."""
        client = self._workspace.client()
        with self._workspace.errors():
            endpoint = self._endpoint(client, record.name)
            if endpoint is None:
                return None
            deployments = list(client.online_deployments.list(record.name))
        by_name = self._measured(endpoint) if counts else {}
        return SeenEndpoint(
            url=endpoint.scoring_uri or "",
            traffic=shares_of(endpoint.traffic),
            deployments={each.name: _shown(each, by_name.get(each.name, Measured())) for each in deployments},
            is_changing=state_of(endpoint.provisioning_state) in _BUSY,
        )

    def shift(self, record: EndpointRecord, split: Mapping[str, int]) -> bool:
        """See the protocol."""
        client = self._workspace.client()
        try:
            with self._workspace.errors():
                endpoint = self._endpoint(client, record.name)
                if endpoint is None or state_of(endpoint.provisioning_state) in _BUSY:
                    return False
                endpoint.traffic = shares_of(split)
                unpolled.begin_endpoint(client, endpoint, self._assets.location(client))
        except Conflict:
            return False
        return True

    def delete(self, record: EndpointRecord, deployment: str) -> bool:
        """See the protocol."""
        client = self._workspace.client()
        try:
            with self._workspace.errors():
                endpoint = self._endpoint(client, record.name)
                if endpoint is None:
                    return True
                if shares_of(endpoint.traffic).get(deployment):
                    return False  # a split without it is on its way
                found = self._deployment(client, record.name, deployment)
                if found is None or state_of(found.provisioning_state) == "deleting":
                    return True
                self._begin_deletion(client, record, found)
        except Conflict:
            return False
        return True

    def invoke(
        self, record: EndpointRecord, payload: Mapping[str, object], deployment: str | None = None
    ) -> Invocation:
        """See the protocol."""
        for is_known in (True, False):
            url, bearer = self._address(record.name, may_be_known=is_known)
            answer = scoring.post(url, payload, deployment, bearer, self._timeout_s)
            if answer.status != 401:  # a key may have been regenerated since it was asked for
                break
        return scoring.meant(answer, record.name, deployment)

    def _begin_endpoint(self, client: MLClient, record: EndpointRecord, wanted: WantedDeployment) -> SeenDeployment:
        endpoint = endpoint_of(record, read_options(self._kind, record.options), wanted.creation, workspace_id(client))
        unpolled.begin_endpoint(client, endpoint, self._assets.location(client))
        return SeenDeployment(_CREATING, "its endpoint is being created")

    def _create(
        self, client: MLClient, record: EndpointRecord, wanted: WantedDeployment, endpoint: OnlineEndpoint
    ) -> SeenDeployment:
        match state_of(endpoint.provisioning_state):
            case "creating" | "updating" | "deleting":
                return SeenDeployment(_CREATING, f"its endpoint is {state_of(endpoint.provisioning_state)}")
            case "failed" if not endpoint.scoring_uri:
                # It never came up. One try for each creation: else every look would begin another one.
                if (endpoint.tags or {}).get(CREATION_TAG) != wanted.creation:
                    return self._begin_endpoint(client, record, wanted)
                return SeenDeployment(DeploymentState.FAILED, "its endpoint could not be created: see it in the portal")
        prepared = wanted.prepared or {}
        if self._builder is not None:
            state, text = self._builder.look(prepared)
            if state is not DeploymentState.READY:
                return SeenDeployment(state, text)
            if self._assets.environment(prepared["environment"]) is None:
                self._assets.register(prepared["environment"], image=text)
        options = read_options(self._kind, wanted.options)
        deployment = deployment_of(record, wanted, options, environment_id(client, prepared["environment"]))
        self._assets.register_collections(client, deployment)
        began = unpolled.begin_deployment(client, deployment, self._assets.location(client))
        return SeenDeployment(_CREATING, "it is being created", began=began)

    def _replace(self, client: MLClient, record: EndpointRecord, former: OnlineDeployment) -> SeenDeployment:
        if state_of(former.provisioning_state) != "deleting":
            self._begin_deletion(client, record, former)
        return SeenDeployment(_CREATING, "a former deployment of its name is being deleted")

    def _begin_deletion(self, client: MLClient, record: EndpointRecord, deployment: OnlineDeployment) -> None:
        name = str(deployment.name)
        if self._kind == MANAGED:
            autoscale.forget(self._manager, self._deployment_id(client, record.name, name))
        unpolled.begin_deletion(client, record.name, name)

    def _seen(
        self, record: EndpointRecord, wanted: WantedDeployment, endpoint: OnlineEndpoint, found: OnlineDeployment
    ) -> SeenDeployment:
        """Where the deployment is that is asked for; `began` tells that there is no need to create it any more."""
        client = self._workspace.client()
        options = read_options(self._kind, wanted.options)
        state = state_of(found.provisioning_state)
        began = wanted.began or "found"
        if state == "succeeded":
            if isinstance(options, ManagedOptions) and options.autoscale is not None:
                path = self._deployment_id(client, record.name, wanted.name)
                autoscale.ensure(self._manager, path, self._assets.location(client), options.autoscale)
            return _shown(found, self._measured(endpoint).get(wanted.name, Measured()), began=began)
        if state in ("failed", "canceled"):
            reason = reason_of(client, self._manager, record.name, wanted)
            return SeenDeployment(DeploymentState.FAILED, reason, dict(found.tags or {}), began)
        return SeenDeployment(_CREATING, f"it is {state or 'on its way'}", dict(found.tags or {}), began)

    def _address(self, endpoint: str, *, may_be_known: bool) -> tuple[str, str]:
        """Where to score, and what to authenticate with: the endpoint's own key or token, or the app's token."""
        now = time.monotonic()
        with self._lock:
            until, url, key = self._known.get(endpoint, (0.0, "", ""))
        if not may_be_known or until < now:
            client = self._workspace.client()
            with self._workspace.errors():
                found = self._endpoint(client, endpoint)
                if found is None or not found.scoring_uri:
                    raise Transient(f"The endpoint {endpoint!r} is still being created: nothing can answer there.")
                url, key = found.scoring_uri, ""
                if found.auth_mode == "key":
                    key = str(client.online_endpoints.get_keys(endpoint).primary_key)
                elif found.auth_mode == "aml_token":
                    key = str(client.online_endpoints.get_keys(endpoint).access_token)
            with self._lock:
                self._known[endpoint] = (now + _KNOWN_S, url, key)
        if key:
            return url, key
        if not url.startswith("https://"):  # of a cluster; a key opens this endpoint alone, the token the workspace
            raise BusinessFailure(
                f"The endpoint {endpoint!r} answers at {url}, where this app's token would travel in clear: give the "
                "cluster's Azure ML extension a certificate, or set AUTH_MODE to key in "
                "configs/deployment_config.json and name a new endpoint."
            )
        with self._workspace.errors():
            return url, self._credential.get_token(scoring.SCOPE).token

    def _measured(self, endpoint: OnlineEndpoint) -> dict[str, Measured]:
        return measured(self._manager, str(endpoint.id), self._clock.now())

    def _endpoint(self, client: MLClient, name: str) -> OnlineEndpoint | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found: OnlineEndpoint = client.online_endpoints.get(name)
        except ResourceNotFoundError:
            return None
        return found

    def _deployment(self, client: MLClient, endpoint: str, name: str) -> OnlineDeployment | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found: OnlineDeployment = client.online_deployments.get(name, endpoint)
        except ResourceNotFoundError:
            return None
        return found

    def _deployment_id(self, client: MLClient, endpoint: str, deployment: str) -> str:
        return f"{workspace_id(client)}/onlineEndpoints/{endpoint}/deployments/{deployment}"


def _shown(deployment: OnlineDeployment, counted: Measured, *, began: str = "") -> SeenDeployment:
    state = state_of(deployment.provisioning_state)
    states = {"succeeded": DeploymentState.READY, "failed": DeploymentState.FAILED, "canceled": DeploymentState.FAILED}
    return SeenDeployment(
        state=states.get(state, _CREATING),
        tags=dict(deployment.tags or {}),
        began=began,
        is_leaving=state == "deleting",
        requests=counted.requests,
        errors=counted.errors,
        latency_p50_ms=counted.latency_p50_ms,
        latency_p95_ms=counted.latency_p95_ms,
    )
