"""Data assets of the workspace: `Microsoft.MachineLearningServices/workspaces/data`, whose versions point to a file or folder."""

from __future__ import annotations

from tests.servers.management.server import ManagementServer
from tests.servers.management.versioned_assets import VersionedAssets
from tests.servers.management.workspace import Workspaces


class DataAssets(VersionedAssets):
    """The workspace's data assets, by name."""

    def __init__(self, server: ManagementServer, workspace: Workspaces) -> None:
        super().__init__(server, "data", "dataUri", workspace.check)
