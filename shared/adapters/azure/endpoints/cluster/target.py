"""The target `kubernetes_cluster`: what comes next on the way to a deployment in a cluster, and what its objects show.

    prepare: the image's build begins in the registry ──▶ advance: built? ──▶ Service, autoscaler, Deployment applied
    ──▶ Deployment available? ──▶ the route knows it (header, weight 0) ──▶ READY; shift: the route's weights change

The Deployment is applied last and deleted last: while it is there, the deployment is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from shared.adapters.azure.endpoints.cluster import manifests, reading
from shared.adapters.azure.endpoints.cluster.api import ClusterApi
from shared.adapters.azure.endpoints.cluster.options import KIND, ClusterOptions, read
from shared.adapters.azure.endpoints.exchange import score
from shared.adapters.azure.endpoints.images import Images
from shared.adapters.azure.endpoints.records import EndpointRecord, WantedDeployment
from shared.adapters.azure.endpoints.target import CREATION_TAG, SeenDeployment, SeenEndpoint, tags_of
from shared.azure_settings import CLUSTERS
from shared.errors import BusinessFailure, Conflict, NotFound, Transient
from shared.ports import DeploymentSpec, DeploymentState, Invocation

NAME_LIMIT: Final = 63
"""Of a Service's name: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#rfc-1035-label-names."""
_APPLIED: Final = "applied"
_UNANSWERED: Final = frozenset({404, 500, 502, 503, 504})
"""What a gateway says by itself where nobody answered: it has no route yet, or nobody is behind it."""


