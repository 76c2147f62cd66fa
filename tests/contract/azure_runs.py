"""What the tests of runs on Azure ML share: the runner over the stand-in, as a process of the azure profile has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.runs.runner import AzureFlowRunner
from shared.adapters.memory.blobs import MemoryBlobStore
from tests.contract.azure_workspace import azure_settings
from tests.servers.management import Management
from tests.servers.management.prompt_flow import PromptFlow
from tests.servers.proxy import Proxy


@dataclass
class CloudRuns:
    """A runner, and what it talks to."""

    runner: AzureFlowRunner
    blobs: MemoryBlobStore
    management: Management
    workspace: Workspace
    proxy: Proxy

    @property
    def service(self) -> PromptFlow:
        return self.management.prompt_flow

    def another_process(self) -> AzureFlowRunner:
        """A runner that knows no more than what was written down."""
        return AzureFlowRunner(self.workspace, self.blobs)


def cloud_runs(request: pytest.FixtureRequest, **changes: Any) -> CloudRuns:
    """For fixtures of any scope: the servers are the session's."""
    for fixture in ("authority", "identity"):
        request.getfixturevalue(fixture)
    management: Management = request.getfixturevalue("management_server")
    proxy: Proxy = request.getfixturevalue("workspace_storage")
    workspace = Workspace(azure_settings(management, **changes), ManagedIdentityCredential())
    blobs = MemoryBlobStore()
    return CloudRuns(AzureFlowRunner(workspace, blobs), blobs, management, workspace, proxy)


def azure_runner(request: pytest.FixtureRequest) -> AzureFlowRunner:
    """The runner alone."""
    return cloud_runs(request).runner
