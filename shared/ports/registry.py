"""Registry: versioned data assets and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

STAGE: Final = "stage"
"""The tag with the environments in which a version takes all the traffic, by name and comma-separated."""


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


def stages(tags: Mapping[str, str]) -> frozenset[str]:
    """The stages that a version with these tags has."""
    return frozenset(filter(None, tags.get(STAGE, "").split(",")))


def with_stages(tags: Mapping[str, str], chosen: Iterable[str]) -> dict[str, str]:
    """The tags with exactly these stages; without any, there is no such tag."""
    others = {key: value for key, value in tags.items() if key != STAGE}
    named = ",".join(sorted(chosen))
    return others | {STAGE: named} if named else others


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

    def promote(self, kind: AssetKind, name: str, version: str | None, stage: str) -> None:
        """Let exactly this version have the stage (an environment's name); None: let no version have it.

        A repeated or interrupted move ends right when it is repeated. A registry that shares what is promoted shares
        the version now, once.

        Raises:
            NotFound: there is no such version.
            Throttled: sharing it takes a while: ask again.
        """
        ...
