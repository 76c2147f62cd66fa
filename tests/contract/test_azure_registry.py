"""What the Azure registry does beyond the contract: limits of Azure ML, faults, lost answers, writers elsewhere, sharing.

azure-ai-ml runs whole against the stand-in of the management APIs; tokens come from a managed identity.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.azure.machine_learning import AzureRegistry, Workspace, asset_names, asset_tags
from shared.adapters.azure.machine_learning.turns import LEASE, Turns
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.errors import BusinessFailure, Conflict, NotFound, Throttled, Transient
from shared.names import ASSET_PATTERN
from shared.ports import Asset, AssetKind, BlobStore, NewAsset, stages
from tests.contract.azure_workspace import azure_settings
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management, Moment
from tests.servers.management.registries import NAME as SHARED

DATA, MODEL = AssetKind.DATA, AssetKind.MODEL


def new(content: str = "a", kind: AssetKind = DATA, name: str = "tickets.train", **more) -> NewAsset:
    return NewAsset(kind=kind, name=name, content_hash=content * 64, blob=f"bundles/datasets/{content * 64}", **more)


@pytest.fixture
def blobs() -> BlobStore:
    return MemoryBlobStore()


@pytest.fixture
def open_registry(
    management: Management, workspace: Workspace, blobs: BlobStore, clock: ManualClock
) -> Callable[..., AzureRegistry]:
    """Opens the registry as one more process would: it shares the blobs and the workspace with the others."""
    return lambda **more: AzureRegistry(workspace, blobs, clock, **more)


@pytest.fixture
def registry(open_registry: Callable[..., AzureRegistry]) -> AzureRegistry:
    return open_registry()


@pytest.fixture(autouse=True)
def _nothing_unknown_was_asked(management: Management) -> Iterator[None]:
    yield
    assert management.unknown == []
    assert all(request.bearer for request in management.requests if not request.path.startswith("/metadata"))


def versions(registry: AzureRegistry, kind: AssetKind = DATA, name: str = "tickets.train") -> list[str]:
    return [asset.version for asset in registry.list(kind, name)]


# What Azure ML is told


def test_a_version_points_to_the_blob_where_it_lies_and_nothing_is_uploaded(registry, management):
    registry.register(new("a", tags={"chain": "c1", "commit": "abc"}))
    stored = management.data_assets.containers["tickets--train"].versions["1"]["properties"]
    assert stored["dataType"] == "uri_file"
    assert stored["dataUri"].endswith(f"/datastores/genaiops_bundles/paths/datasets/{'a' * 64}")
    assert stored["tags"] == {"chain": "c1", "commit": "abc", "content_hash": "a" * 64}
    datastore = next(d for d in management.workspace.datastores if d.name == "genaiops_bundles")
    assert (datastore.account, datastore.container, datastore.endpoint) == (
        "genaiopsstorage",
        "bundles",
        "core.windows.net",
    )
    assert datastore.account_key is None
    assert not management.seen(path="listSecrets")


def test_a_flow_becomes_a_custom_model_of_the_same_shape(registry, management):
    registry.register(new("a", MODEL, "tickets", description="tickets, loud"))
    stored = management.models.containers["tickets"].versions["1"]["properties"]
    assert (stored["modelType"], stored["description"]) == ("custom_model", "tickets, loud")
    assert "/datastores/genaiops_bundles/paths/datasets/" in stored["modelUri"]


def test_a_datastore_of_that_name_for_another_account_is_not_written_through(registry, management):
    from tests.servers.management.workspace import Datastore

    management.workspace.datastores.append(Datastore("genaiops_bundles", "someoneelse", "bundles"))
    with pytest.raises(BusinessFailure, match=r"someoneelse/bundles.*Storage__blobServiceUri"):
        registry.register(new())


def test_a_content_is_found_among_many_versions_by_pages_and_not_one_by_one(registry, management):
    registry.register(new(content="000", name="tickets.many"))
    stored = management.data_assets.containers["tickets--many"]
    for number in range(2, 131):
        stored.versions[str(number)] = deepcopy(stored.versions["1"])
        body = stored.versions[str(number)]
        body["id"] = body["id"].replace("/versions/1", f"/versions/{number}")
        body["properties"]["properties"]["content_hash"] = f"{number:064d}"
        stored.used.add(str(number))
    management.forget_requests()
    assert registry.find(DATA, "tickets.many", "000" * 64).version == "1"
    assert len(management.seen()) == 2
    assert versions(registry, name="tickets.many") == [str(number) for number in range(1, 131)]
    assert registry.get(DATA, "tickets.many").version == "130"
    assert registry.register(new(content="131", name="tickets.many"))[0].version == "131"


@given(st.from_regex(ASSET_PATTERN, fullmatch=True).map(lambda name: name.rstrip("\n")))
def test_every_asset_name_fits_azure_ml_and_comes_back(name):
    encoded = asset_names.to_azure(name)
    assert asset_names.from_azure(encoded) == name
    assert set(encoded) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert len(encoded) <= 255


def test_names_read_well_in_the_studio():
    assert asset_names.to_azure("ticket_triage.train") == "ticket_triage--train"
    assert asset_names.to_azure("a-b.c--d") == "a-b--c---d"
    assert asset_names.from_azure("not ours") is None


def test_long_metrics_are_kept_whole_and_replaced_whole(registry, management):
    long = json.dumps({f"dataset {n}": {"accuracy": n / 7} for n in range(200)})
    short = json.dumps({"dataset": 1})
    registry.register(new(kind=MODEL, name="tickets", tags={"metrics": long, "chain": "c1"}))
    assert registry.get(MODEL, "tickets").tags == {"metrics": long, "chain": "c1"}
    stored = management.models.tags("tickets", "1")
    assert stored["metrics__1"] + stored["metrics__2"] == long[:2000]
    assert registry.tag(MODEL, "tickets", "1", {"metrics": short}).tags == {"metrics": short, "chain": "c1"}
    assert sorted(management.models.tags("tickets", "1")) == ["chain", "content_hash", "metrics"]


@given(
    st.dictionaries(
        st.from_regex("[a-z_]{1,8}", fullmatch=True).filter(lambda k: "__" not in k), st.text(max_size=2500), max_size=8
    )
)
def test_any_tags_come_back(tags):
    assert asset_tags.from_azure(asset_tags.to_azure(tags, "f" * 64)) == (tags, "f" * 64)


def test_tags_that_azure_ml_cannot_keep_are_refused_with_what_to_do(registry):
    with pytest.raises(BusinessFailure, match=r"'metrics' with 60,000 characters.*Measure fewer"):
        registry.register(new(tags={"metrics": "x" * 60_000}))
    with pytest.raises(BusinessFailure, match="'metrics__2' cannot be kept"):
        registry.register(new(tags={"metrics__2": "x"}))
    assert registry.list(DATA) == []


# What people do in the studio


def test_an_archived_version_is_in_no_list_and_never_the_latest_but_still_known(registry, workspace):
    registry.register(new("a"))
    second, _ = registry.register(new("b"))
    workspace.client().data.archive("tickets--train", "2")
    assert versions(registry) == ["1"]
    assert registry.get(DATA, "tickets.train").version == "1"
    assert registry.get(DATA, "tickets.train", "2") == second
    assert registry.register(new("b")) == (second, False)
    assert registry.register(new("c"))[0].version == "3"


def test_the_number_of_a_deleted_version_is_never_asked_for_again(registry, management):
    registry.register(new("a"))
    registry.register(new("b"))
    del management.data_assets.containers["tickets--train"].versions["2"]
    assert registry.register(new("c"))[0].version == "3"
    assert versions(registry) == ["1", "3"]


def test_a_data_asset_that_somebody_registered_by_hand_can_be_used(registry, workspace):
    from azure.ai.ml.entities import Data

    account = "https://genaiopsstorage.blob.core.windows.net"
    for name, version, path in [
        ("by-hand", "1", f"{account}/uploads/my%20rows.jsonl"),
        ("by-hand", "2", "azureml://datastores/workspaceblobstore/paths/rows.jsonl"),
        ("by-hand", "today", f"{account}/uploads/rows.jsonl"),
        ("elsewhere", "1", "https://someoneelse.blob.core.windows.net/data/rows.jsonl"),
    ]:
        workspace.client().data.create_or_update(Data(name=name, version=version, path=path, type="uri_file"))
    assert registry.get(DATA, "by-hand", "1").blob == "uploads/my rows.jsonl"
    assert registry.get(DATA, "by-hand").blob == "azureml-blobstore/rows.jsonl"
    assert [(a.name, a.version, a.content_hash) for a in registry.list(DATA)] == [
        ("by-hand", "1", ""), ("by-hand", "2", ""), ("elsewhere", "1", ""),
    ]  # fmt: skip
    with pytest.raises(NotFound, match="whole numbers"):
        registry.get(DATA, "by-hand", "today")
    with pytest.raises(NotFound, match=r"not in the storage account.*assets register"):
        registry.get(DATA, "elsewhere")


# Faults


def test_a_service_that_asks_for_a_pause_gets_exactly_that_pause(registry, management):
    management.faults.add("PUT", r"/data/", status=429, retry_after=17)
    with pytest.raises(Throttled) as throttled:
        registry.register(new())
    assert throttled.value.retry_after == 17
    assert len(management.seen("PUT", r"/data/")) == 1, "no function waits: the command comes back later"
    assert registry.register(new())[0].version == "1"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_service_that_is_not_well_is_tried_again_later(registry, management, status):
    management.faults.add("GET", r"/data/.*/versions", status=status)
    with pytest.raises(Transient, match=r"genaiops-ml.*not well"):
        registry.find(DATA, "tickets.train", "a" * 64)


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_role_is_named(registry, management, status):
    management.faults.add("PUT", r"/data/", status=status)
    with pytest.raises(BusinessFailure, match="role AzureML Data Scientist"):
        registry.register(new())


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_is_looked_into_and_repeated(registry, management, status):
    management.faults.add("PUT", r"/data/", status=status)
    assert registry.register(new())[0].version == "1"
    management.faults.add("PUT", r"/data/", status=status)
    with pytest.raises(Conflict):
        registry.tag(DATA, "tickets.train", "1", {"a": "b"})
    assert registry.tag(DATA, "tickets.train", "1", {"a": "b"}).tags == {"a": "b"}


@pytest.mark.parametrize("moment", list(Moment))
def test_a_connection_that_is_cut_around_a_registration_leaves_one_version(registry, management, moment):
    management.faults.cut("PUT", r"/data/", moment=moment)
    asset, created = registry.register(new())
    assert (asset.version, created, management.faults.left) == ("1", True, 0)
    assert versions(registry) == ["1"]


@pytest.mark.parametrize("moment", list(Moment))
def test_a_registration_whose_answer_is_lost_for_good_is_found_by_the_next_try(registry, management, moment):
    management.faults.add("PUT", r"/data/", status=503, moment=moment)
    with pytest.raises(Transient):
        registry.register(new(tags={"chain": "c1"}))
    asset, created = registry.register(new(tags={"chain": "c1"}))
    assert (asset.version, asset.tags, created) == ("1", {"chain": "c1"}, moment is Moment.BEFORE)
    assert versions(registry) == ["1"]


def test_a_workspace_that_cannot_be_reached_is_tried_again_later(identity: IdentityEndpoint, management, blobs, clock):
    from azure.identity import ManagedIdentityCredential

    lost = Workspace(azure_settings(management, workspace="not-there"), ManagedIdentityCredential())
    with pytest.raises(NotFound):
        AzureRegistry(lost, blobs, clock).register(new())
    management.faults.cut("GET", times=9)
    with pytest.raises(Transient, match="cannot be reached"):
        AzureRegistry(lost, blobs, clock).find(DATA, "tickets.train", "a" * 64)
    management.faults.clear()


# Several writers


def test_processes_that_register_at_once_give_each_content_one_version(open_registry):
    registries = [open_registry() for _ in range(6)]
    results: list[tuple[Asset, bool]] = []
    barrier = threading.Barrier(6)

    def register(n: int) -> None:
        barrier.wait()
        # All contents lie in one blob, as variants of a flow do in its bundle: no address tells them apart.
        asset = NewAsset(kind=MODEL, name="tickets", content_hash="abc"[n % 3] * 64, blob="bundles/one.zip")
        results.append(registries[n].register(asset))

    threads = [threading.Thread(target=register, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asset.content_hash[0] for asset, created in results if created) == ["a", "b", "c"]
    listed = registries[0].list(MODEL, "tickets")
    assert [asset.version for asset in listed] == ["1", "2", "3"]
    assert sorted(asset.content_hash[0] for asset in listed) == ["a", "b", "c"]


def test_processes_that_tag_at_once_lose_no_tag(open_registry):
    registries = [open_registry() for _ in range(5)]
    registries[0].register(new())
    threads = [
        threading.Thread(target=each.tag, args=(DATA, "tickets.train", "1", {f"tag{n}": "x"}))
        for n, each in enumerate(registries)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registries[0].get(DATA, "tickets.train", "1").tags == {f"tag{n}": "x" for n in range(5)}


@pytest.mark.parametrize("same", [True, False])
def test_a_number_that_another_installation_takes_meanwhile_is_not_overwritten(
    registry, workspace, management, clock, same
):
    """Another installation has its own blobs, and so its own turns: only Azure ML itself stands between them."""
    other = AzureRegistry(workspace, MemoryBlobStore(), clock)
    theirs = new("a" if same else "b", tags={"who": "other"})
    management.faults.meanwhile(lambda: other.register(theirs), "PUT", "/data/")
    asset, created = registry.register(new("a", tags={"who": "us"}))
    listed = registry.list(DATA, "tickets.train")
    if same:
        assert (asset.version, created, len(listed)) == ("1", False, 1)
    else:
        assert (asset.version, created) == ("2", True)
        assert [(each.version, each.content_hash[0], each.tags["who"]) for each in listed] == [
            ("1", "b", "other"), ("2", "a", "us"),
        ]  # fmt: skip


def test_a_writer_that_died_in_its_turn_blocks_the_others_only_for_a_while(open_registry, blobs, clock):
    dead = Turns(blobs, clock).turn("data/tickets.train")
    dead.__enter__()
    with pytest.raises(Transient, match=r"data/tickets\.train.*did not get its turn"):
        open_registry(patience_s=0.2).register(new())
    clock.advance(LEASE / timedelta(seconds=1) + 1)
    assert open_registry(patience_s=0.2).register(new())[1]
    dead.__exit__(None, None, None)
    assert open_registry(patience_s=0.2).register(new("b"))[1], "one who wakes up late gives back what is not his"


def test_a_turn_that_is_almost_over_is_not_written_in(blobs, clock):
    with Turns(blobs, clock).turn("data/tickets") as turn:
        turn.check()
        clock.advance(100)
        with pytest.raises(Transient, match="took too long"):
            turn.check()
        clock.advance(100)
        with Turns(blobs, clock).turn("data/tickets") as next_one:
            next_one.check()


# Stages and the shared registry


@pytest.fixture
def sharing(management: Management, identity: IdentityEndpoint, blobs: BlobStore, clock: ManualClock) -> AzureRegistry:
    from azure.identity import ManagedIdentityCredential

    workspace = Workspace(azure_settings(management, registry=SHARED), ManagedIdentityCredential())
    return AzureRegistry(workspace, blobs, clock)


def test_a_move_that_was_interrupted_ends_right_when_it_is_repeated(registry, management):
    for content in "abc":
        registry.register(new(content, MODEL, "tickets"))
    registry.promote(MODEL, "tickets", "1", "prod")
    management.faults.add("PUT", r"/models/tickets/versions/1$", status=503)
    with pytest.raises(Transient):
        registry.promote(MODEL, "tickets", "3", "prod")
    staged = [a.version for a in registry.list(MODEL, "tickets") if "prod" in stages(a.tags)]
    assert staged == ["1", "3"], "never without one"
    registry.promote(MODEL, "tickets", "3", "prod")
    assert [a.version for a in registry.list(MODEL, "tickets") if "prod" in stages(a.tags)] == ["3"]


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


def test_a_shared_registry_that_does_not_let_the_app_in_is_named_with_the_role(sharing, management):
    sharing.register(new("a", MODEL, "tickets"))
    management.faults.add("POST", "/import$", status=403)
    with pytest.raises(BusinessFailure, match=f"registry '{SHARED}'.*role AzureML Registry User"):
        sharing.promote(MODEL, "tickets", "1", "prod")
    sharing.promote(MODEL, "tickets", "1", "prod")
    assert list(management.registries.models.containers["tickets"].versions) == ["1"]


def test_two_that_share_the_same_version_at_once_share_it_once(sharing, management, blobs, clock):
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


# The process


def test_neither_the_adapter_nor_its_making_imports_an_sdk():
    """The functions' cold start: azure-ai-ml takes seconds to import."""
    program = (
        "import sys; import shared.adapters.azure.machine_learning as ml; from shared.azure_settings import AzureSettings;"
        "w = ml.Workspace(AzureSettings('b', 'https://a.blob.core.windows.net', 's', 'g', 'w'), None);"
        "ml.AzureRegistry(w, None, None);"
        "print([m for m in sys.modules if m.startswith(('azure', 'promptflow', 'msrest'))])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert answer.stdout.strip() == "[]"


def test_nothing_calls_home_and_nothing_is_chatted_about(identity, management, blobs, clock, capfd, caplog):
    import logging

    from azure.identity import ManagedIdentityCredential

    workspace = Workspace(azure_settings(management), ManagedIdentityCredential())
    AzureRegistry(workspace, blobs, clock).register(new())
    logger = logging.getLogger("azure.ai.ml._telemetry")
    assert not logger.propagate
    assert all(
        isinstance(handler, logging.NullHandler)
        for handler in logger.handlers
        if "pytest" not in type(handler).__module__
    )
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
    assert [
        record.getMessage() for record in caplog.records if not record.name.startswith("azure.ai.ml._telemetry")
    ] == []
