"""Stages in Azure ML that move, and the shared registry into which promoted versions are copied."""

from __future__ import annotations

import threading

import pytest

from shared.adapters.azure.machine_learning import AzureRegistry, Workspace
from shared.adapters.memory.clock import ManualClock
from shared.errors import BusinessFailure, Conflict, Throttled, Transient
from shared.ports import AssetKind, BlobStore, stages
from tests.contract.azure_workspace import azure_settings
from tests.contract.registered import DATA, MODEL, new, nothing_unknown_was_asked, versions  # noqa: F401 - autouse
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.management.registries import NAME as SHARED


def sharing_workspace(management: Management, name: str = SHARED) -> Workspace:
    from azure.identity import ManagedIdentityCredential

    return Workspace(azure_settings(management, registry=name), ManagedIdentityCredential())


@pytest.fixture
def sharing(
    management: Management, identity: IdentityEndpoint, turn_blobs: BlobStore, clock: ManualClock
) -> AzureRegistry:
    return AzureRegistry(sharing_workspace(management), turn_blobs, clock, sharing_s=60)


def test_a_move_that_was_interrupted_ends_right_when_it_is_repeated(azure_registry, management):
    for content in "abc":
        azure_registry.register(new(content, MODEL, "tickets"))
    azure_registry.promote(MODEL, "tickets", "1", "prod")
    management.faults.add("PUT", r"/models/tickets/versions/1$", status=503)
    with pytest.raises(Transient):
        azure_registry.promote(MODEL, "tickets", "3", "prod")
    staged = [a.version for a in azure_registry.list(MODEL, "tickets") if "prod" in stages(a.tags)]
    assert staged == ["1", "3"], "never without one"
    azure_registry.promote(MODEL, "tickets", "3", "prod")
    assert [a.version for a in azure_registry.list(MODEL, "tickets") if "prod" in stages(a.tags)] == ["3"]


@pytest.mark.parametrize("kind", list(AssetKind))
def test_what_is_promoted_is_shared_once_with_its_lineage(sharing, management, kind):
    sharing.register(new("a", kind, tags={"chain": "c1"}))
    sharing.register(new("b", kind))
    sharing.promote(kind, "tickets.train", "1", "prod")
    sharing.promote(kind, "tickets.train", "1", "prod")
    shared = {DATA: management.registries.data, MODEL: management.registries.models}[kind]
    assert list(shared.containers["tickets--train"].versions) == ["1"]
    assert shared.tags("tickets--train", "1") == {"chain": "c1", "content_hash": "a" * 64, "stage": "prod"}
    assert len(management.seen("POST", "/import$")) == 1


def test_a_copy_that_takes_its_time_is_waited_for(sharing, management):
    sharing.register(new("a", MODEL, "tickets"))
    management.operations.looks = 2
    sharing.promote(MODEL, "tickets", "1", "prod")
    assert list(management.registries.models.containers["tickets"].versions) == ["1"]


def test_a_copy_that_takes_too_long_is_looked_at_again_and_made_once(sharing, management, turn_blobs, clock):
    sharing.register(new("a", MODEL, "tickets"))
    service = threading.Event()
    management.faults.meanwhile(lambda: service.wait(60), "POST", "/import$")
    hasty = AzureRegistry(sharing_workspace(management), turn_blobs, clock, sharing_s=0.05)
    for _ in range(2):
        with pytest.raises(Throttled, match=f"tickets 1 is being copied into .*{SHARED}") as throttled:
            hasty.promote(MODEL, "tickets", "1", "prod")
        assert throttled.value.retry_after == 20
    service.set()
    for _ in range(600):
        try:
            hasty.promote(MODEL, "tickets", "1", "prod")
            break
        except Throttled:
            continue
    assert len(management.seen("POST", "/import$")) == 1
    assert list(management.registries.models.containers["tickets"].versions) == ["1"]


def test_a_copy_that_another_process_makes_is_looked_at_again(sharing, management):
    sharing.register(new("a", MODEL, "tickets"))
    management.faults.add("POST", "/import$", status=409)
    with pytest.raises(Throttled, match="being copied"):
        sharing.promote(MODEL, "tickets", "1", "prod")
    sharing.promote(MODEL, "tickets", "1", "prod")
    assert list(management.registries.models.containers["tickets"].versions) == ["1"]


def test_a_copy_that_fails_in_the_end_fails_with_the_reason_and_can_be_asked_for_again(sharing, management):
    sharing.register(new("a", MODEL, "tickets"))
    management.operations.fail_next("/import", "StorageUnreachable", "The source cannot be read.")
    with pytest.raises((BusinessFailure, Conflict), match="The source cannot be read"):
        sharing.promote(MODEL, "tickets", "1", "prod")
    sharing.promote(MODEL, "tickets", "1", "prod")
    assert list(management.registries.models.containers["tickets"].versions) == ["1"]


def test_a_shared_registry_that_does_not_let_the_app_in_is_named_with_the_role(sharing, management):
    sharing.register(new("a", MODEL, "tickets"))
    management.faults.add("POST", "/import$", status=403)
    with pytest.raises(BusinessFailure, match=f"registry '{SHARED}'.*role AzureML Registry User"):
        sharing.promote(MODEL, "tickets", "1", "prod")
    sharing.promote(MODEL, "tickets", "1", "prod")
    assert list(management.registries.models.containers["tickets"].versions) == ["1"]


def test_a_registry_that_does_not_exist_is_named_with_its_setting(azure_registry, management, turn_blobs, clock):
    azure_registry.register(new("a", MODEL, "tickets"))
    lost = AzureRegistry(sharing_workspace(management, "not-there"), turn_blobs, clock)
    with pytest.raises(BusinessFailure, match="registry 'not-there' does not exist: correct GENAIOPS_ML_REGISTRY"):
        lost.promote(MODEL, "tickets", "1", "prod")


def test_an_archived_version_stays_archived_when_the_stage_moves(azure_registry, workspace):
    for content in "ab":
        azure_registry.register(new(content, MODEL, "tickets"))
    azure_registry.promote(MODEL, "tickets", "1", "prod")
    workspace.client().models.archive("tickets", "1")
    azure_registry.promote(MODEL, "tickets", "2", "prod")
    assert versions(azure_registry, MODEL, "tickets") == ["2"]


def test_two_that_share_the_same_version_at_once_share_it_once(sharing, management, turn_blobs, clock):
    sharing.register(new("a", MODEL, "tickets"))
    threads = [
        threading.Thread(target=sharing.promote, args=(MODEL, "tickets", "1", stage)) for stage in ("prod", "test")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(management.registries.models.containers["tickets"].versions) == ["1"]


def test_a_version_that_is_shared_while_others_register_goes_to_the_registry_and_theirs_to_the_workspace(
    sharing, management
):
    sharing.register(new("a", MODEL, "tickets"))
    management.operations.looks = 3
    thread = threading.Thread(target=sharing.promote, args=(MODEL, "tickets", "1", "prod"))
    thread.start()
    for content in "bcdef":
        sharing.register(new(content, MODEL, "mails"))
    thread.join()
    assert list(management.registries.models.containers) == ["tickets"]
    assert versions(sharing, MODEL, "mails") == ["1", "2", "3", "4", "5"]
