"""The local registry: data assets and models as JSON documents in the container `registry` of a blob store.

All versions of a name lie in one document, `<kind>/<name>.json`, which is written only if nobody else wrote in between.
So two registrations at once cannot give a content two versions or a version two contents: one of them wins, the other
reads again and finds what the first one did. Over the in-memory blob store it is the in-memory registry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.errors import Conflict, Malformed, NotFound, Transient
from shared.names import checked_asset
from shared.ports import Asset, AssetKind, BlobStore, Clock, NewAsset, stages, with_stages

__all__ = ["LocalRegistry"]

CONTAINER: Final = "registry"
ATTEMPTS: Final = 50


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1)]
    content_hash: str
    blob: str
    description: str
    tags: Mapping[str, str]
    registered_at: AwareDatetime


class _Versions(BaseModel):
    """The document: all versions of one name, ascending without gaps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal[1] = 1
    kind: AssetKind
    name: str
    versions: tuple[_Record, ...] = ()

    def asset(self, record: _Record) -> Asset:
        """The record as the port's value."""
        return Asset(
            kind=self.kind,
            name=self.name,
            version=str(record.version),
            content_hash=record.content_hash,
            blob=record.blob,
            description=record.description,
            tags=dict(record.tags),
            registered_at=record.registered_at,
        )


class LocalRegistry:
    """Registry atop a BlobStore, for several processes at once."""

    def __init__(self, blobs: BlobStore, clock: Clock) -> None:
        self._blobs = blobs
        self._clock = clock

    def register(self, asset: NewAsset) -> tuple[Asset, bool]:
        """The version that holds this content, and whether it was created now.

        A content that is registered keeps its first description and tags; `tag` adds to them.

        Raises:
            InvalidName: the asset's name is not allowed.
            Malformed: there is no content hash.
            Transient: too many others registered under this name at once.
        """
        if not asset.content_hash:
            raise Malformed(f"The {asset.kind} asset {asset.name!r} has no content hash; a registration needs one.")

        def add(document: _Versions) -> tuple[_Versions, _Record]:
            for record in document.versions:
                if record.content_hash == asset.content_hash:
                    return document, record
            created = _Record(
                version=len(document.versions) + 1,
                content_hash=asset.content_hash,
                blob=asset.blob,
                description=asset.description,
                tags=dict(asset.tags),
                registered_at=self._clock.now(),
            )
            return document.model_copy(update={"versions": (*document.versions, created)}), created

        return self._change(asset.kind, asset.name, add)

    def find(self, kind: AssetKind, name: str, content_hash: str) -> Asset | None:
        """The version with this content, if any."""
        document, _ = self._load(kind, name)
        found = (record for record in document.versions if record.content_hash == content_hash)
        return next((document.asset(record) for record in found), None)

    def get(self, kind: AssetKind, name: str, version: str | None = None) -> Asset:
        """That version, or the latest. Raises NotFound."""
        document, _ = self._load(kind, name)
        return document.asset(_chosen(document, version))

    def list(self, kind: AssetKind, name: str | None = None) -> list[Asset]:
        """Versions of `name` (or of all names), by name, then ascending by version number."""
        if name is not None:
            document, _ = self._load(kind, name)
            return [document.asset(record) for record in document.versions]
        names = sorted(
            info.name.partition("/")[2].removesuffix(".json") for info in self._blobs.list(CONTAINER, f"{kind}/")
        )
        return [asset for each in names for asset in self.list(kind, each)]

    def tag(self, kind: AssetKind, name: str, version: str, tags: Mapping[str, str]) -> Asset:
        """Set tags on a version, keeping the others. Raises NotFound."""

        def mark(document: _Versions) -> tuple[_Versions, _Record]:
            former = _chosen(document, version)
            record = former.model_copy(update={"tags": {**former.tags, **tags}})
            versions = tuple(record if each.version == record.version else each for each in document.versions)
            return document.model_copy(update={"versions": versions}), record

        return self._change(kind, name, mark)[0]

    def promote(self, kind: AssetKind, name: str, version: str | None, stage: str) -> None:
        """Let exactly this version have the stage; None: no version. Raises NotFound."""

        def move(document: _Versions) -> tuple[_Versions, _Record]:
            chosen = None if version is None else _chosen(document, version)
            moved = []
            for record in document.versions:
                wanted = stages(record.tags) - {stage} | ({stage} if record == chosen else set())
                moved.append(record.model_copy(update={"tags": with_stages(record.tags, wanted)}))
            return document.model_copy(update={"versions": tuple(moved)}), chosen or _chosen(document, None)

        if version is not None or self._load(kind, name)[0].versions:
            self._change(kind, name, move)

    def _change(
        self, kind: AssetKind, name: str, change: Callable[[_Versions], tuple[_Versions, _Record]]
    ) -> tuple[Asset, bool]:
        """Apply a change to what is there now, again and again until nobody wrote in between."""
        for attempt in range(ATTEMPTS):
            document, etag = self._load(kind, name)
            changed, record = change(document)
            if changed == document:
                return document.asset(record), False
            content = changed.model_dump_json(indent=1).encode()
            try:
                self._blobs.write(CONTAINER, _blob(kind, name), content, if_match=etag, if_absent=etag is None)
            except Conflict:
                time.sleep(random.uniform(0, 0.002 * attempt))  # noqa: S311  # spreads the losers, keeps no secret
                continue
            return changed.asset(record), True
        raise Transient(f"The {kind} asset {name!r} was changed by others {ATTEMPTS} times in a row. Try again.")

    def _load(self, kind: AssetKind, name: str) -> tuple[_Versions, str | None]:
        try:
            content, etag = self._blobs.read_with_etag(CONTAINER, _blob(kind, name))
        except NotFound:
            return _Versions(kind=kind, name=name), None
        try:
            return _Versions.model_validate_json(content), etag
        except ValidationError as error:
            raise Malformed(
                f"The registry document {CONTAINER}/{_blob(kind, name)} cannot be read: {error}. "
                "It was written by another version or by hand: restore it, or move it away to register anew."
            ) from error


def _chosen(document: _Versions, version: str | None) -> _Record:
    if version is None and document.versions:
        return document.versions[-1]
    for record in document.versions:
        if str(record.version) == version:
            return record
    known = f"it has versions 1 to {len(document.versions)}" if document.versions else "nothing is registered under it"
    wanted = "" if version is None else f", version {version!r}"
    raise NotFound(f"There is no {document.kind} asset {document.name!r}{wanted}: {known}.")


def _blob(kind: AssetKind, name: str) -> str:
    return f"{kind}/{checked_asset(name, f'The {kind} asset')}.json"
