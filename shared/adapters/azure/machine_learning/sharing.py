"""Copying a promoted version into the shared Azure ML registry, under the same name and number, once.

Azure ML copies deeply, so that other workspaces and regions can use it without this one:
https://learn.microsoft.com/azure/machine-learning/how-to-share-models-pipelines-across-workspaces-with-registries. That
takes a while, and the SDK's `share` waits for it: it waits in a thread of its own, and whoever asked comes back later.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final

from shared.adapters.azure.errors import translated
from shared.adapters.azure.machine_learning import asset_names
from shared.adapters.azure.machine_learning.client import REGISTRY_ROLE, Workspace
from shared.errors import BusinessFailure, Conflict, NotFound, Throttled
from shared.ports import AssetKind

PATIENCE_S: Final = 5.0
"""How long a call waits for the copy itself; most of them take longer."""
LOOK_S: Final = 20.0
"""When to look again after that."""


@dataclass
class _Copy:
    """A copy under way in this process."""

    thread: threading.Thread | None = None
    failure: list[Exception] = field(default_factory=list)


class Sharing:
    """The shared registry that the settings name, if any.

    Args:
        workspace: the workspace from which versions are shared.
        patience_s: seconds that `share` waits for a copy.
    """

    def __init__(self, workspace: Workspace, *, patience_s: float = PATIENCE_S) -> None:
        self._workspace = workspace
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._copies: dict[tuple[AssetKind, str, str], _Copy] = {}

    def share(self, kind: AssetKind, name: str, version: str) -> None:
        """See to it that the registry has this version.

        Raises:
            Throttled: it is being copied; look again. Should this process end meanwhile, the next look finds what the
                service has made of it, or begins again.
            BusinessFailure: the app may not write to the registry, or the copy failed.
        """
        if self._workspace.azure.registry is None or self._is_there(kind, name, version):
            return
        key = (kind, name, version)
        with self._lock:
            copy = self._copies.get(key)
            if copy is None:
                copy = self._copies[key] = _Copy()
                copy.thread = threading.Thread(target=self._copy, args=(copy, *key), name="share", daemon=True)
                copy.thread.start()
        assert copy.thread is not None
        copy.thread.join(self._patience_s)
        if copy.thread.is_alive():
            raise Throttled(f"{name} {version} is being copied into {self._title}.", LOOK_S)
        with self._lock:
            self._copies.pop(key, None)
        if copy.failure and not self._is_there(kind, name, version):
            if isinstance(copy.failure[0], Conflict):  # another process copies it
                raise Throttled(f"{name} {version} is being copied into {self._title}.", LOOK_S)
            raise copy.failure[0]

    def _copy(self, copy: _Copy, kind: AssetKind, name: str, version: str) -> None:
        encoded = asset_names.to_azure(name)
        try:
            with self._workspace.sharing_client() as client, translated(self._title, role=REGISTRY_ROLE):
                self._operations(kind, client).share(
                    encoded,
                    version,
                    share_with_name=encoded,
                    share_with_version=version,
                    registry_name=self._workspace.azure.registry,
                )
        except Exception as error:  # told by the next `share`, whose caller knows what becomes of it
            copy.failure.append(error)

    def _is_there(self, kind: AssetKind, name: str, version: str) -> bool:
        try:
            client = self._workspace.registry_client()
        except NotFound as error:
            raise BusinessFailure(f"{self._title} does not exist: correct GENAIOPS_ML_REGISTRY. ({error})") from error
        try:
            with translated(self._title, role=REGISTRY_ROLE):
                self._operations(kind, client).get(asset_names.to_azure(name), version)
        except NotFound:
            return False
        return True

    @property
    def _title(self) -> str:
        return f"The Azure ML registry {self._workspace.azure.registry!r}"

    def _operations(self, kind: AssetKind, client: Any) -> Any:
        match kind:
            case AssetKind.DATA:
                return client.data
            case AssetKind.MODEL:
                return client.models
