"""The azure profile's endpoints over the management stand-in, whose containers are Python functions."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from azure.identity import ManagedIdentityCredential

from shared.adapters.azure.endpoints import azure_endpoints
from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.ports import BlobStore, DeploymentInfo, DeploymentSpec, Endpoints
from shared.use_case.model import DeploymentTarget
from tests.contract.azure_workspace import azure_settings
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.management.running import CannotStart, Function, Running, Start
from tests.servers.proxy import Proxy

BROKEN = "No module named 'a_package_that_is_not_installed'"


def echo(payload: Mapping[str, Any], variants: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, object]:
    """What the flow `echo` of the contract tests answers."""
    if payload["text"] == "raise":
        raise ValueError("this text cannot be answered")
    loud = variants.get("style") == "loud"
    text = str(payload["text"]).upper() if loud else str(payload["text"])
    return {"answer": f"{parameters.get('answer.prefix', '')}{text}", "style": "loud" if loud else "plain"}


@dataclass(frozen=True)
class AzureWorld:
    """The endpoints, and what they lean on."""

    endpoints: Endpoints
    blobs: BlobStore
    management: Management


@contextmanager
def azure_endpoints_on(
    management: Management,
    identity: IdentityEndpoint,
    storage: Proxy,
    *,
    default: str | None = None,
    options: Mapping[str, object] | None = None,
    looks: int = 1,
    retries: int = 3,
    registry: str | None = None,
) -> Iterator[AzureWorld]:
    """Endpoints of a process that has just started, of a management API that has nothing in it yet."""
    del identity, storage  # their variables are set: credential and SDK find them
    management.reset()
    management.operations.looks = looks
    blobs = MemoryBlobStore()
    management.online_endpoints.serve = lambda start: container(management, start)
    endpoints = opened(management, blobs, default=default, options=options, retries=retries, registry=registry)
    yield AzureWorld(endpoints, blobs, management)
    management.online_endpoints.close()


def opened(
    management: Management,
    blobs: BlobStore,
    *,
    default: str | None = None,
    options: Mapping[str, object] | None = None,
    retries: int = 3,
    workspace: Workspace | None = None,
    registry: str | None = None,
) -> Endpoints:
    """The endpoints as one more process sees them."""
    settings = azure_settings(management, container_registry=registry)
    credential = ManagedIdentityCredential()
    workspace = workspace or Workspace(settings, credential, retries=retries)
    endpoints = azure_endpoints(settings, credential, workspace, blobs, ManualClock(), retries=retries)
    return WithTarget(endpoints, DeploymentTarget(default, options or {})) if default is not None else endpoints


class WithTarget:
    """Endpoints whose deployments go to one target where they name none."""

    def __init__(self, endpoints: Endpoints, target: DeploymentTarget) -> None:
        self._endpoints = endpoints
        self._target = target

    def deploy(self, spec: DeploymentSpec) -> DeploymentInfo:
        return self._endpoints.deploy(replace(spec, target=spec.target or self._target))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoints, name)


def container(management: Management, start: Start) -> Running:
    """A function in place of what the context builds; it is told by the manifest of the image what to answer."""
    files = _image(management, start) if start.image else _context(management, start)
    assert "Dockerfile" in files, f"{start} has no build context: {sorted(files)[:5]}"
    served = json.loads(files["app/served.json"])
    if any(b"a_package_that_is_not_installed" in files[name] for name in files if name.startswith("app/use-case/")):
        raise CannotStart(BROKEN)
    return Function(lambda payload: echo(payload, served["variants"], served["parameters"]))


def _context(management: Management, start: Start) -> dict[str, bytes]:
    """What Azure ML would build from: a folder of the workspace's blob store."""
    container, _, folder = urlsplit(start.context).path.lstrip("/").partition("/")
    blobs = management.storage.of(container)
    return {name.removeprefix(folder): blobs[name].content for name in blobs if name.startswith(folder)}


def _image(management: Management, start: Start) -> dict[str, bytes]:
    """What ACR tasks have built from: an archive."""
    packed = management.container_registry.images[start.image.partition("/")[2]]
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {name: content.read() for name, content in members if content is not None}
