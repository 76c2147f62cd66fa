"""Copying a promoted version into the shared Azure ML registry, under the same name and number, once.

Azure ML copies deeply, so that other workspaces and regions can use it without this one:
https://learn.microsoft.com/azure/machine-learning/how-to-share-models-pipelines-across-workspaces-with-registries.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from shared.adapters.azure.errors import translated
from shared.adapters.azure.machine_learning import asset_names
from shared.adapters.azure.machine_learning.client import Workspace
from shared.errors import BusinessFailure, Conflict, NotFound
from shared.ports import AssetKind

ROLE: Final = "AzureML Registry User"


class Sharing:
    """The shared registry that the settings name, if any."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def share(self, kind: AssetKind, name: str, version: str) -> None:
        """See to it that the registry has this version; waits for the copy, which takes seconds to a minute.

        Raises:
            BusinessFailure: the app may not write to the registry, or the copy failed.
        """
        registry = self._workspace.azure.registry
        if registry is None or self._is_there(kind, name, version):
            return
        encoded = asset_names.to_azure(name)
        with self._workspace.sharing_client() as client, suppress(Conflict):
            try:
                with translated(f"The Azure ML registry {registry!r}", role=ROLE):
                    self._operations(kind, client).share(
                        encoded,
                        version,
                        share_with_name=encoded,
                        share_with_version=version,
                        registry_name=registry,
                    )
            except (BusinessFailure, Conflict):
                # Another process shared it meanwhile: the SDK says so by an error of its own.
                if not self._is_there(kind, name, version):
                    raise

    def _is_there(self, kind: AssetKind, name: str, version: str) -> bool:
        client = self._workspace.registry_client()
        try:
            with translated(f"The Azure ML registry {self._workspace.azure.registry!r}", role=ROLE):
                self._operations(kind, client).get(asset_names.to_azure(name), version)
        except NotFound:
            return False
        return True

    def _operations(self, kind: AssetKind, client: Any) -> Any:
        match kind:
            case AssetKind.DATA:
                return client.data
            case AssetKind.MODEL:
                return client.models
