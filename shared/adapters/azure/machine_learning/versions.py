"""Versions of data assets and models in the workspace, read and written through azure-ai-ml, as the port's values.

A version is a `uri_file` data asset or a `custom_model` at the address of its blob; nothing is uploaded. What never
changes is in its properties, which Azure ML keeps as they were written first; lineage is in its tags. Versions whose
number is no whole number were registered by others: they are left out.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.machine_learning import asset_names, asset_tags
from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.storage import Storage, is_kept
from shared.errors import BusinessFailure, NotFound
from shared.names import checked_asset
from shared.ports import Asset, AssetKind, NewAsset

if TYPE_CHECKING:
    from azure.ai.ml.entities import Data, Model

BLOB: Final = "genaiops_blob"
REGISTERED_AT: Final = "genaiops_registered_at"
REGISTRATION: Final = "genaiops_registration"
"""Of this one registration: no other can pass for it at its number, even of the same content at the same time."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Version:
    """A version as the port knows it, with the SDK's entity, by which it is updated."""

    asset: Asset
    entity: Any


class Versions:
    """Reads and writes versions. Raises the families' errors."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._storage = Storage(workspace)

    def names(self, kind: AssetKind) -> list[str]:
        """Names of all assets that can be ours."""
        with self._workspace.errors():
            listed = [container.name for container in self._operations(kind).list()]
        return sorted(filter(None, map(asset_names.from_azure, listed)))

    def all(self, kind: AssetKind, name: str, *, archived: bool) -> Iterator[Version]:
        """Versions of a name with their tags, newest first, a page at a time; with or without archived ones."""
        from azure.ai.ml.constants import ListViewType

        view = ListViewType.ALL if archived else ListViewType.ACTIVE_ONLY
        try:
            with self._workspace.errors():
                for entity in self._operations(kind).list(_name(kind, name), list_view_type=view):
                    if _NUMBER.fullmatch(str(entity.version)):
                        yield self._version(kind, name, entity)
        except NotFound:
            return  # nothing was ever registered under this name

    def get(self, kind: AssetKind, name: str, version: str) -> Version:
        """One version, archived or not. Raises NotFound."""
        if not _NUMBER.fullmatch(version):
            raise NotFound(f"There is no {kind} asset {name!r}, version {version!r}: versions are whole numbers.")
        try:
            with self._workspace.errors():
                return self._version(kind, name, self._operations(kind).get(_name(kind, name), version))
        except NotFound as error:
            raise NotFound(
                f"There is no {kind} asset {name!r}, version {version!r}, in {self._workspace.azure.workspace!r}. "
                "`python -m genaiops assets list` shows what there is."
            ) from error

    def create(self, asset: NewAsset, number: int, now: datetime) -> Version:
        """Write this version. Raises as the SDK does, translated; another content there is refused by Azure ML."""
        from azure.ai.ml.entities import Data, Model

        written: dict[str, Any] = {
            "name": _name(asset.kind, asset.name),
            "version": str(number),
            "path": self._storage.uri(asset.blob),
            "description": asset.description,
            "tags": asset_tags.to_azure(asset.tags, asset.content_hash),
            "properties": {
                BLOB: asset.blob,
                asset_tags.HASH: asset.content_hash,
                REGISTERED_AT: now.astimezone(UTC).isoformat(),
                REGISTRATION: uuid.uuid4().hex,
            },
        }
        match asset.kind:
            case AssetKind.DATA:
                entity: Data | Model = Data(type="uri_file", **written)
            case AssetKind.MODEL:
                entity = Model(type="custom_model", **written)
        return self._put(asset.kind, asset.name, entity)

    def retag(self, version: Version, tags: dict[str, str]) -> Version:
        """Replace the tags; an archived version comes back by that. Its content keeps its hash."""
        asset = version.asset
        version.entity.tags = asset_tags.to_azure(tags, asset.content_hash)
        # The full address that Azure ML gave is the one that it compares with.
        return self._put(asset.kind, asset.name, version.entity)

    def readable(self, version: Version) -> Asset:
        """The asset with the blob that holds its content, also where somebody else registered it.

        Raises:
            BusinessFailure: the content lies in no container of the product's storage account, or in one in which the
                product keeps what is its own.
        """
        asset = version.asset
        blob = asset.blob or self._storage.blob(str(version.entity.path))
        if blob is None:
            raise BusinessFailure(
                f"The content of the {asset.kind} asset {asset.name!r}, version {asset.version}, is not in the storage "
                "account of this installation: download it, and register it by `python -m genaiops assets register`."
            )
        if is_kept(blob):
            raise BusinessFailure(
                f"The {asset.kind} asset {asset.name!r}, version {asset.version}, names {blob[:200]!r} as its content, "
                "which this product keeps for itself: register a file of your own."
            )
        return replace(asset, blob=blob)

    def _put(self, kind: AssetKind, name: str, entity: Data | Model) -> Version:
        with self._workspace.errors():
            return self._version(kind, name, self._operations(kind).create_or_update(entity))

    def _operations(self, kind: AssetKind) -> Any:
        client = self._workspace.client()
        match kind:
            case AssetKind.DATA:
                return client.data
            case AssetKind.MODEL:
                return client.models

    def _version(self, kind: AssetKind, name: str, entity: Any) -> Version:
        tags, content_hash = asset_tags.from_azure(entity.tags or {})
        properties = entity.properties or {}
        created = entity.creation_context.created_at if entity.creation_context else None
        written = properties.get(REGISTERED_AT)
        registered_at = datetime.fromisoformat(written) if written else created
        return Version(
            Asset(
                kind=kind,
                name=name,
                version=str(entity.version),
                content_hash=properties.get(asset_tags.HASH, content_hash),
                blob=properties.get(BLOB, ""),
                description=entity.description or "",
                tags=tags,
                registered_at=registered_at or datetime.min.replace(tzinfo=UTC),
            ),
            entity,
        )


def _name(kind: AssetKind, name: str) -> str:
    return asset_names.to_azure(checked_asset(name, f"The {kind} asset"))
