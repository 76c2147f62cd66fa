"""The port Registry over Azure ML's data assets and models: the workspace is the truth, the studio shows it to people.

Why two registrations at once never give a content two versions, nor two contents one: every writer of a name takes its
turn (`turns.py`), lists what there is, and takes the next number. Should another installation that shares the
workspace write at that moment, Azure ML refuses the second content at a number, since its address and its properties
cannot change; the loser lists again. A lost answer is found by the content's hash when the command comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.sharing import Sharing
from shared.adapters.azure.machine_learning.turns import Turn, Turns
from shared.adapters.azure.machine_learning.versions import Version, Versions
from shared.errors import BusinessFailure, Conflict, Malformed, NotFound, Transient
from shared.names import checked_asset
from shared.ports import Asset, AssetKind, BlobStore, Clock, NewAsset, stages, with_stages

__all__ = ["AzureRegistry"]

ATTEMPTS: Final = 25
"""Numbers that are tried before a registration comes back later: each one was taken meanwhile, or had been deleted."""


class AzureRegistry:
    """Registry in an Azure ML workspace, for several processes at once.

    Args:
        workspace: the Azure ML workspace.
        blobs: where writers take their turns.
        clock: the time of registrations and turns.
        patience_s: seconds to wait for others who change the same asset.
        sharing_s: seconds to wait for a copy into the shared registry before it is looked at again.
    """

    def __init__(
        self,
        workspace: Workspace,
        blobs: BlobStore,
        clock: Clock,
        *,
        patience_s: float = 60.0,
        sharing_s: float = 5.0,
    ) -> None:
        self._versions = Versions(workspace)
        self._sharing = Sharing(workspace, patience_s=sharing_s)
        self._turns = Turns(blobs, clock, patience_s=patience_s)
        self._clock = clock

    def register(self, asset: NewAsset) -> tuple[Asset, bool]:
        """The version that holds this content, and whether it was created now.

        A content that is registered keeps its first description and tags; `tag` adds to them. A content whose version
        was archived is known, too.

        Raises:
            InvalidName: the asset's name is not allowed.
            Malformed: there is no content hash.
            Transient: too many others registered under this name at once.
        """
        checked_asset(asset.name, f"The {asset.kind} asset")
        if not asset.content_hash:
            raise Malformed(f"The {asset.kind} asset {asset.name!r} has no content hash; a registration needs one.")
        known = self.find(asset.kind, asset.name, asset.content_hash)
        if known is not None:
            return known, False
        with self._turns.turn(_key(asset.kind, asset.name)) as turn:
            return self._register(asset, turn)

    def _register(self, asset: NewAsset, turn: Turn) -> tuple[Asset, bool]:
        refused = taken = 0
        deleted = False
        for _ in range(ATTEMPTS):
            there = [version.asset for version in self._versions.all(asset.kind, asset.name, archived=True)]
            for each in there:
                if each.content_hash == asset.content_hash:
                    return each, False
            number = max([taken, *(int(each.version) for each in there)]) + 1
            found = self._at(asset, number)  # a list may lag behind what was just written, a version itself does not
            if found is None:
                turn.check()
                try:
                    return self._versions.create(asset, number, self._clock.now()).asset, True
                except (BusinessFailure, Conflict) as error:
                    found = self._at(asset, number)  # did somebody take the number meanwhile?
                    if found is None and isinstance(error, BusinessFailure):
                        raise
            if found is not None and found.content_hash == asset.content_hash:
                return found, False
            # Refused twice though nothing is there: the number of a version that was deleted is never given again.
            deleted = deleted or (found is None and refused == number)
            if found is not None or deleted:
                taken = number
            refused = number
        raise Transient(f"Others keep registering {asset.kind} assets under {asset.name!r}. Try again.")

    def _at(self, asset: NewAsset, number: int) -> Asset | None:
        try:
            return self._versions.get(asset.kind, asset.name, str(number)).asset
        except NotFound:
            return None

    def find(self, kind: AssetKind, name: str, content_hash: str) -> Asset | None:
        """The version with this content, if any: archived ones are known, too."""
        checked_asset(name, f"The {kind} asset")
        for version in self._versions.all(kind, name, archived=True):
            if version.asset.content_hash == content_hash:
                return version.asset
        return None

    def get(self, kind: AssetKind, name: str, version: str | None = None) -> Asset:
        """That version, or the latest that is not archived. Raises NotFound."""
        checked_asset(name, f"The {kind} asset")
        if version is not None:
            return self._versions.readable(self._versions.get(kind, name, version))
        latest = max(self._versions.all(kind, name, archived=False), key=_number, default=None)
        if latest is None:
            raise NotFound(f"There is no {kind} asset {name!r}: nothing is registered under it.")
        return self._versions.readable(latest)

    def list(self, kind: AssetKind, name: str | None = None) -> list[Asset]:
        """Versions of `name` (or of all names) that are not archived, by name, then ascending by version number."""
        names = self._versions.names(kind) if name is None else [checked_asset(name, f"The {kind} asset")]
        return [
            version.asset
            for each in names
            for version in sorted(self._versions.all(kind, each, archived=False), key=_number)
        ]

    def tag(self, kind: AssetKind, name: str, version: str, tags: Mapping[str, str]) -> Asset:
        """Set tags on a version, keeping the others. Raises NotFound."""
        checked_asset(name, f"The {kind} asset")
        with self._turns.turn(_key(kind, name)) as turn:
            former = self._versions.get(kind, name, version)
            wanted = {**former.asset.tags, **tags}
            if wanted == former.asset.tags:
                return former.asset
            turn.check()
            return self._versions.retag(former, wanted).asset

    def promote(self, kind: AssetKind, name: str, version: str | None, stage: str) -> None:
        """Let exactly this version have the stage; None: none. A shared registry gets the version.

        The version gets the stage before the others lose it: whoever is interrupted between leaves two, never none, and
        the move's repetition ends with one.

        Raises:
            NotFound: there is no such version.
            Throttled: it is being copied into the shared registry: ask again.
        """
        checked_asset(name, f"The {kind} asset")
        with self._turns.turn(_key(kind, name)) as turn:
            if version is not None:
                self._set_stage(self._versions.get(kind, name, version), stage, turn, has=True)
            for each in list(self._versions.all(kind, name, archived=False)):  # writing to an archived one restores it
                if each.asset.version != version:
                    self._set_stage(each, stage, turn, has=False)
        if version is not None:
            self._sharing.share(kind, name, version)

    def _set_stage(self, version: Version, stage: str, turn: Turn, *, has: bool) -> None:
        now = stages(version.asset.tags)
        wanted = now | {stage} if has else now - {stage}
        if wanted != now:
            turn.check()
            self._versions.retag(version, with_stages(version.asset.tags, wanted))


def _number(version: Version) -> int:
    return int(version.asset.version)


def _key(kind: AssetKind, name: str) -> str:
    return f"{kind}/{name}"
