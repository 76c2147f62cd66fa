"""Images are built by ACR tasks: begun once a content, found again, looked at later, and their failures explained."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.azure.credential import credential
from shared.adapters.azure.endpoints.container_registry import RegistryImages
from shared.adapters.azure.endpoints.image_context import image_context
from shared.adapters.azure.lazy_credential import LazyCredential
from shared.azure_settings import AzureSettings
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, Throttled, Transient
from shared.ports import DeploymentSpec, DeploymentState
from tests.contract.azure_workspace import azure_settings
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management, Moment
from tests.servers.management.container_registry import LOGIN_SERVER, NAME, SIGNATURE

ROOT = Path(__file__).parents[2]
READY, CREATING, FAILED = DeploymentState.READY, DeploymentState.CREATING, DeploymentState.FAILED


def deployment(**changes: object) -> DeploymentSpec:
    folder = ROOT / "flows" / "word_problems"
    spec = DeploymentSpec(
        "problems", "v1-0a1b2c3d", folder / "flows" / "word_problems", "0" * 64, "1",
        flow_file="flow.flex.yaml", root=folder, package="word_problems",
    )  # fmt: skip
    return replace(spec, **changes)


@pytest.fixture
def settings(management: Management) -> AzureSettings:
    return azure_settings(management, container_registry=LOGIN_SERVER)


@pytest.fixture
def images(settings: AzureSettings, identity: IdentityEndpoint) -> RegistryImages:
    return RegistryImages(settings, LazyCredential(lambda: credential(settings)))


def test_a_build_is_begun_and_never_waited_for(images: RegistryImages, management: Management) -> None:
    registry = management.container_registry
    registry.looks = 2
    begun = images.begin(deployment(), {})
    context = image_context(deployment())
    assert begun["image"] == f"{LOGIN_SERVER}/served-flows:{context.tag}"
    assert list(registry.sources.values()) == [context.archive()]
    assert not management.seen("GET", r"/runs/")
    assert [images.look(begun)[0] for _ in range(3)] == [CREATING, CREATING, READY]
    assert images.look(begun) == (READY, begun["image"])
    assert registry.images == {f"served-flows:{context.tag}": context.archive()}
    assert management.unknown == []


def test_what_was_built_once_is_found_among_other_runs_and_pages(
    images: RegistryImages, management: Management
) -> None:
    first = images.begin(deployment(), {})
    assert images.look(first)[0] is READY
    for style in range(4):
        other = images.begin(deployment(parameters={"inputs.style": str(style)}), {})
        assert images.look(other)[0] is READY
    management.page_size = 2
    try:
        found = images.begin(deployment(), {})
    finally:
        management.page_size = 100
    assert found == {**first, "run": ""}
    assert images.look(found) == (READY, first["image"])
    assert len(management.seen("POST", "/scheduleRun")) == 5


def test_what_failed_once_is_built_again(images: RegistryImages, management: Management) -> None:
    management.container_registry.failing = "no space left on device"
    begun = images.begin(deployment(), {})
    assert images.look(begun)[0] is FAILED
    management.container_registry.failing = ""
    assert images.look(images.begin(deployment(), {}))[0] is READY


@pytest.mark.parametrize("ending", ["Failed", "Canceled", "Error", "Timeout"])
def test_a_failed_build_tells_the_end_of_its_log_without_secrets(
    images: RegistryImages, management: Management, ending: str
) -> None:
    lines = [f"Step {n}/20" for n in range(1, 21)]
    token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwbGFudGVkIn0.c2ln"
    lines += [f"using {token}", "ERROR: No matching distribution found for promptflow==9.9"]
    management.container_registry.failing = "\r\n".join(lines)
    management.container_registry.ending = ending
    begun = images.begin(deployment(), {})
    state, reason = images.look(begun)
    assert state is FAILED
    assert reason.startswith(f"the image could not be built (run {begun['run']}: {ending.lower()}); failed during run")
    assert reason.endswith("No matching distribution found for promptflow==9.9")
    assert "Step 20/20" in reason
    assert "Step 2/20" not in reason
    assert token not in reason


def test_a_run_that_the_registry_has_forgotten_has_failed(images: RegistryImages, management: Management) -> None:
    begun = images.begin(deployment(), {})
    management.container_registry.runs.clear()
    state, reason = images.look(begun)
    assert (state, "knows nothing of the build" in reason) == (FAILED, True)


def test_without_a_registry_it_is_said_where_to_name_one(settings: AzureSettings) -> None:
    images = RegistryImages(replace(settings, container_registry=None), LazyCredential(lambda: credential(settings)))
    with pytest.raises(BusinessFailure, match=r"set GENAIOPS_CONTAINER_REGISTRY .* REGISTRY_NAME"):
        images.check({})
    images.check({"REGISTRY_NAME": NAME})


def test_a_target_may_name_another_registry_and_its_group(images: RegistryImages, management: Management) -> None:
    with pytest.raises(BusinessFailure, match="'rg-images' has no container registry 'other'"):
        images.begin(deployment(), {"REGISTRY_NAME": "other", "REGISTRY_RG_NAME": "rg-images"})
    assert management.seen(
        "GET", "/resourceGroups/rg-images/providers/Microsoft.ContainerRegistry/registries/other/runs"
    )
    begun = images.begin(deployment(), {"REGISTRY_NAME": NAME, "REGISTRY_RG_NAME": "rg-images"})
    assert begun["image"].startswith(LOGIN_SERVER)
    assert begun["group"] == "rg-images"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"REGISTRY_NAME": f"{NAME}.elsewhere.example/x"}, "REGISTRY_NAME is 'genaiops.*elsewhere.*letters and digits"),
        ({"REGISTRY_NAME": "a-b"}, "REGISTRY_NAME is 'a-b'"),
        ({"REGISTRY_NAME": NAME, "REGISTRY_RG_NAME": "rg/../../other"}, "REGISTRY_RG_NAME is 'rg/"),
        ({"REGISTRY_RG_NAME": ".."}, "REGISTRY_RG_NAME is '..'"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_asked(
    images: RegistryImages, management: Management, options: dict[str, str], complaint: str
) -> None:
    with pytest.raises(BusinessFailure, match=complaint):
        images.check(options)
    with pytest.raises(BusinessFailure, match=complaint):
        images.begin(deployment(), options)
    assert management.requests == []


def test_of_a_log_without_end_only_the_end_is_fetched(images: RegistryImages, management: Management) -> None:
    management.container_registry.failing = "x\n" * 200_000 + "ERROR: no space left"
    state, reason = images.look(images.begin(deployment(), {}))
    assert state is FAILED
    assert reason.endswith("| x | ERROR: no space left")
    assert len(management.seen("GET", "/acrtasks/logs")) == 2, "its length and its end"


CALLS = {
    "runs": ("GET", r"/runs$"),
    "address": ("POST", r"/listBuildSourceUploadUrl"),
    "upload": ("PUT", r"/acrtasks/sources"),
    "schedule": ("POST", r"/scheduleRun"),
}


@pytest.mark.parametrize(("method", "path"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("plan", "family"),
    [
        (lambda m, method, path: m.faults.add(method, path, status=429, retry_after=7), Throttled),
        (lambda m, method, path: m.faults.add(method, path, status=503, times=9), Transient),
        (lambda m, method, path: m.faults.add(method, path, status=403), BusinessFailure),
        (lambda m, method, path: m.faults.add(method, path, status=409), Conflict),
    ],
    ids=["throttled", "not-well", "refused", "conflict"],
)
def test_each_call_that_fails_says_which_family_it_is_and_begins_anew(
    images: RegistryImages,
    management: Management,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    plan: Callable[[Management, str, str], None],
    family: type[GenAIOpsError],
) -> None:
    caplog.set_level(logging.INFO)
    plan(management, method, path)
    with pytest.raises(family) as raised:
        images.begin(deployment(), {})
    if isinstance(raised.value, Throttled):
        assert raised.value.retry_after == 7
    assert SIGNATURE not in str(raised.value) + caplog.text
    management.faults.clear()
    assert images.look(images.begin(deployment(), {}))[0] is READY


@pytest.mark.parametrize(("method", "path"), CALLS.values(), ids=CALLS)
def test_a_connection_that_breaks_is_tried_again_or_the_command_comes_back(
    images: RegistryImages, management: Management, method: str, path: str
) -> None:
    management.faults.cut(method, path, moment=Moment.BEFORE)
    if method == "POST":  # the SDK sends no POST twice
        with pytest.raises(Transient):
            images.begin(deployment(), {})
    assert images.look(images.begin(deployment(), {}))[0] is READY
    assert management.faults.left == 0


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/listLogSasUrl"), ("GET", "/acrtasks/logs")], ids=["address", "log"]
)
def test_a_log_that_cannot_be_read_leaves_the_reason(
    images: RegistryImages, management: Management, method: str, path: str
) -> None:
    management.container_registry.failing = "secret detail of the log"
    begun = images.begin(deployment(), {})
    management.faults.add(method, path, status=500, times=20)
    state, reason = images.look(begun)
    assert state is FAILED
    assert reason == f"the image could not be built (run {begun['run']}: failed); failed during run, err: exit status 1"
