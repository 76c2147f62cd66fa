"""What the Azure registry does beyond the contract: limits of Azure ML, what people do in its studio, the process.

azure-ai-ml runs whole against the stand-in of the management APIs; tokens come from a managed identity.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared
from shared.adapters.azure.machine_learning import asset_names, asset_tags
from shared.adapters.azure.machine_learning.storage import KEPT
from shared.errors import BusinessFailure, NotFound
from shared.names import ASSET_PATTERN
from tests.contract.registered import DATA, MODEL, new, nothing_unknown_was_asked, versions  # noqa: F401 - autouse

# What Azure ML is told


def test_a_version_points_to_the_blob_where_it_lies_and_nothing_is_uploaded(azure_registry, management):
    azure_registry.register(new("a", tags={"chain": "c1", "commit": "abc"}))
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


def test_a_flow_becomes_a_custom_model_of_the_same_shape(azure_registry, management):
    azure_registry.register(new("a", MODEL, "tickets", description="tickets, loud"))
    stored = management.models.containers["tickets"].versions["1"]["properties"]
    assert (stored["modelType"], stored["description"]) == ("custom_model", "tickets, loud")
    assert "/datastores/genaiops_bundles/paths/datasets/" in stored["modelUri"]


def test_a_datastore_of_that_name_for_another_account_is_not_written_through(azure_registry, management):
    from tests.servers.management.workspace import Datastore

    management.workspace.datastores.append(Datastore("genaiops_bundles", "someoneelse", "bundles"))
    with pytest.raises(BusinessFailure, match=r"someoneelse/bundles.*Storage__blobServiceUri"):
        azure_registry.register(new())


def test_a_content_is_found_among_many_versions_by_pages_and_not_one_by_one(azure_registry, management):
    azure_registry.register(new(content="000", name="tickets.many"))
    stored = management.data_assets.containers["tickets--many"]
    for number in range(2, 131):
        stored.versions[str(number)] = deepcopy(stored.versions["1"])
        body = stored.versions[str(number)]
        body["id"] = body["id"].replace("/versions/1", f"/versions/{number}")
        body["properties"]["properties"]["content_hash"] = f"{number:064d}"
        stored.used.add(str(number))
    management.forget_requests()
    assert azure_registry.find(DATA, "tickets.many", "000" * 64).version == "1"
    assert len(management.seen()) == 2
    assert versions(azure_registry, name="tickets.many") == [str(number) for number in range(1, 131)]
    assert azure_registry.get(DATA, "tickets.many").version == "130"
    assert azure_registry.register(new(content="131", name="tickets.many"))[0].version == "131"


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


def test_long_metrics_are_kept_whole_and_replaced_whole(azure_registry, management):
    long = json.dumps({f"dataset {n}": {"accuracy": n / 7} for n in range(200)})
    short = json.dumps({"dataset": 1})
    azure_registry.register(new(kind=MODEL, name="tickets", tags={"metrics": long, "chain": "c1"}))
    assert azure_registry.get(MODEL, "tickets").tags == {"metrics": long, "chain": "c1"}
    stored = management.models.tags("tickets", "1")
    assert stored["metrics__1"] + stored["metrics__2"] == long[:2000]
    assert azure_registry.tag(MODEL, "tickets", "1", {"metrics": short}).tags == {"metrics": short, "chain": "c1"}
    assert sorted(management.models.tags("tickets", "1")) == ["chain", "content_hash", "metrics"]


@given(
    st.dictionaries(
        st.from_regex("[a-z_]{1,8}", fullmatch=True).filter(lambda k: "__" not in k), st.text(max_size=2500), max_size=8
    )
)
def test_any_tags_come_back(tags):
    assert asset_tags.from_azure(asset_tags.to_azure(tags, "f" * 64)) == (tags, "f" * 64)


def test_tags_that_azure_ml_cannot_keep_are_refused_with_what_to_do(azure_registry):
    with pytest.raises(BusinessFailure, match=r"'metrics' with 60,000 characters.*Measure fewer"):
        azure_registry.register(new(tags={"metrics": "x" * 60_000}))
    with pytest.raises(BusinessFailure, match="'metrics__2' cannot be kept"):
        azure_registry.register(new(tags={"metrics__2": "x"}))
    assert azure_registry.list(DATA) == []


# What people do in the studio


def test_an_archived_version_is_in_no_list_and_never_the_latest_but_still_known(azure_registry, workspace):
    azure_registry.register(new("a"))
    second, _ = azure_registry.register(new("b"))
    workspace.client().data.archive("tickets--train", "2")
    assert versions(azure_registry) == ["1"]
    assert azure_registry.get(DATA, "tickets.train").version == "1"
    assert azure_registry.get(DATA, "tickets.train", "2") == second
    assert azure_registry.register(new("b")) == (second, False)
    assert azure_registry.register(new("c"))[0].version == "3"


def test_the_numbers_of_deleted_versions_are_never_asked_for_again(azure_registry, management):
    for content in "abcd":
        azure_registry.register(new(content))
    for number in ("2", "3", "4"):
        del management.data_assets.containers["tickets--train"].versions[number]
    assert azure_registry.register(new("e"))[0].version == "5"
    assert versions(azure_registry) == ["1", "5"]


def test_a_list_that_lags_behind_leads_to_no_second_version_and_overwrites_none(azure_registry, management):
    first, _ = azure_registry.register(new("a"))
    management.data_assets.unlisted.add(("tickets--train", "1"))
    assert azure_registry.register(new("a")) == (first, False)
    assert azure_registry.register(new("b"))[0].version == "2"
    management.data_assets.unlisted.clear()
    assert [asset.content_hash[0] for asset in azure_registry.list(DATA, "tickets.train")] == ["a", "b"]


def test_a_data_asset_that_somebody_registered_by_hand_can_be_used(azure_registry, workspace):
    from azure.ai.ml.entities import Data

    account = "https://genaiopsstorage.blob.core.windows.net"
    for name, version, path in [
        ("by-hand", "1", f"{account}/uploads/my%20rows.jsonl"),
        ("by-hand", "2", "azureml://datastores/workspaceblobstore/paths/rows.jsonl"),
        ("by-hand", "today", f"{account}/uploads/rows.jsonl"),
        ("elsewhere", "1", "https://someoneelse.blob.core.windows.net/data/rows.jsonl"),
    ]:
        workspace.client().data.create_or_update(Data(name=name, version=version, path=path, type="uri_file"))
    assert azure_registry.get(DATA, "by-hand", "1").blob == "uploads/my rows.jsonl"
    assert azure_registry.get(DATA, "by-hand").blob == "azureml-blobstore/rows.jsonl"
    assert [(a.name, a.version, a.content_hash) for a in azure_registry.list(DATA)] == [
        ("by-hand", "1", ""), ("by-hand", "2", ""), ("elsewhere", "1", ""),
    ]  # fmt: skip
    with pytest.raises(NotFound, match="whole numbers"):
        azure_registry.get(DATA, "by-hand", "today")
    with pytest.raises(BusinessFailure, match=r"not in the storage account.*assets register"):
        azure_registry.get(DATA, "elsewhere")


@pytest.mark.parametrize("container", ["secrets", "chains", "results", "azure-webjobs-secrets"])
def test_an_asset_of_the_workspace_opens_nothing_that_the_product_keeps_for_itself(
    azure_registry, workspace, container
):
    """Who may write assets in the workspace need not be allowed to read the product's storage account."""
    from azure.ai.ml.entities import Data

    path = f"https://genaiopsstorage.blob.core.windows.net/{container}/approval-key"
    for version, properties in (("1", {}), ("2", {"genaiops_blob": f"{container}/approval-key"})):
        asset = Data(name="mine", version=version, path=path, type="uri_file", properties=properties)
        workspace.client().data.create_or_update(asset)
        with pytest.raises(BusinessFailure, match=r"'mine', version .* keeps for itself: register a file of your own"):
            azure_registry.get(DATA, "mine", version)


def test_every_container_of_the_product_but_that_of_contents_is_closed_to_assets():
    root = Path(shared.__file__).parent
    written = re.compile(r'^(?:PARTS_)?CONTAINER(?:: Final)? = "([^"]+)"', re.MULTILINE)
    found = {name for path in root.rglob("*.py") for name in written.findall(path.read_text(encoding="utf-8"))}
    assert found - KEPT == {"bundles"}
    assert found >= KEPT
