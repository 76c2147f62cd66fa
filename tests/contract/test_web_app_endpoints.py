"""Endpoints on App Service: Microsoft's client against a stand-in of its management API, and of the hosts it makes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from shared.errors import BusinessFailure, GenAIOpsError, NotFound, Throttled, Transient
from shared.ports import DeploymentInfo, DeploymentState, Endpoints
from shared.use_case.model import ConnectionSpec
from tests.contract.web_app_world import VAULT, WebAppWorld, web_app_world
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management, Moment
from tests.servers.management.running import Function
from tests.servers.management.web_apps import CLIENT_ID

READY, CREATING, FAILED = DeploymentState.READY, DeploymentState.CREATING, DeploymentState.FAILED


@pytest.fixture
def world(management_server: Management, identity: IdentityEndpoint) -> Iterator[WebAppWorld]:
    with web_app_world(management_server, identity, looks=1) as world:
        yield world
        assert world.management.unknown == []


def settled(endpoints: Endpoints, deployment: str, endpoint: str = "shop") -> DeploymentInfo:
    for _ in range(30):
        info = endpoints.look(endpoint, deployment)
        if info.state is not CREATING:
            return info
    raise AssertionError(f"still {info}")


def brought_up(world: WebAppWorld, *deployments: str, **more: Any) -> None:
    for deployment in deployments:
        world.endpoints.deploy(world.spec("shop", deployment, **more))
        assert settled(world.endpoints, deployment).state is READY


def slot_of(world: WebAppWorld, deployment: str) -> Any:
    return world.management.web_apps.slots["shop", deployment]


def settings_of(world: WebAppWorld, deployment: str) -> dict[str, str]:
    return {each["name"]: each["value"] for each in slot_of(world, deployment).asked["siteConfig"]["appSettings"]}


def test_a_deployment_is_a_slot_tested_at_its_own_address_before_anybody_is_sent_to_it(world: WebAppWorld) -> None:
    info = world.endpoints.deploy(world.spec("shop", "v1", tags={"chain": "c1"}))
    assert (info.created, info.state) == (True, CREATING)
    found = settled(world.endpoints, "v1")
    assert (found.state, found.tags, found.flow_version) == (READY, {"chain": "c1"}, "3")
    answer = world.endpoints.invoke("shop", {"text": "hello"}, "v1")
    assert (answer.status, answer.deployment, json.loads(answer.body)["answer"]) == (200, "v1", "hello")
    with pytest.raises(Transient, match="No deployment answered"):
        world.endpoints.invoke("shop", {"text": "hello"})


def test_each_step_says_what_is_being_done(world: WebAppWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    told = [world.endpoints.look("shop", "v1").reason for _ in range(6)]
    steps = [
        "its image is being built",
        "its web app is being created",
        "its slot is being created",
        "its container does not answer yet",
        "the flow is being loaded",
    ]
    said = list(dict.fromkeys(each.split(" (")[0] for each in told if each))
    assert said == [step for step in steps if step in said]
    assert {"its slot is being created", "the flow is being loaded"} <= set(said)
    assert settled(world.endpoints, "v1").state is READY


def test_traffic_is_shared_out_by_rules_to_slots_and_the_production_slot_serves_nobody(world: WebAppWorld) -> None:
    brought_up(world, "v1", "v2")
    world.endpoints.set_traffic("shop", {"v1": 90, "v2": 10})
    assert world.endpoints.describe("shop").traffic == {"v1": 90, "v2": 10}
    answered = Counter(world.endpoints.invoke("shop", {"text": "hi"}).deployment for _ in range(20))
    assert answered == {"v1": 18, "v2": 2}
    world.endpoints.set_traffic("shop", {"v2": 100})
    assert {world.endpoints.invoke("shop", {"text": "hi"}).deployment for _ in range(5)} == {"v2"}
    described = world.endpoints.describe("shop")
    assert (described.traffic, described.settled) == ({"v2": 100}, True)
    assert described.url == f"https://{world.management.web_apps.sites['shop'].host}/score"


def test_former_traffic_comes_back_and_what_is_idle_is_deleted(world: WebAppWorld) -> None:
    brought_up(world, "v1", "v2")
    world.endpoints.set_traffic("shop", {"v1": 100})
    world.endpoints.set_traffic("shop", {"v1": 50, "v2": 50})
    with pytest.raises(BusinessFailure, match="has 50 % of the traffic"):
        world.endpoints.remove("shop", "v2")
    world.endpoints.set_traffic("shop", {"v1": 100})
    world.endpoints.remove("shop", "v2")
    assert set(world.management.web_apps.slots) == {("shop", "v1")}
    assert world.endpoints.describe("shop").traffic == {"v1": 100}
    with pytest.raises(NotFound):
        world.endpoints.look("shop", "v2")


def test_requests_and_errors_are_those_that_azure_monitor_counts(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    for text in ("a", "b", "raise"):
        world.endpoints.invoke("shop", {"text": text}, "v1")
    info = world.endpoints.look("shop", "v1")
    assert (info.requests, info.errors, info.latency_p50_ms) == (3, 1, None)
    world.management.faults.add("GET", "/metrics$", status=403)
    assert world.endpoints.look("shop", "v1").requests == 0


def test_the_slot_pulls_its_image_and_reads_its_secrets_as_one_identity(world: WebAppWorld) -> None:
    connections = (
        ConnectionSpec("aoai"),
        ConnectionSpec("search", "CustomConnection", configs={"index": "docs"}, secrets={"token": "${token}"}),
    )
    environment = {"STYLE": "short", "CRM_KEY": "${CRM_KEY}"}
    world.management.web_apps.secrets = {
        (VAULT, "aoai-api-key"): "planted-key",
        (VAULT, "aoai-api-base"): "https://models.example.com",
        (VAULT, "search-token"): "planted-token",
        (VAULT, "crm-key"): "planted-crm",
    }
    brought_up(world, "v1", connection_specs=connections, environment=environment)
    settings = settings_of(world, "v1")
    assert settings["AOAI_API_KEY"] == f"@Microsoft.KeyVault(VaultName={VAULT};SecretName=aoai-api-key)"
    assert settings["SEARCH_TOKEN"] == f"@Microsoft.KeyVault(VaultName={VAULT};SecretName=search-token)"
    assert settings["CRM_KEY"] == f"@Microsoft.KeyVault(VaultName={VAULT};SecretName=crm-key)"
    assert (settings["STYLE"], settings["WEBSITES_PORT"], settings["GENAIOPS_DEPLOYMENT"]) == ("short", "8080", "v1")
    (started,) = world.management.web_apps.started
    assert (started.variables["AOAI_API_KEY"], started.variables["SEARCH_TOKEN"]) == ("planted-key", "planted-token")
    config = slot_of(world, "v1").asked["siteConfig"]
    assert config["acrUserManagedIdentityID"] == CLIENT_ID
    assert config["healthCheckPath"] == "/ready"
    kept = (
        json.dumps(slot_of(world, "v1").shown)
        + b"".join(world.blobs.read("endpoints", blob.name) for blob in world.blobs.list("endpoints", "")).decode()
    )
    assert "planted" not in kept


def test_a_slot_takes_over_what_keeps_others_out_of_its_web_app(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    site = world.management.web_apps.sites["shop"]
    site.config |= {"ipSecurityRestrictions": [{"ipAddress": "10.0.0.0/8", "action": "Allow"}]}
    site.config |= {"ipSecurityRestrictionsDefaultAction": "Deny"}
    site.properties |= {"virtualNetworkSubnetId": "/subnets/apps", "publicNetworkAccess": "Disabled"}
    brought_up(world, "v2")
    slot = slot_of(world, "v2")
    assert slot.asked["siteConfig"]["ipSecurityRestrictions"] == [{"ipAddress": "10.0.0.0/8", "action": "Allow"}]
    assert slot.asked["siteConfig"]["ipSecurityRestrictionsDefaultAction"] == "Deny"
    assert slot.properties["virtualNetworkSubnetId"] == "/subnets/apps"
    assert slot.properties["publicNetworkAccess"] == "Disabled"


def test_a_flow_that_cannot_be_served_fails_with_the_reason_of_its_container(world: WebAppWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1", flow="broken"))
    info = settled(world.endpoints, "v1")
    assert (info.state, "a_package_that_is_not_installed" in info.reason) == (FAILED, True)
    with pytest.raises(Transient):
        world.endpoints.invoke("shop", {"text": "hello"}, "v1")
    again = world.endpoints.deploy(world.spec("shop", "v1", flow="broken", tags={"chain": "c2"}))
    assert (again.created, again.state) == (True, CREATING)


def test_an_image_that_cannot_be_built_fails_with_its_log(world: WebAppWorld) -> None:
    world.management.container_registry.failing = "ERROR: No matching distribution found for nonsense==1"
    world.endpoints.deploy(world.spec("shop", "v1"))
    info = settled(world.endpoints, "v1")
    assert (info.state, info.reason.endswith("nonsense==1")) == (FAILED, True)
    assert world.management.web_apps.slots == {}


def test_a_container_that_never_answers_fails_in_the_end_with_what_the_platform_logged(world: WebAppWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    for _ in range(3):
        world.endpoints.look("shop", "v1")
    world.management.container_registry.images.clear()
    for _ in range(5):
        assert world.endpoints.look("shop", "v1").state is CREATING
    world.clock[0] += 21 * 60
    info = world.endpoints.look("shop", "v1")
    assert info.state is FAILED
    assert "no container was ready within 20 minutes" in info.reason
    assert "not found" in info.reason


def test_a_deployment_with_traffic_that_is_away_is_on_its_way_back(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    world.endpoints.set_traffic("shop", {"v1": 100})
    container, slot_of(world, "v1").container = slot_of(world, "v1").container, None
    world.clock[0] += 3600
    assert world.endpoints.look("shop", "v1").state is CREATING
    slot_of(world, "v1").container = container
    assert world.endpoints.look("shop", "v1").state is READY


def test_slots_and_rules_that_somebody_else_made_are_left_alone(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    slot_of(world, "v1").shown["tags"] = {}
    assert [info.name for info in world.endpoints.describe("shop").deployments] == []
    with pytest.raises(BusinessFailure, match="that this product did not make"):
        world.endpoints.look("shop", "v1")
    world.endpoints.remove("shop", "v1")
    assert ("shop", "v1") in world.management.web_apps.slots


def test_a_slot_that_was_deleted_behind_our_back_is_not_made_again_by_looking(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    world.management.web_apps.slots.pop(("shop", "v1")).close()
    with pytest.raises(NotFound):
        world.endpoints.look("shop", "v1")
    assert world.management.web_apps.slots == {}


def comes_up(world: WebAppWorld, endpoint: str, deployment: str, **more: Any) -> DeploymentInfo:
    world.endpoints.deploy(world.spec(endpoint, deployment, **more))
    return settled(world.endpoints, deployment, endpoint)


def test_a_web_app_of_another_endpoint_is_refused(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    with pytest.raises(BusinessFailure, match="serves the endpoint 'shop'"):
        comes_up(world, "kiosk", "v2", options={"WEB_APP_NAME": "shop"})


def test_a_function_app_is_no_web_app_of_an_endpoint(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    site = next(iter(world.management.web_apps.sites.values()))
    site.shown["kind"] = "functionapp,linux,container"
    with pytest.raises(BusinessFailure, match=r"'shop' is a function app.*WEB_APP_NAME"):
        comes_up(world, "shop", "v2")


def test_a_plan_without_room_for_another_slot_says_so(world: WebAppWorld) -> None:
    world.management.web_apps.most_slots = 1
    brought_up(world, "v1")
    with pytest.raises(BusinessFailure, match="has no room for another slot: remove deployments without traffic"):
        comes_up(world, "shop", "v2")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"WEB_APP_SKU": "B3"}, "no deployment slots"),
        ({"APP_PLAN_NAME": ""}, "APP_PLAN_NAME is missing"),
        ({"USER_MANAGED_ID": ""}, "USER_MANAGED_ID is missing"),
        ({"WEB_APP_NAME": "shop.example"}, "WEB_APP_NAME is 'shop.example'"),
        ({"WEB_APP_NAMES": "shop"}, "WEB_APP_NAMES.*WEB_APP_NAME"),
        ({"WEB_APP_RG_NAME": "rg/../../x"}, "WEB_APP_RG_NAME is 'rg/"),
        ({"APP_PLAN_NAME": "../plan"}, "APP_PLAN_NAME is '../plan'"),
        ({"USER_MANAGED_ID": "../../x/y"}, "USER_MANAGED_ID is '../../x/y'.*name alone"),
    ],
    ids=["sku", "plan", "identity", "name", "unknown", "group-elsewhere", "plan-elsewhere", "identity-elsewhere"],
)
def test_wrong_options_are_refused_before_anything_is_asked(
    world: WebAppWorld, options: Mapping[str, str], complaint: str
) -> None:
    with pytest.raises(BusinessFailure, match=complaint):
        world.endpoints.deploy(world.spec("shop", "v1", options=options))
    assert world.management.requests == []


def test_connections_without_a_key_vault_are_refused_before_anything_is_asked(world: WebAppWorld) -> None:
    spec = world.spec("shop", "v1", connection_specs=(ConnectionSpec("aoai"),))
    with pytest.raises(BusinessFailure, match=r"set GENAIOPS_KEY_VAULT .* aoai-api-base, aoai-api-key"):
        world.opened(key_vault=None).deploy(spec)
    assert world.management.requests == []


def test_a_registry_that_nobody_named_is_asked_for_before_anything_is_recorded(world: WebAppWorld) -> None:
    with pytest.raises(BusinessFailure, match=r"set GENAIOPS_CONTAINER_REGISTRY"):
        world.opened(container_registry=None).deploy(world.spec("shop", "v1"))
    assert list(world.blobs.list("endpoints", "")) == []


def test_a_plan_that_is_missing_or_has_no_slots_is_named(world: WebAppWorld) -> None:
    with pytest.raises(BusinessFailure, match="has no App Service plan 'nowhere'"):
        comes_up(world, "shop", "v1", options={"APP_PLAN_NAME": "nowhere"})
    world.management.web_apps.tier = "Basic"
    with pytest.raises(BusinessFailure, match="is Basic, which has no deployment slots"):
        comes_up(world, "kiosk", "v1")


def test_processes_that_go_on_from_each_other_end_with_one_slot(world: WebAppWorld) -> None:
    world.endpoints.deploy(world.spec("shop", "v1"))
    for _ in range(20):
        info = world.opened().look("shop", "v1")
        if info.state is READY:
            break
    assert info.state is READY
    assert len(world.management.seen("PUT", r"/slots/v1$")) == 1
    assert len(world.management.seen("POST", "/scheduleRun")) == 1


CALLS = {
    "runs": ("GET", r"/runs$"),
    "schedule": ("POST", r"/scheduleRun$"),
    "run": ("GET", r"/runs/cb1$"),
    "plan": ("GET", r"/serverfarms/"),
    "identity": ("GET", r"/userAssignedIdentities/"),
    "site": ("GET", r"/sites/shop$"),
    "new-site": ("PUT", r"/sites/shop$"),
    "configuration": ("GET", r"/sites/shop/config/web$"),
    "slot": ("GET", r"/slots/v1$"),
    "new-slot": ("PUT", r"/slots/v1$"),
    "slots": ("GET", r"/sites/shop/slots$"),
    "rules": ("PATCH", r"/config/web$"),
}


@pytest.mark.parametrize(("method", "path"), CALLS.values(), ids=CALLS)
def test_however_a_call_fails_the_command_that_comes_back_ends_with_the_same(
    world: WebAppWorld, method: str, path: str
) -> None:
    world.management.operations.looks = 0
    world.management.container_registry.looks = 0
    faults = world.management.faults
    faults.add(method, path, status=429, retry_after=3)
    faults.add(method, path, status=503)
    faults.add(method, path, status=409)
    faults.cut(method, path)
    faults.cut(method, path, moment=Moment.AFTER)
    if (method, path) in (CALLS["configuration"], CALLS["new-slot"]):
        faults.add(method, path, status=404)  # right after the web app was made
    raised: list[GenAIOpsError] = []

    def until(act: Callable[[], bool]) -> None:
        for _ in range(30):
            try:
                if act():
                    return
            except GenAIOpsError as error:
                raised.append(error)
        raise AssertionError(f"it did not come to an end: {raised}")

    spec = world.spec("shop", "v1")
    until(lambda: world.endpoints.deploy(spec).state is READY)
    until(lambda: bool(world.endpoints.set_traffic("shop", {"v1": 100}) or world.endpoints.describe("shop").settled))
    until(lambda: world.endpoints.invoke("shop", {"text": "hello"}).deployment == "v1")
    assert set(world.management.web_apps.slots) == {("shop", "v1")}
    assert faults.left == 0
    assert [error.retry_after for error in raised if isinstance(error, Throttled)] == [3]
    assert not [error for error in raised if isinstance(error, BusinessFailure | NotFound)]


def test_a_role_that_is_missing_is_named(world: WebAppWorld) -> None:
    world.management.faults.add("GET", r"/slots/v1$", status=403)
    with pytest.raises(BusinessFailure, match="Website Contributor"):
        world.endpoints.deploy(world.spec("shop", "v1"))


def test_a_slot_that_cannot_be_deleted_now_is_deleted_later(world: WebAppWorld) -> None:
    brought_up(world, "v1")
    world.management.faults.add("DELETE", r"/slots/v1$", status=409)
    world.endpoints.remove("shop", "v1")
    assert ("shop", "v1") in world.management.web_apps.slots
    assert world.endpoints.describe("shop").deployments == ()
    world.endpoints.remove("shop", "v1")
    assert world.management.web_apps.slots == {}


def test_a_container_that_loads_slowly_is_waited_for(world: WebAppWorld) -> None:
    world.management.web_apps.serve = lambda _: Function(dict, looks=4)
    world.endpoints.deploy(world.spec("shop", "v1"))
    reasons = set()
    while (info := world.endpoints.look("shop", "v1")).state is CREATING:
        reasons.add(info.reason)
    assert info.state is READY
    assert "the flow is being loaded" in reasons


def test_a_slot_that_users_are_still_sent_to_is_not_deleted_before_the_rules_have_changed(world: WebAppWorld) -> None:
    brought_up(world, "v1", "v2")
    world.endpoints.set_traffic("shop", {"v1": 100})
    world.management.faults.add(path="/config/web", method="PATCH", status=409)
    world.endpoints.set_traffic("shop", {"v2": 100})
    world.endpoints.remove("shop", "v1")
    assert world.endpoints.invoke("shop", {"text": "hi"}).deployment == "v1"
    assert world.endpoints.describe("shop").removing == ("v1",)
    world.endpoints.set_traffic("shop", {"v2": 100})
    world.endpoints.remove("shop", "v1")
    assert world.endpoints.describe("shop").removing == ()
    assert world.endpoints.invoke("shop", {"text": "hi"}).deployment == "v2"
