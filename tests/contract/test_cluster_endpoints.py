"""Endpoints in a cluster without Azure ML: the real client against a stand-in of the API server and the gateway."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.azure.endpoints.cluster.manifests import TAGS
from shared.adapters.azure.endpoints.cluster.options import KIND
from shared.adapters.azure.endpoints.target import CREATION_TAG
from shared.errors import BusinessFailure, Conflict, NotFound, Throttled, Transient
from shared.ports import DeploymentInfo, DeploymentState
from shared.use_case.model import DeploymentTarget
from tests.contract.cluster_world import ClusterWorld, cluster_world
from tests.servers.certificates import Authority
from tests.servers.identity import IdentityEndpoint
from tests.servers.management.faults import Moment

DEPLOYMENTS = r"/deployments/"
ROUTES = r"/httproutes/"


@pytest.fixture
def world(authority: Authority, identity: IdentityEndpoint) -> Iterator[ClusterWorld]:
    with cluster_world(authority, identity, MAX_REPLICAS=3) as world:
        yield world
        assert world.cluster.unknown == []


def settled(world: ClusterWorld, deployment: str, endpoint: str = "shop") -> DeploymentInfo:
    for _ in range(20):
        info = world.endpoints.look(endpoint, deployment)
        if info.state is not DeploymentState.CREATING:
            return info
    raise AssertionError(f"still {info}")


def shared_out(world: ClusterWorld, **split: int) -> None:
    """Ask for the split until it holds."""
    for _ in range(20):
        world.endpoints.set_traffic("shop", split)
        if world.endpoints.describe("shop").settled:
            return
    raise AssertionError(f"still {world.endpoints.describe('shop')}")


def kinds(world: ClusterWorld) -> Counter[str]:
    return Counter(plural for plural, _, _ in world.cluster.objects)


def test_a_deployment_is_tested_by_its_header_before_anybody_else_is_sent_to_it(world: ClusterWorld) -> None:
    assert world.endpoints.deploy(world.spec("shop", "v1", tags={"chain": "c1"})).created
    assert settled(world, "v1").tags == {"chain": "c1"}

    answer = world.endpoints.invoke("shop", {"text": "hello"}, "v1")
    assert (answer.status, answer.deployment, json.loads(answer.body)["answer"]) == (200, "v1", "hello")
    with pytest.raises(Transient, match="found nobody to answer"):
        world.endpoints.invoke("shop", {"text": "hello"})


def test_traffic_is_split_by_weight_and_what_is_removed_leaves_nothing(world: ClusterWorld) -> None:
    for deployment in ("v1", "v2"):
        world.endpoints.deploy(world.spec("shop", deployment))
        assert settled(world, deployment).state is DeploymentState.READY
    shared_out(world, v1=90, v2=10)
    answered = Counter(world.endpoints.invoke("shop", {"text": "hi"}).deployment for _ in range(10))
    assert answered == {"v1": 9, "v2": 1}

    shared_out(world, v2=100)
    world.endpoints.remove("shop", "v1")

    assert kinds(world) == {"deployments": 1, "services": 1, "horizontalpodautoscalers": 1, "httproutes": 1}
    assert world.endpoints.invoke("shop", {"text": "hi"}).deployment == "v2"
    with pytest.raises(NotFound):
        world.endpoints.look("shop", "v1")


def test_what_cannot_start_fails_with_what_its_container_said(world: ClusterWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1", flow="broken"))
    failed = settled(world, "v1")
    assert failed.state is DeploymentState.FAILED
    assert "ProgressDeadlineExceeded" in failed.reason
    assert "a_package_that_is_not_installed" in failed.reason


def test_objects_are_applied_as_ours_and_nothing_secret_is_in_them(world: ClusterWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1", environment={"KEY": "${KEY_OF_THE_SHOP}"}))
    settled(world, "v1")
    assert world.cluster.managers == {"genaiops"}
    assert "KEY_OF_THE_SHOP" not in json.dumps(list(world.cluster.objects.values()))


def test_a_deployment_that_somebody_else_made_is_left_alone(world: ClusterWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    settled(world, "v1")
    key = next(key for key in world.cluster.objects if key[0] == "deployments")
    world.cluster.objects[key]["metadata"]["annotations"] = {}
    with pytest.raises(BusinessFailure, match="that this product did not make"):
        world.endpoints.look("shop", "v1")


def test_a_deployment_that_was_deleted_behind_our_back_is_not_made_again_by_looking(world: ClusterWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    settled(world, "v1")
    for key in [key for key in world.cluster.objects if key[0] == "deployments"]:
        del world.cluster.objects[key]
    with pytest.raises(NotFound):
        world.endpoints.look("shop", "v1")
    assert kinds(world)["deployments"] == 0


def test_a_route_that_somebody_else_has_just_changed_is_written_again_later(world: ClusterWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    settled(world, "v1")
    world.cluster.faults.add("PATCH", ROUTES, status=409)
    shared_out(world, v1=100)
    assert world.endpoints.describe("shop").traffic == {"v1": 100}


def test_a_share_that_somebody_gave_meanwhile_is_not_deleted_from_under_the_users(world: ClusterWorld) -> None:
    for deployment in ("v1", "v2"):
        world.endpoints.deploy(world.spec("shop", deployment))
        settled(world, deployment)
    shared_out(world, v1=100)
    record, target = world.endpoints._record("shop"), world.endpoints._targets[KIND]
    assert not target.delete(record, "v1"), "whoever asks for it looked before the split"
    assert world.endpoints.invoke("shop", {"text": "hi"}).deployment == "v1"
    assert target.delete(record, "v2")


def test_no_traffic_is_led_to_a_deployment_that_somebody_has_just_deleted(world: ClusterWorld) -> None:
    for deployment in ("v1", "v2"):
        world.endpoints.deploy(world.spec("shop", deployment))
        settled(world, deployment)
    shared_out(world, v1=100)
    record, target = world.endpoints._record("shop"), world.endpoints._targets[KIND]
    assert target.delete(record, "v2")
    assert not target.shift(record, {"v2": 100}), "whoever asks for it looked before the deletion"
    assert world.endpoints.invoke("shop", {"text": "hi"}).deployment == "v1"


def test_a_failed_deployment_is_made_anew_without_taking_the_route_of_the_others_from_them(world: ClusterWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    settled(world, "v1")
    shared_out(world, v1=100)
    world.endpoints.deploy(world.spec("shop", "v2"))
    settled(world, "v2")
    for key, workload in world.cluster.objects.items():
        if key[0] == "deployments" and key[2] == "shop-v2":
            workload["metadata"]["annotations"] = {TAGS: json.dumps({CREATION_TAG: "a-former-one"})}
    services = {key for key in world.cluster.objects if key[0] == "services"}
    world.endpoints.look("shop", "v2")
    assert ("deployments", "shop-v2") not in {(key[0], key[2]) for key in world.cluster.objects}
    assert {key for key in world.cluster.objects if key[0] == "services"} == services


def test_a_deployment_whose_creation_a_crash_cut_off_is_not_made_again_once_it_was_seen(world: ClusterWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    records = world.endpoints._records
    forgotten = records.read("shop").deployments["v1"].model_copy(update={"began": ""})
    records.update("shop", lambda record: record.having(forgotten))
    settled(world, "v1")
    for key in [key for key in world.cluster.objects if key[0] == "deployments"]:
        del world.cluster.objects[key]
    with pytest.raises(NotFound):
        world.endpoints.look("shop", "v1")


@pytest.mark.parametrize(
    ("status", "family", "says"),
    [
        (403, BusinessFailure, "the role Azure Kubernetes Service RBAC Writer"),
        (409, Conflict, "changed by someone else"),
        (422, BusinessFailure, "refused the request"),
        (429, Throttled, "asks for a pause"),
        (503, Transient, "is not well"),
    ],
)
def test_what_the_api_server_refuses_is_told_by_family(
    world: ClusterWorld, status: int, family: type[Exception], says: str
) -> None:
    world.cluster.faults.add("GET", DEPLOYMENTS, status=status)
    with pytest.raises(family, match=says):
        world.endpoints.deploy(world.spec("shop", "v1"))


def test_a_cut_connection_is_a_passing_fault(world: ClusterWorld) -> None:
    world.cluster.faults.cut("GET", DEPLOYMENTS)
    with pytest.raises(Transient, match="cannot be reached"):
        world.endpoints.deploy(world.spec("shop", "v1"))
    world.endpoints.deploy(world.spec("shop", "v1"))
    assert settled(world, "v1").state is DeploymentState.READY


def test_a_cluster_that_is_not_trusted_names_the_option(
    authority: Authority, identity: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster_world(authority, identity) as world:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises((BusinessFailure, Transient), match=r"CLUSTER_CA|cannot be reached"):
            world.endpoints.deploy(world.spec("shop", "v1"))


def test_a_name_that_no_service_may_have_is_refused_before_anything_is_there(world: ClusterWorld) -> None:
    with pytest.raises(BusinessFailure, match="small letters, digits and dashes"):
        world.endpoints.deploy(world.spec("Shop_1", "v1"))
    assert world.cluster.requests == []


def test_a_use_case_can_send_the_apps_token_to_no_address_but_those_of_the_settings(world: ClusterWorld) -> None:
    elsewhere = DeploymentTarget(KIND, {**world.target.options, "CLUSTER_URL": "https://127.0.0.1:1"})
    with pytest.raises(BusinessFailure, match=r"none of the clusters .* GENAIOPS_CLUSTERS"):
        world.endpoints.deploy(replace(world.spec("shop", "v1"), target=elsewhere))
    assert world.cluster.requests == []


def story(world: ClusterWorld, patience: Callable[[Callable[[], Any]], Any]) -> None:
    """Two versions, all traffic to the second, the first removed."""
    for deployment in ("v1", "v2"):
        patience(lambda name=deployment: world.endpoints.deploy(world.spec("shop", name)))
        for _ in range(20):
            if patience(lambda name=deployment: world.endpoints.look("shop", name)).state is DeploymentState.READY:
                break
        for _ in range(20):
            patience(lambda name=deployment: world.endpoints.set_traffic("shop", {name: 100}))
            if patience(lambda: world.endpoints.describe("shop")).settled:
                break
    for _ in range(5):
        patience(lambda: world.endpoints.remove("shop", "v1"))


def patiently(call: Callable[[], Any]) -> Any:
    """As a queue does: a passing fault is tried again."""
    for _ in range(5):
        try:
            return call()
        except (Transient, Conflict):
            continue
    raise AssertionError("it does not recover")


@pytest.mark.parametrize("moment", list(Moment))
def test_a_fault_at_any_call_changes_nothing_about_the_end(
    authority: Authority, identity: IdentityEndpoint, moment: Moment
) -> None:
    with cluster_world(authority, identity) as calm:
        story(calm, lambda call: call())
        calls = len(calm.cluster.requests)
    assert calls > 20

    # Each moment takes every other call, so that both together have struck at all of them.
    for step in range(list(Moment).index(moment), calls, len(Moment)):
        with cluster_world(authority, identity) as world:
            world.cluster.faults.cut(moment=moment, skip=step)
            story(world, patiently)
            assert world.cluster.faults.left == 0
            assert kinds(world) == {"deployments": 1, "services": 1, "httproutes": 1}
            described = world.endpoints.describe("shop")
            assert (described.traffic, [d.name for d in described.deployments]) == ({"v2": 100}, ["v2"])
