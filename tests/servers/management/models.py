"""Models of the workspace: `Microsoft.MachineLearningServices/workspaces/models`, whose versions point to a model's files."""

from __future__ import annotations

from typing import Any

from tests.servers.management.server import ManagementServer, Refused, Request
from tests.servers.management.versioned_assets import VersionedAssets
from tests.servers.management.workspace import Workspaces


class Models(VersionedAssets):
    """The workspace's models, by name."""

    def __init__(self, server: ManagementServer, workspace: Workspaces) -> None:
        super().__init__(server, "models", "modelUri", workspace.check)
        self._workspace = workspace

    def store(self, request: Request, body: dict[str, Any], **more: Any) -> tuple[dict[str, Any], bool]:
        """As every asset; a model's files lie on a datastore of the workspace."""
        uri = body["properties"]["modelUri"]
        names = {datastore.name for datastore in self._workspace.datastores}
        if not any(f"/datastores/{name}/paths/" in uri for name in names):
            raise Refused(
                400, "UserError", f"{uri!r} lies on no datastore of the workspace: {', '.join(sorted(names))}."
            )
        body["properties"].setdefault("flavors", {})
        return super().store(request, body, **more)
