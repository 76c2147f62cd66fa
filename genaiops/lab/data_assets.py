"""The data assets of this machine's installation, as the lab sees them: it reads them, and never adds to them.

A chain of the lab keeps everything in a store of its own. A version that its use case names is copied there when it is
looked up, so that everything after reads it as in production; what a chain registers stays in the lab.
"""

from __future__ import annotations

from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.registry import LocalRegistry
from shared.errors import Conflict, NotFound
from shared.ports import Asset, AssetKind, BlobStore, Clock
from shared.settings import Settings


class LabRegistry(LocalRegistry):
    """The lab's registry, in which the data assets of the installation are found as well."""

    def __init__(self, blobs: BlobStore, clock: Clock, installation: Settings) -> None:
        """`installation`: whose home has the assets; there need be none, and none is made."""
        super().__init__(blobs, clock)
        self._own = blobs
        folder = installation.home / "blobs"
        there = installation.profile == "local" and folder.is_dir()
        self._installed = FileBlobStore(folder) if there else None
        self._elsewhere = LocalRegistry(self._installed, clock) if self._installed is not None else None

    def get(self, kind: AssetKind, name: str, version: str | None = None) -> Asset:
        """That version, or the latest; its content lies in the lab's store then. Raises NotFound."""
        if kind is not AssetKind.DATA or self._elsewhere is None:
            return super().get(kind, name, version)
        asset = self._elsewhere.get(kind, name, version)
        self._copy(asset)
        return asset

    def list(self, kind: AssetKind, name: str | None = None) -> list[Asset]:
        """Versions of `name` (or of all names), by name, then ascending by version number."""
        if kind is not AssetKind.DATA or self._elsewhere is None:
            return super().list(kind, name)
        return self._elsewhere.list(kind, name)

    def _copy(self, asset: Asset) -> None:
        assert self._installed is not None
        container, _, blob = asset.blob.partition("/")
        try:
            self._own.info(container, blob)
        except NotFound:
            try:
                with self._installed.open(container, blob) as content:
                    self._own.write(container, blob, content, if_absent=True)
            except (NotFound, Conflict):  # gone: who reads it says so; or another thread has copied it
                return
