"""Endpoints on App Service over the management stand-in, whose containers are Python functions told by their image."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.identity import ManagedIdentityCredential

from shared.adapters.azure.arm import ResourceManager
from shared.adapters.azure.endpoints.composite import AzureEndpoints
from shared.adapters.azure.endpoints.container_registry import RegistryImages
from shared.adapters.azure.endpoints.records import EndpointRecords
from shared.adapters.azure.endpoints.web_app import WebAppTarget
from shared.adapters.azure.endpoints.web_app_options import KIND
from shared.adapters.azure.endpoints.web_app_site import Sites
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.ports import DeploymentSpec, Endpoints
from shared.use_case.model import DeploymentTarget
from tests.contract.azure_endpoints import BROKEN, WithTarget, echo
from tests.contract.azure_workspace import azure_settings
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.management.container_registry import LOGIN_SERVER
from tests.servers.management.running import CannotStart, Function, Running, Start
from tests.servers.management.web_apps import IDENTITY, PLAN

FLOWS = Path(__file__).parent / "flows"
VAULT = "genaiops-vault"
OPTIONS = {"ENV_NAME": "dev", "APP_PLAN_NAME": PLAN, "USER_MANAGED_ID": IDENTITY, "WEB_APP_SKU": "P0v3"}


@dataclass
class WebAppWorld:
    """The endpoints, and what they lean on; `clock` is the target's time."""

    management: Management
    blobs: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    clock: list[float] = field(default_factory=lambda: [1_000_000.0])
    loading: int = 1
    """How often a container is looked at until it has loaded its flow."""
    endpoints: AzureEndpoints = field(init=False)

    def __post_init__(self) -> None:
        self.endpoints = self.opened()

    def opened(self, **settings: Any) -> AzureEndpoints:
        """The endpoints as one more process sees them."""
        azure = azure_settings(self.management, container_registry=LOGIN_SERVER, key_vault=VAULT)
        azure = azure_settings(self.management, **{**vars(azure), **settings})
        credential = ManagedIdentityCredential()
        sites = Sites(azure, credential, ResourceManager(azure.management_url, credential))
        target = WebAppTarget(azure, sites, RegistryImages(azure, credential), now=lambda: self.clock[0])
        return AzureEndpoints(EndpointRecords(self.blobs), {KIND: target}, default=KIND)

    def targeted(self) -> Endpoints:
        """The endpoints, for deployments that name no target."""
        return WithTarget(self.endpoints, DeploymentTarget(KIND, OPTIONS))

    def spec(self, endpoint: str, deployment: str, flow: str = "echo", **more: Any) -> DeploymentSpec:
        options = {**OPTIONS, **more.pop("options", {})}
        return DeploymentSpec(
            endpoint, deployment, FLOWS / flow, f"digest-of-{flow}", "3", target=DeploymentTarget(KIND, options), **more
        )

    def container(self, start: Start) -> Running:
        """A function in place of the image's program."""
        with tarfile.open(fileobj=io.BytesIO(self.management.container_registry.images[start.image])) as context:
            file = context.extractfile("app/served.json")
            assert file is not None
            served = json.load(file)
            code = [
                context.extractfile(name)
                for name in context.getnames()
                if "/use-case/" in name and name.endswith(".py")
            ]
            if any(b"a_package_that_is_not_installed" in each.read() for each in code if each is not None):
                raise CannotStart(BROKEN)
        return Function(lambda payload: echo(payload, served["variants"], served["parameters"]), looks=self.loading)


@contextmanager
def web_app_world(
    management: Management, identity: IdentityEndpoint, *, looks: int = 0, loading: int = 1
) -> Iterator[WebAppWorld]:
    """A world with nothing in it but a plan, an identity and a registry."""
    del identity  # its variables are set: the credential finds it
    management.reset()
    world = WebAppWorld(management, loading=loading)
    management.operations.looks = looks
    management.container_registry.looks = looks
    management.web_apps.serve = world.container
    yield world