class ClusterTarget:
    """Serves endpoints in clusters that only their API server is known of."""

    def __init__(self, images: Images, api: Callable[[ClusterOptions], ClusterApi], clusters: Collection[str]) -> None:
        """`clusters`: the API servers that may be asked: use cases choose among them, and send a token nowhere else."""
        self._images = images
        self._clusters = frozenset(clusters)
        self._api = lru_cache(maxsize=32)(api)  # one client a cluster: it keeps its connections

    def check(self, spec: DeploymentSpec) -> None:
        """Raises BusinessFailure for options and names that a cluster would refuse."""
        self._allowed(spec.target.options if spec.target else {})
        name = manifests.object_name(spec.endpoint, spec.name)
        if len(name) > NAME_LIMIT or not name[0].isalpha() or name != name.lower() or "_" in name:
            raise BusinessFailure(
                f"Deployment {spec.name!r} of endpoint {spec.endpoint!r} would be called {name!r} in the cluster, "
                f"where names have at most {NAME_LIMIT} small letters, digits and dashes, the first a letter: choose "
                "another name for deployment.endpoint in experiment.yaml."
            )

    def prepare(self, record: EndpointRecord, wanted: WantedDeployment, spec: DeploymentSpec) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's
        """Begin to build the image."""
        return self._images.begin(spec, wanted.options)

    def advance(self, record: EndpointRecord, wanted: WantedDeployment) -> SeenDeployment:
        """Begin what comes next. See the protocol."""
        options, api = self._of(record)
        name = manifests.object_name(record.name, wanted.name)
        try:
            workload: dict[str, Any] | None = api.get("Deployment", name)
        except NotFound:
            workload = None
        if workload is None:
            if wanted.began:
                raise NotFound(f"The cluster {options.cluster_url} has no Deployment {name!r} any more.")
            return self._create(record, wanted, api)
        creation = reading.tags_of(workload).get(CREATION_TAG)
        if creation is None:
            raise BusinessFailure(
                f"The namespace {options.namespace} has a Deployment {name!r} that this product did not make: rename "
                "or delete it, or choose another endpoint."
            )
        if creation != wanted.creation:
            # Its Service is the next one's, too: a route to a Service that is gone is refused as a whole.
            self._delete_objects(api, name, keeping="Service")
            return SeenDeployment(DeploymentState.CREATING, "a former deployment of this name is being deleted")
        found = replace(self._seen(api, record.name, wanted.name, workload), began=_APPLIED)
        if found.state is not DeploymentState.READY:
            return found
        if not self._is_routed(record, wanted.name, options, api):
            reason = "the gateway has not taken up its route yet"
            return replace(found, state=DeploymentState.CREATING, reason=reason)
        return found

    def observe(self, record: EndpointRecord, *, counts: bool = False) -> SeenEndpoint | None:  # noqa: ARG002 - a cluster counts nothing
        """Look, and change nothing."""
        options, api = self._of(record)
        workloads = api.list("Deployment", {manifests.ENDPOINT_LABEL: record.name})
        route = self._route(record, api)
        if route is None and not workloads:
            return None
        deployments = {
            reading.deployment_of(each): self._seen(api, record.name, reading.deployment_of(each), each)
            for each in workloads
        }
        taken_up = reading.is_taken_up(route) if route is not None else True
        split = {} if route is None else reading.written_split(route, record.name)
        if route is not None and not taken_up:
            split = reading.former_split(route)
        return SeenEndpoint(_address(record, options), split, deployments, is_changing=taken_up is None)

    def shift(self, record: EndpointRecord, split: Mapping[str, int]) -> bool:
        """Write the weights; False while an earlier change is being taken up. Raises BusinessFailure where refused."""
        options, api = self._of(record)
        route = self._route(record, api)
        if route is None:
            return False
        if reading.is_taken_up(route) is False:
            raise BusinessFailure(
                f"The gateway {options.gateway} refuses the route {record.name!r}: {reading.refusal(route)}. Correct "
                "the gateway or the options in configs/deployment_config.json, and run the chain again."
            )
        return self._apply_route(record, split, options, api, route, is_asked=True)

    def invoke(
        self, record: EndpointRecord, payload: Mapping[str, object], deployment: str | None = None
    ) -> Invocation:
        """Score one request through the gateway."""
        options, _ = self._of(record)
        headers = {manifests.HEADER: deployment} if deployment else {}
        if options.hostname and "*" not in options.hostname:
            headers["Host"] = options.hostname
        url = _address(record, options)
        answer = score(url, payload, options.request_timeout_s, headers)
        answered = answer.headers.get(manifests.HEADER, "")
        if not answered and answer.status in _UNANSWERED:
            raise Transient(f"The gateway at {url} found nobody to answer ({answer.status}).")
        if deployment and answered not in ("", deployment):  # without a rule for it, its traffic is everybody's
            raise Transient(f"The gateway at {url} has no route to {deployment!r} yet: {answered!r} answered.")
        return Invocation(answer.status, answer.body, answer.latency_ms, answered or deployment or "")

    def delete(self, record: EndpointRecord, deployment: str) -> bool:
        """Take the deployment out of the route, and delete its objects."""
        options, api = self._of(record)
        route = self._route(record, api)
        if route is not None and deployment in reading.routed_deployments(route):
            split = reading.written_split(route, record.name)
            if split.get(deployment):  # given to it since the caller looked: without it, nobody would be answered
                return False
            if not self._apply_route(record, split, options, api, route, without=deployment):
                return False
        self._delete_objects(api, manifests.object_name(record.name, deployment))
        return True

    # ------------------------------------------------------------------------------------------------------- its parts

    def _create(self, record: EndpointRecord, wanted: WantedDeployment, api: ClusterApi) -> SeenDeployment:
        state, text = self._images.look(wanted.prepared or {})
        if state is not DeploymentState.READY:
            return SeenDeployment(state, text, tags_of(wanted))
        # In clear are those that are written in clear: references are filled in from the Secret, in the container.
        for manifest in manifests.deployment_manifests(
            record.name, wanted.name, text, read(wanted.options), tags=tags_of(wanted)
        ):
            api.apply(manifest)
        return SeenDeployment(DeploymentState.CREATING, "its pods are being started", tags_of(wanted), began=_APPLIED)

    def _seen(self, api: ClusterApi, endpoint: str, deployment: str, workload: Mapping[str, Any]) -> SeenDeployment:
        found = reading.seen(workload)
        if found.state is not DeploymentState.FAILED:
            return found
        labels = {manifests.ENDPOINT_LABEL: endpoint, manifests.DEPLOYMENT_LABEL: deployment}
        return reading.seen(workload, api.list("Pod", labels))

    def _is_routed(self, record: EndpointRecord, deployment: str, options: ClusterOptions, api: ClusterApi) -> bool:
        route = self._route(record, api)
        if route is None or deployment not in reading.routed_deployments(route):
            split = {} if route is None else reading.written_split(route, record.name)
            self._apply_route(record, split, options, api, route)
            return False
        taken_up = reading.is_taken_up(route)
        if taken_up is False:
            raise BusinessFailure(
                f"The gateway {options.gateway} refuses the route {record.name!r}: {reading.refusal(route)}."
            )
        return bool(taken_up)

    def _apply_route(
        self,
        record: EndpointRecord,
        split: Mapping[str, int],
        options: ClusterOptions,
        api: ClusterApi,
        route: Mapping[str, Any] | None,
        without: str | None = None,
        *,
        is_asked: bool = False,
    ) -> bool:
        """Write the route with all deployments that there are; False where somebody else was faster.

        `is_asked`: the split is a new one, all of whose deployments must be there.
        """
        workloads = api.list("Deployment", {manifests.ENDPOINT_LABEL: record.name})
        names = {reading.deployment_of(each) for each in workloads if "deletionTimestamp" not in each["metadata"]}
        if is_asked and not split.keys() <= names:  # deleted since the caller looked: the weights would lead nowhere
            return False
        former = {} if route is None else reading.written_split(route, record.name)
        if route is not None and not reading.is_taken_up(route):
            former = reading.former_split(route)
        written = manifests.route(
            record.name,
            names - {without},
            split,
            options,
            former=former,
            version=route["metadata"].get("resourceVersion") if route is not None else None,
        )
        try:
            api.apply(written)
        except Conflict:
            return False
        return True

    def _route(self, record: EndpointRecord, api: ClusterApi) -> dict[str, Any] | None:
        try:
            return api.get("HTTPRoute", record.name)
        except NotFound:
            return None

    def _delete_objects(self, api: ClusterApi, name: str, keeping: str = "") -> None:
        for kind in ("HorizontalPodAutoscaler", "Service", "Deployment"):
            if kind != keeping:
                api.delete(kind, name)

    def _of(self, record: EndpointRecord) -> tuple[ClusterOptions, ClusterApi]:
        options = self._allowed(record.options)
        return options, self._api(options)

    def _allowed(self, entry: Mapping[str, object]) -> ClusterOptions:
        options = read(entry)
        if options.cluster_url not in self._clusters:
            listed = ", ".join(sorted(self._clusters)) or "none"
            raise BusinessFailure(
                f"configs/deployment_config.json, {KIND}: CLUSTER_URL is {options.cluster_url!r}, which is none of the "
                f"clusters that this app may deploy to ({listed}): choose one of them, or have a platform engineer "
                f"add it to the app setting {CLUSTERS}."
            )
        return options


def _address(record: EndpointRecord, options: ClusterOptions) -> str:
    return f"{options.public_url}/{record.name}/score"
