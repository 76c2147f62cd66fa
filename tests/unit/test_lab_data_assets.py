"""The lab finds the data assets of the installation beside it, and leaves that installation as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.lab.data_assets import LabRegistry
from shared import settings
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.registry import LocalRegistry
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.errors import NotFound
from shared.ports import AssetKind, NewAsset

CLOCK = SystemClock()


@pytest.fixture
def installation(tmp_path: Path) -> settings.Settings:
    """Has the data asset `faq` in two versions, and a model."""
    found = settings.read({"GENAIOPS_ROOT": str(tmp_path), "GENAIOPS_HOME": str(tmp_path / "home")})
    blobs = FileBlobStore(found.home / "blobs")
    registry = LocalRegistry(blobs, CLOCK)
    for content in ("first", "second"):
        blobs.write("bundles", f"data/{content}.jsonl", content.encode())
        registry.register(NewAsset(AssetKind.DATA, "faq", f"hash of {content}", f"bundles/data/{content}.jsonl"))
    registry.register(NewAsset(AssetKind.MODEL, "answers", "hash", "bundles/answers.zip"))
    return found


def test_a_data_asset_of_the_installation_is_found_and_its_content_lies_in_the_labs_store(
    installation: settings.Settings,
) -> None:
    blobs = MemoryBlobStore()
    registry = LabRegistry(blobs, CLOCK, installation)
    assert registry.get(AssetKind.DATA, "faq").version == "2"
    assert registry.get(AssetKind.DATA, "faq", "1").blob == "bundles/data/first.jsonl"
    assert blobs.read("bundles", "data/first.jsonl") == b"first"
    assert blobs.read("bundles", "data/second.jsonl") == b"second"
    assert [asset.version for asset in registry.list(AssetKind.DATA, "faq")] == ["1", "2"]


def test_a_version_that_is_registered_later_is_found_by_the_next_look(installation: settings.Settings) -> None:
    registry = LabRegistry(MemoryBlobStore(), CLOCK, installation)
    assert registry.get(AssetKind.DATA, "faq").version == "2"
    elsewhere = LocalRegistry(FileBlobStore(installation.home / "blobs"), CLOCK)
    elsewhere.register(NewAsset(AssetKind.DATA, "faq", "hash of third", "bundles/data/third.jsonl"))
    assert registry.get(AssetKind.DATA, "faq").version == "3"  # its content is gone: who reads it says so


def test_models_are_the_labs_own_so_that_nothing_is_compared_with_what_is_deployed(
    installation: settings.Settings,
) -> None:
    registry = LabRegistry(MemoryBlobStore(), CLOCK, installation)
    assert registry.list(AssetKind.MODEL) == []
    with pytest.raises(NotFound):
        registry.get(AssetKind.MODEL, "answers")


def test_where_there_is_no_installation_none_is_made(tmp_path: Path) -> None:
    home = tmp_path / "home"
    nowhere = settings.read({"GENAIOPS_ROOT": str(tmp_path), "GENAIOPS_HOME": str(home)})
    registry = LabRegistry(MemoryBlobStore(), CLOCK, nowhere)
    assert registry.list(AssetKind.DATA) == []
    with pytest.raises(NotFound):
        registry.get(AssetKind.DATA, "faq")
    assert not home.exists()
