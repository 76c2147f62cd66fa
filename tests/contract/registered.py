"""What the suites of the Azure registry share: an asset to register, and what its versions are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.ports import AssetKind, NewAsset, Registry
from tests.servers.management import Management

DATA, MODEL = AssetKind.DATA, AssetKind.MODEL
NAME = "tickets.train"


def new(content: str = "a", kind: AssetKind = DATA, name: str = NAME, **more: Any) -> NewAsset:
    return NewAsset(kind=kind, name=name, content_hash=content * 64, blob=f"bundles/datasets/{content * 64}", **more)


def versions(registry: Registry, kind: AssetKind = DATA, name: str = NAME) -> list[str]:
    return [asset.version for asset in registry.list(kind, name)]


@pytest.fixture(autouse=True)
def nothing_unknown_was_asked(management: Management) -> Iterator[None]:
    """Of the stand-in: what it does not play, or what broke it, and everything with a token."""
    yield
    assert (management.unknown, management.broken) == ([], [])
    assert all(request.bearer for request in management.requests if not request.path.startswith("/metadata"))
