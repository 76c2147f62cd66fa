"""What only Azure ML's online endpoints have: their options, their reasons, who may score, what is left to the platform."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.azure.endpoints.online_options import KUBERNETES, MANAGED
from shared.errors import BusinessFailure, NotFound, Throttled, Transient
from shared.ports import DeploymentInfo, DeploymentSpec, DeploymentState
from shared.use_case.model import ConnectionSpec, DeploymentTarget
from tests.contract.azure_endpoints import AzureWorld, azure_endpoints_on, opened
from tests.contract.test_endpoints_contract import settled, spec, split
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.management.container_registry import NAME as REGISTRY
from tests.servers.proxy import Proxy


@pytest.fixture
def azure(management_server: Management, identity: IdentityEndpoint, workspace_storage: Proxy) -> Iterator[AzureWorld]:
    with azure_endpoints_on(management_server, identity, workspace_storage) as azure:
        yield azure
        assert management_server.unknown == []


def managed(deployment: str, **options: Any) -> DeploymentSpec:
    return spec("shop", deployment, target=DeploymentTarget(MANAGED, options))


def ready(azure: AzureWorld, wanted: DeploymentSpec) -> DeploymentInfo:
    azure.endpoints.deploy(wanted)
    info = settled(azure.endpoints, wanted.endpoint, wanted.name)
    assert info.state is DeploymentState.READY, info.reason
    return info


def sent(azure: AzureWorld, deployment: str = "rev1") -> dict[str, Any]:
    """The deployment as Azure has it."""
    deployments = azure.management.online_endpoints.deployments
    found: dict[str, Any] = next(
        each for key, each in deployments.items() if key.endswith(f"/deployments/{deployment}")
    )
    return found


def test_the_options_reach_azure(azure: AzureWorld) -> None:
    options = {
        "DEPLOYMENT_VM_SIZE": "Standard_F4s_v2",
        "DEPLOYMENT_INSTANCE_COUNT": "2",
        "DEPLOYMENT_DESC": "a shop",
        "REQUEST_SETTINGS": {"TIMEOUT_MS": 60_000, "MAX_CONCURRENT_REQUESTS_PER_INSTANCE": 16},
        "READINESS_PROBE": {"INITIAL_DELAY_S": 30},
        "PUBLIC_NETWORK_ACCESS": "disabled",
        "AUTOSCALE": {"MIN_INSTANCES": 2, "MAX_INSTANCES": 6},
        "DATA_COLLECTION": {"SAMPLING_RATE": 0.5},
    }
    ready(azure, managed("rev1", **options))

    deployment = sent(azure)
    properties = deployment["properties"]
    assert (properties["instanceType"], deployment["sku"]["capacity"]) == ("Standard_F4s_v2", 2)
    assert properties["description"] == "a shop"
    assert properties["requestSettings"] == {
        "maxConcurrentRequestsPerInstance": 16,
        "maxQueueWait": "PT0.5S",
        "requestTimeout": "PT1M",
    }
    assert properties["readinessProbe"]["initialDelay"] == "PT30S"
    assert properties["environmentVariables"]["GENAIOPS_SERVE_CONCURRENCY"] == "16"
    collections = properties["dataCollector"]["collections"]
    assert {name: each["dataId"].rpartition("/data/")[2] for name, each in collections.items()} == {
        "request": "shop-rev1-request/versions/1",
        "response": "shop-rev1-response/versions/1",
    }
    assert collections["request"]["samplingRate"] == 0.5
    endpoint = next(iter(azure.management.online_endpoints.endpoints.values()))
    assert endpoint["properties"]["publicNetworkAccess"] == "disabled"
    assert endpoint["properties"]["properties"] == {"enforce_access_to_default_secret_stores": "enabled"}
    (setting,) = azure.management.monitor.autoscale.values()
    assert setting["properties"]["targetResourceUri"].endswith("/onlineEndpoints/shop/deployments/rev1")
    assert setting["properties"]["profiles"][0]["capacity"] == {"minimum": "2", "maximum": "6", "default": "2"}


def test_the_autoscale_setting_goes_with_its_deployment(azure: AzureWorld) -> None:
    ready(azure, managed("rev1", AUTOSCALE={"MIN_INSTANCES": 1, "MAX_INSTANCES": 2}))
    assert azure.management.monitor.autoscale
    azure.endpoints.remove("shop", "rev1")
    assert azure.management.monitor.autoscale == {}


def test_a_cluster_of_the_workspace_scales_by_itself(azure: AzureWorld) -> None:
    options = {"COMPUTE_NAME": "cluster", "AUTOSCALE": {"MIN_INSTANCES": 1, "MAX_INSTANCES": 3}, "CPU_LIMIT": "2"}
    ready(azure, spec("shop", "rev1", target=DeploymentTarget(KUBERNETES, options)))
    properties = sent(azure)["properties"]
    assert properties["endpointComputeType"] == "Kubernetes"
    assert properties["scaleSettings"] == {
        "scaleType": "TargetUtilization",
        "minInstances": 1,
        "maxInstances": 3,
        "pollingInterval": "PT10S",
        "targetUtilizationPercentage": 70,
    }
    resources = properties["containerResourceRequirements"]
    assert resources["containerResourceRequests"] == {"cpu": "0.5", "memory": "1Gi"}
    assert resources["containerResourceLimits"] == {"cpu": "2", "memory": "1Gi"}
    endpoint = next(iter(azure.management.online_endpoints.endpoints.values()))
    assert endpoint["properties"]["compute"].endswith("/workspaces/genaiops-ml/computes/cluster")
    assert azure.management.monitor.autoscale == {}


def test_connections_are_references_and_variables_are_filled_in(
    azure: AzureWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AOAI_API_KEY", "a-key-that-nobody-may-see")
    monkeypatch.setenv("SHOP_REGION", "north")
    connections = (
        ConnectionSpec(
            "aoai",
            "AzureOpenAIConnection",
            {"api_base": "${api_base}", "api_key": "${api_key}", "api_version": "2024-06-01"},
        ),
        ConnectionSpec("my-search", "CustomConnection", configs={"index": "${index}"}, secrets={"token": "${token}"}),
        ConnectionSpec("plain"),
    )
    wanted = replace(
        managed("rev1"), connection_specs=connections, environment={"REGION": "${SHOP_REGION}", "TONE": "warm"}
    )
    ready(azure, wanted)
    assert sent(azure)["properties"]["environmentVariables"] == {
        "AOAI_API_BASE": "${{azureml://connections/aoai/target}}",
        "AOAI_API_KEY": "${{azureml://connections/aoai/credentials/key}}",
        "MY_SEARCH_INDEX": "${{azureml://connections/my-search/metadata/index}}",
        "MY_SEARCH_TOKEN": "${{azureml://connections/my-search/credentials/token}}",
        "PLAIN_API_KEY": "${{azureml://connections/plain/credentials/key}}",
        "PLAIN_API_BASE": "${{azureml://connections/plain/target}}",
        "SHOP_REGION": "north",
        "GENAIOPS_DEPLOYMENT": "rev1",
        "GENAIOPS_SERVE_CONCURRENCY": "8",
    }
    stored = b"".join(azure.blobs.read("endpoints", blob.name) for blob in azure.blobs.list("endpoints"))
    uploaded = b"".join(blob.content for blob in azure.management.storage.of("azureml-blobstore").values())
    for secret in (b"a-key-that-nobody-may-see", b"north"):
        assert secret not in stored
        assert secret not in uploaded


@pytest.mark.parametrize("asked", ["TEAM_B_API_KEY", "REGION_OF_TEAM_B"])
def test_a_variable_that_holds_a_secret_is_refused_since_it_would_lie_in_clear(
    azure: AzureWorld, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setenv("TEAM_B_API_KEY", "0f1e2d3c4b5a69788796a5b4")
    monkeypatch.setenv("REGION_OF_TEAM_B", "0f1e2d3c4b5a69788796a5b4")
    with pytest.raises(BusinessFailure, match=r"REGION holds a secret.*custom connection") as refused:
        azure.endpoints.deploy(replace(managed("rev1"), environment={"REGION": f"${{{asked}}}"}))
    assert "0f1e2d3c" not in str(refused.value)
    assert azure.management.requests == []
    assert azure.endpoints.list() == []


@pytest.mark.parametrize("endpoint", ["ab", "9shop", "shop_one", "shop-", "s" * 33])
def test_a_name_that_azure_takes_not_is_refused_before_anything_is_made(azure: AzureWorld, endpoint: str) -> None:
    with pytest.raises(BusinessFailure, match=r"3 to 32 .*deployment\.endpoint"):
        azure.endpoints.deploy(replace(managed("rev1"), endpoint=endpoint))
    assert azure.management.requests == []
    assert azure.endpoints.list() == []


def test_wrong_options_are_all_listed_before_anything_is_made(azure: AzureWorld) -> None:
    options = {"DEPLOYMENT_VM_SIZ": "x", "AUTOSCALE": {"MIN_INSTANCES": 3, "MAX_INSTANCES": 1}, "AUTH_MODE": "none"}
    with pytest.raises(BusinessFailure) as refused:
        azure.endpoints.deploy(managed("rev1", **options))
    text = str(refused.value)
    assert "did you mean 'DEPLOYMENT_VM_SIZE'?" in text
    assert "MAX_INSTANCES is smaller than MIN_INSTANCES" in text
    assert "AUTH_MODE is 'none'" in text
    assert azure.management.requests == []


def test_an_endpoint_stays_with_its_kind_of_target(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    with pytest.raises(BusinessFailure, match=f"is served by {MANAGED}, and {KUBERNETES} is asked for"):
        azure.endpoints.deploy(spec("shop", "rev2", target=DeploymentTarget(KUBERNETES, {"COMPUTE_NAME": "cluster"})))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ImageBuildFailure", "The image could not be built: requirements.txt has no such version."),
        ("OutOfQuota", "Not enough quota for Standard_DS3_v2 in westeurope."),
    ],
)
def test_a_failed_operation_tells_its_reason_and_is_tried_anew_by_the_next_deployment(
    azure: AzureWorld, code: str, message: str
) -> None:
    azure.management.operations.fail_next("/deployments/rev1", code, message)
    azure.endpoints.deploy(managed("rev1"))
    info = settled(azure.endpoints, "shop", "rev1")
    assert (info.state, info.reason) == (DeploymentState.FAILED, f"{code}: {message}")
    again = azure.endpoints.deploy(managed("rev1"))
    assert again.created
    assert settled(azure.endpoints, "shop", "rev1").state is DeploymentState.READY


def test_an_endpoint_that_cannot_be_created_fails_the_deployment_and_is_tried_anew(azure: AzureWorld) -> None:
    azure.management.operations.fail_next("/onlineEndpoints/shop", "OutOfCapacity", "There is no capacity.")
    azure.endpoints.deploy(managed("rev1"))
    info = settled(azure.endpoints, "shop", "rev1")
    assert info.state is DeploymentState.FAILED
    assert "endpoint could not be created" in info.reason
    assert azure.endpoints.deploy(managed("rev1")).created
    assert settled(azure.endpoints, "shop", "rev1").state is DeploymentState.READY


def test_a_deployment_waits_while_its_endpoint_is_changed(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    azure.management.operations.looks = 6
    azure.endpoints.set_traffic("shop", {"rev1": 100})
    second = azure.endpoints.deploy(spec("shop", "rev2", variants={"style": "loud"}))
    assert (second.state, second.reason) == (DeploymentState.CREATING, "its endpoint is updating")
    azure.management.operations.looks = 1
    assert settled(azure.endpoints, "shop", "rev2").state is DeploymentState.READY
    split(azure.endpoints, "shop", {"rev1": 100})


def test_nothing_polls_in_the_background(azure: AzureWorld) -> None:
    azure.management.operations.looks = 50
    azure.endpoints.deploy(managed("rev1"))
    for _ in range(3):
        azure.endpoints.look("shop", "rev1")
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("LROPoller")] == []


def test_what_the_sdk_has_to_say_of_ordinary_answers_is_kept_out_of_the_logs(
    azure: AzureWorld, caplog: pytest.LogCaptureFixture
) -> None:
    ready(azure, managed("rev1"))
    assert [record.getMessage() for record in caplog.records if record.name.startswith(("azure", "msrest"))] == []


def test_a_split_that_the_platform_refused_is_told_and_forgotten(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    split(azure.endpoints, "shop", {"rev1": 100})
    ready(azure, replace(managed("rev2"), variants={"style": "loud"}))
    azure.management.operations.fail_next("/onlineEndpoints/shop", "Oops", "It did not work.")
    with pytest.raises(BusinessFailure, match="did not take up the traffic"):
        split(azure.endpoints, "shop", {"rev1": 50, "rev2": 50})
    assert azure.endpoints.describe("shop").traffic == {"rev1": 100}
    split(azure.endpoints, "shop", {"rev1": 50, "rev2": 50})


def test_a_deletion_that_cannot_begin_is_asked_for_again(azure: AzureWorld) -> None:
    azure.management.operations.looks = 4
    azure.endpoints.deploy(managed("rev1"))
    while not azure.management.online_endpoints.deployments:
        azure.endpoints.look("shop", "rev1")
    azure.endpoints.remove("shop", "rev1")
    described = azure.endpoints.describe("shop")
    assert (described.deployments, described.removing) == ((), ("rev1",))
    with pytest.raises(NotFound):
        azure.endpoints.look("shop", "rev1")
    while azure.endpoints.describe("shop").removing:
        azure.endpoints.remove("shop", "rev1")
    for _ in range(9):
        azure.endpoints.describe("shop")
    assert azure.management.online_endpoints.deployments == {}


def test_what_was_deleted_by_hand_is_gone_and_not_created_again(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    azure.management.online_endpoints.deployments.clear()
    with pytest.raises(NotFound):
        azure.endpoints.look("shop", "rev1")
    assert azure.endpoints.describe("shop").deployments == ()
    assert azure.endpoints.deploy(managed("rev1")).created


def test_what_was_made_by_hand_is_shown_and_never_replaced(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    deployments = azure.management.online_endpoints.deployments
    (key,) = deployments
    by_hand = {**deployments[key], "name": "rev2", "tags": {"team": "shop"}, "id": deployments[key]["id"][:-1] + "2"}
    deployments[key[:-1] + "2"] = by_hand
    shown = azure.endpoints.look("shop", "rev2")
    assert (shown.state, shown.tags, shown.flow_version) == (DeploymentState.READY, {"team": "shop"}, "")
    with pytest.raises(BusinessFailure, match="use another name, or remove it first"):
        azure.endpoints.deploy(managed("rev2"))
    azure.endpoints.remove("shop", "rev2")
    with pytest.raises(NotFound):
        azure.endpoints.look("shop", "rev2")


def test_a_deployment_whose_record_is_lost_is_known_by_its_tags(azure: AzureWorld) -> None:
    ready(azure, replace(managed("rev1"), tags={"chain": "shop-cd-1"}))
    azure.blobs.delete("endpoints", "records/shop.json")
    found = azure.endpoints.deploy(replace(managed("rev1"), tags={"chain": "shop-cd-2"}))
    assert (found.created, found.state) == (False, DeploymentState.READY)
    assert len(azure.management.seen("PUT", r"/deployments/rev1$")) == 1


def test_an_endpoint_in_a_cluster_is_scored_with_its_own_token_for_it_takes_none_of_entra_id(azure: AzureWorld) -> None:
    ready(azure, spec("shop", "rev1", target=DeploymentTarget(KUBERNETES, {"COMPUTE_NAME": "cluster"})))
    endpoint = next(iter(azure.management.online_endpoints.endpoints.values()))
    assert endpoint["properties"]["authMode"] == "AMLToken"
    assert azure.endpoints.invoke("shop", {"text": "a"}, "rev1").status == 200
    options = {"COMPUTE_NAME": "cluster", "AUTH_MODE": "aad_token"}
    with pytest.raises(BusinessFailure, match=r"AUTH_MODE is 'aad_token'.*'aml_token' or 'key'"):
        azure.endpoints.deploy(spec("shop", "rev2", target=DeploymentTarget(KUBERNETES, options)))


def test_an_endpoint_with_keys_is_scored_with_its_key_even_after_it_was_regenerated(azure: AzureWorld) -> None:
    ready(azure, managed("rev1", AUTH_MODE="key"))
    assert azure.endpoints.invoke("shop", {"text": "a"}, "rev1").status == 200
    endpoint = next(iter(azure.management.online_endpoints.endpoints.values()))
    endpoint["name"] = "shop-regenerated"  # the stand-in's keys follow from it
    assert azure.endpoints.invoke("shop", {"text": "a"}, "rev1").status == 200


def test_an_answer_of_the_front_door_is_told_from_one_of_the_flow(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    answer = azure.endpoints.invoke("shop", {"text": "raise"}, "rev1")
    assert (answer.status, answer.deployment) == (500, "rev1"), "the container's own status, not Azure's 424"
    for status, family in ((429, Throttled), (503, Transient), (504, Transient), (403, BusinessFailure)):
        azure.management.faults.add("POST", "/inference/", status=status, retry_after=7)
        with pytest.raises(family, match="shop") as caught:
            azure.endpoints.invoke("shop", {"text": "a"}, "rev1")
        if isinstance(caught.value, Throttled):
            assert caught.value.retry_after == 7
    azure.management.faults.cut("POST", "/inference/")
    with pytest.raises(Transient, match="cannot be reached"):
        azure.endpoints.invoke("shop", {"text": "a"}, "rev1")


def test_counts_that_may_not_be_read_fail_nothing(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    azure.endpoints.invoke("shop", {"text": "a"}, "rev1")
    assert azure.endpoints.look("shop", "rev1").requests == 1
    azure.management.faults.add("GET", "/metrics$", status=403, times=2)
    (shown,) = azure.endpoints.describe("shop").deployments
    assert (shown.requests, shown.state) == (0, DeploymentState.READY)


def test_the_image_is_built_once_by_the_registry_of_the_settings(
    management_server: Management, identity: IdentityEndpoint, workspace_storage: Proxy
) -> None:
    registry = f"{REGISTRY}.azurecr.io"
    with azure_endpoints_on(management_server, identity, workspace_storage, registry=registry) as azure:
        azure.management.container_registry.looks = 2
        azure.endpoints.deploy(managed("rev1"))
        waiting = azure.endpoints.look("shop", "rev1")
        assert waiting.state is DeploymentState.CREATING
        assert settled(azure.endpoints, "shop", "rev1").state is DeploymentState.READY
        (environment,) = azure.management.environments.versions.values()
        assert environment["properties"]["image"].startswith(f"{registry}/")
        assert environment["properties"]["inferenceConfig"]["readinessRoute"] == {"path": "/ready", "port": 8080}
        assert json.loads(azure.endpoints.invoke("shop", {"text": "a"}, "rev1").body)["answer"] == "a"
        ready(azure, replace(managed("rev1"), endpoint="another"))
        assert len(azure.management.seen("POST", "/scheduleRun$")) == 1
        assert azure.management.storage.of("azureml-blobstore") == {}
        assert azure.management.unknown == []


def test_an_image_that_cannot_be_built_fails_the_deployment_and_is_tried_anew(
    management_server: Management, identity: IdentityEndpoint, workspace_storage: Proxy
) -> None:
    registry = f"{REGISTRY}.azurecr.io"
    with azure_endpoints_on(management_server, identity, workspace_storage, registry=registry) as azure:
        azure.management.container_registry.failing = "ERROR: no matching distribution found"
        azure.endpoints.deploy(managed("rev1"))
        info = settled(azure.endpoints, "shop", "rev1")
        assert info.state is DeploymentState.FAILED
        assert "no matching distribution found" in info.reason
        azure.management.container_registry.failing = ""
        assert azure.endpoints.deploy(managed("rev1")).created
        assert settled(azure.endpoints, "shop", "rev1").state is DeploymentState.READY


def test_another_process_goes_on_where_one_has_ended(azure: AzureWorld) -> None:
    azure.endpoints.deploy(managed("rev1"))
    other = opened(azure.management, azure.blobs)
    assert settled(other, "shop", "rev1").state is DeploymentState.READY
    split(other, "shop", {"rev1": 100})
    assert json.loads(azure.endpoints.invoke("shop", {"text": "a"}).body)["answer"] == "a"


def test_the_apps_token_is_not_sent_in_clear_to_a_cluster_without_a_certificate(azure: AzureWorld) -> None:
    ready(azure, managed("rev1"))
    endpoint = next(iter(azure.management.online_endpoints.endpoints.values()))
    endpoint["properties"]["scoringUri"] = "http://10.0.0.4/api/v1/endpoint/shop/score"
    with pytest.raises(BusinessFailure, match=r"token would travel in clear.*certificate, or set AUTH_MODE to key"):
        azure.endpoints.invoke("shop", {"text": "a"}, "rev1")
