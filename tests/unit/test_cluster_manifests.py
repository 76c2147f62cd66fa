"""Manifests of served flows: what Kubernetes' own models accept, and what a pod of a stranger's flow may do."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import ApiClient

from shared.adapters.azure.endpoints.cluster import manifests, reading
from shared.adapters.azure.endpoints.cluster.options import ClusterOptions, read
from shared.errors import BusinessFailure
from shared.ports import DeploymentState

ENTRY = {"CLUSTER_URL": "https://k8s.example", "GATEWAY_NAME": "web", "PUBLIC_URL": "https://ml.example/"}
MODELS = {"Service": "V1Service", "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler", "Deployment": "V1Deployment"}
SPLITS = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.integers(0, 100), max_size=3)


def made(**entry: Any) -> dict[str, dict[str, Any]]:
    """The manifests of one version, by kind."""
    options = read({**ENTRY, **entry})
    tags = {"chain": "shop-cd-1"}
    found = manifests.deployment_manifests("shop", "v1", "r.azurecr.io/shop:1", options, tags=tags)
    return {manifest["kind"]: manifest for manifest in found}


def pod(**entry: Any) -> dict[str, Any]:
    spec: dict[str, Any] = made(**entry)["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("more", [{}, {"REPLICAS": 2, "MAX_REPLICAS": 5}, {"SERVICE_ACCOUNT": "flows", "CPU_LIMIT": 2}])
def test_kubernetes_own_models_read_every_field(more: dict[str, Any]) -> None:
    client = ApiClient()
    for kind, manifest in made(**more).items():
        content = SimpleNamespace(data=json.dumps(manifest))
        model = client.deserialize(content.data, MODELS[kind], "application/json")
        # What a model does not know it leaves out: nothing is.
        assert client.sanitize_for_serialization(model) == manifest


def test_the_deployment_comes_last_for_it_is_what_says_that_all_is_there() -> None:
    assert list(made(MAX_REPLICAS=3)) == ["Service", "HorizontalPodAutoscaler", "Deployment"]


def test_pods_are_added_only_where_more_are_allowed_and_then_by_the_autoscaler_alone() -> None:
    fixed, scaled = made(REPLICAS=2), made(REPLICAS=2, MAX_REPLICAS=6, CPU_UTILIZATION=55)
    assert fixed["Deployment"]["spec"]["replicas"] == 2
    assert "HorizontalPodAutoscaler" not in fixed
    assert "replicas" not in scaled["Deployment"]["spec"]
    autoscaler = scaled["HorizontalPodAutoscaler"]["spec"]
    assert (autoscaler["minReplicas"], autoscaler["maxReplicas"]) == (2, 6)
    assert autoscaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 55


def test_a_pod_may_do_nothing_but_serve() -> None:
    container = pod()["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod()["securityContext"]["runAsNonRoot"]
    assert pod()["securityContext"]["runAsUser"] > 0
    assert not pod()["automountServiceAccountToken"]
    assert pod(SERVICE_ACCOUNT="flows")["automountServiceAccountToken"]


def test_secrets_come_from_the_cluster_and_never_stand_in_a_manifest() -> None:
    container = pod()["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "shop-settings", "optional": True}}]
    assert {each["name"] for each in container["env"]} == {"GENAIOPS_DEPLOYMENT", "PORT"}
    assert pod(SECRET_NAME="ours")["containers"][0]["envFrom"][0]["secretRef"]["name"] == "ours"


@given(split=SPLITS, former=SPLITS)
def test_what_a_route_says_is_read_from_it_again(split: dict[str, int], former: dict[str, int]) -> None:
    route = manifests.route("shop", ["v1", "v2", "v3"], split, read(ENTRY), former=former)
    assert reading.written_split(route, "shop") == {name: share for name, share in split.items() if share}
    assert reading.former_split(route) == {name: share for name, share in former.items() if share}
    assert reading.routed_deployments(route) == {"v1", "v2", "v3"}


def test_a_route_leads_the_endpoints_path_to_the_servers_root() -> None:
    route = manifests.route("shop", ["v1"], {"v1": 100}, read({**ENTRY, "HOSTNAME": "ml.example"}))
    assert route["spec"]["hostnames"] == ["ml.example"]
    for rule in route["spec"]["rules"]:
        assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": "/shop"}
        assert rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] == "/"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({}, "CLUSTER_URL is missing; it must be the API server's address"),
        ({**ENTRY, "CLUSTER_URL": "http://k8s.example"}, "CLUSTER_URL is 'http://k8s.example'; it must be"),
        ({**ENTRY, "REPLICAS": 0}, "REPLICAS is 0; it must be a whole number from 1 to 1,000"),
        ({**ENTRY, "REPLICA": 2}, "'REPLICA' is no option of a cluster; did you mean 'REPLICAS'?"),
        ({**ENTRY, "MEMORY_LIMIT": "much"}, "MEMORY_LIMIT is 'much'; it must be a quantity such as 2Gi"),
        ({**ENTRY, "CLUSTER_CA": "not base64!"}, "CLUSTER_CA must be the certificate authority"),
    ],
)
def test_wrong_options_are_told_by_their_key(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(BusinessFailure) as caught:
        read(entry)
    assert says in str(caught.value)


def test_every_wrong_option_is_told_at_once() -> None:
    with pytest.raises(BusinessFailure) as caught:
        read({"NAMESPACE": "No Good", "MAX_REPLICAS": "many"})
    assert all(key in str(caught.value) for key in ("CLUSTER_URL", "GATEWAY_NAME", "PUBLIC_URL", "NAMESPACE", "MAX_"))


def workload(generation: int = 1, **status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation, "labels": {}}, "status": status}


AVAILABLE = {"type": "Available", "status": "True"}
STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, DeploymentState.CREATING),
        ({"observedGeneration": 1, "conditions": [AVAILABLE]}, DeploymentState.CREATING),
        ({"observedGeneration": 1, "conditions": [AVAILABLE], "updatedReplicas": 1}, DeploymentState.READY),
        ({"observedGeneration": 0, "conditions": [AVAILABLE], "updatedReplicas": 1}, DeploymentState.CREATING),
        ({"observedGeneration": 1, "conditions": [STUCK]}, DeploymentState.FAILED),
        ({"observedGeneration": 0, "conditions": [STUCK]}, DeploymentState.CREATING),
    ],
)
def test_only_a_status_of_this_very_version_counts(status: dict[str, Any], state: DeploymentState) -> None:
    assert reading.seen(workload(**status)).state is state


def test_a_failure_says_what_kept_the_pods_from_running() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    pods = [{"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}]
    failed = reading.seen(workload(observedGeneration=1, conditions=[STUCK]), pods)
    assert "ImagePullBackOff: no such image" in failed.reason
    assert "their log says why" in reading.seen(workload(observedGeneration=1, conditions=[STUCK])).reason


@pytest.mark.parametrize(
    ("accepted", "resolved", "observed", "taken_up"),
    [("True", "True", 2, True), ("True", "False", 2, False), ("False", "True", 2, False), ("True", "True", 1, None)],
)
def test_a_route_holds_once_the_gateway_says_so_of_this_version(
    accepted: str, resolved: str, observed: int, taken_up: bool | None
) -> None:
    conditions = [
        {"type": kind, "status": status, "observedGeneration": observed, "reason": "Why", "message": "because"}
        for kind, status in (("Accepted", accepted), ("ResolvedRefs", resolved))
    ]
    route = {"metadata": {"generation": 2}, "status": {"parents": [{"conditions": conditions}]}}
    assert reading.is_taken_up(route) is taken_up
    assert reading.refusal(route) == ("Why: because" if taken_up is False else "")


def test_options_have_the_defaults_of_a_small_endpoint() -> None:
    options = read(ENTRY)
    assert options == ClusterOptions("https://k8s.example", "web", "https://ml.example")
