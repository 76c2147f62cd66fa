"""What the clients of Azure ML do to the process: nothing is imported before it is needed, and nothing calls home."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from shared.adapters.azure.machine_learning import AzureRegistry, Workspace
from shared.ports import AssetKind, NewAsset
from tests.contract.azure_workspace import azure_settings

ROOT = Path(__file__).parents[2]


def run(program: str, **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_neither_the_adapter_nor_its_making_imports_an_sdk():
    program = """
import sys
import shared.adapters.azure.machine_learning as ml
from shared.azure_settings import AzureSettings
workspace = ml.Workspace(AzureSettings("b", "https://a.blob.core.windows.net", "s", "g", "w"), None)
ml.AzureRegistry(workspace, None, None)
print([name for name in sys.modules if name.startswith(("azure", "promptflow", "msrest", "requests"))])
"""
    assert run(program) == "[]"


def test_nothing_calls_home(management, identity):
    """Every connection of a process that registers a flow goes to the two servers of this test."""
    program = """
import sys
asked = set()
def hook(event, arguments):
    if event == "socket.connect":
        asked.add(arguments[1][0] if isinstance(arguments[1], tuple) else arguments[1])
    elif event == "socket.getaddrinfo":
        asked.add(arguments[0])
sys.addaudithook(hook)
import os
from azure.identity import ManagedIdentityCredential
from shared.adapters.azure.machine_learning import AzureRegistry, Workspace
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.azure_settings import AzureSettings
from shared.ports import AssetKind, NewAsset
from tests.servers.management.registries import NAME
from tests.servers.management.workspace import GROUP, SUBSCRIPTION_ID, WORKSPACE
settings = AzureSettings("b", "https://a.blob.core.windows.net", SUBSCRIPTION_ID, GROUP, WORKSPACE, registry=NAME,
                         management_url=os.environ["MANAGEMENT"])
registry = AzureRegistry(Workspace(settings, ManagedIdentityCredential()), MemoryBlobStore(), ManualClock())
registry.register(NewAsset(AssetKind.MODEL, "tickets", "a" * 64, "bundles/a.zip"))
registry.promote(AssetKind.MODEL, "tickets", "1", "prod")
print(sorted(asked))
"""
    assert run(program, MANAGEMENT=management.url) == "['127.0.0.1']"
    assert list(management.registries.models.containers) == ["tickets"]


def test_nothing_is_chatted_about(management, workspace, identity, turn_blobs, clock, capfd, caplog):
    fresh = Workspace(azure_settings(management), workspace.client()._credential)
    AzureRegistry(fresh, turn_blobs, clock).register(NewAsset(AssetKind.DATA, "tickets", "a" * 64, "bundles/a"))
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
    home = "azure.ai.ml._telemetry"
    assert not logging.getLogger(home).propagate
    assert [record.getMessage() for record in caplog.records if not record.name.startswith(home)] == []


def test_the_clouds_that_the_sdk_knows_are_told_by_their_resource_manager():
    program = """
import os
for name in ("AZUREML_DEV_URL_MFE", "ARM_CLOUD_METADATA_URL", "AZUREML_CURRENT_CLOUD"):
    os.environ.pop(name, None)
from shared.adapters.azure.machine_learning import Workspace
from shared.azure_settings import AzureSettings
for host in ("management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"):
    url = "https://" + host
    settings = AzureSettings("b", "https://a.blob.core.windows.net", "s", "g", "w", management_url=url)
    client = Workspace(settings, object()).client()
    assert client._base_url == url
    print(client._cloud)
"""
    assert run(program).split() == ["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"]


def test_any_other_cloud_is_asked_for_its_addresses(management, identity):
    program = """
import os
for name in ("AZUREML_DEV_URL_MFE", "ARM_CLOUD_METADATA_URL", "AZUREML_CURRENT_CLOUD"):
    os.environ.pop(name, None)
from azure.identity import ManagedIdentityCredential
from shared.adapters.azure.machine_learning import Workspace
from shared.azure_settings import AzureSettings
from tests.servers.management.workspace import GROUP, SUBSCRIPTION_ID, WORKSPACE
settings = AzureSettings("b", "https://a.blob.core.windows.net", SUBSCRIPTION_ID, GROUP, WORKSPACE,
                         management_url=os.environ["MANAGEMENT"])
print(Workspace(settings, ManagedIdentityCredential()).client().workspaces.get(WORKSPACE).name)
"""
    assert run(program, MANAGEMENT=management.url) == "genaiops-ml"
    assert identity.requests[management.url, ""] > 0, "tokens are for that cloud's Resource Manager"
