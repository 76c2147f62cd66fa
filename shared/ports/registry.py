"""Registry: versioned data assets and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class AssetKind(StrEnum):
    """What the registry holds."""

    DATA = "data"
    MODEL = "model"


@dataclass(frozen=True)
class Asset:
    """One registered version. Lineage (chain, commit, bundle, dataset, metrics as JSON text) is in `tags`."""

    kind: AssetKind
    name: str
    version: str
    content_hash: str
    """SHA-256 of the content: the same content is never registered twice under a name."""
    blob: str
    """`<container>/<name>` of the content: the dataset's file, or the zipped flow."""
    description: str
    tags: Mapping[str, str]
    registered_at: datetime


@dataclass(frozen=True)
class NewAsset:
    """What `register` is asked for."""

    kind: AssetKind
    name: str
    content_hash: str
    blob: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """Versioned data assets and models."""

    def register(self, asset: NewAsset) -> tuple[Asset, bool]:
        """The version that holds this content, and whether it was created now. Safe against races: never two."""
        ...

    def find(self, kind: AssetKind, name: str, content_hash: str) -> Asset | None:
        """The version with this content, if any."""
        ...

    def get(self, kind: AssetKind, name: str, version: str | None = None) -> Asset:
        """That version, or the latest. Raises NotFound."""
        ...

    def list(self, kind: AssetKind, name: str | None = None) -> list[Asset]:
        """Versions of `name` (or of all names), by name, then ascending by version number."""
        ...

    def tag(self, kind: AssetKind, name: str, version: str, tags: Mapping[str, str]) -> Asset:
        """Set tags on a version, keeping the others. Raises NotFound."""
        ...
