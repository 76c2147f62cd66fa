"""The Azure ML workspace: its clients, made when first needed and kept for the life of the process.

Nothing calls home: azure-ai-ml's telemetry is off (`enable_telemetry`), and its chatter is kept out of the logs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from shared.adapters.azure.errors import translated
from shared.azure_settings import AzureSettings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential

ROLE: Final = "AzureML Data Scientist"
REGISTRY_ROLE: Final = "AzureML Registry User"
CLOUDS: Final = {
    "management.azure.com": "AzureCloud",
    "management.chinacloudapi.cn": "AzureChinaCloud",
    "management.usgovcloudapi.net": "AzureUSGovernment",
}
"""Clouds that azure-ai-ml knows by name (`azure/ai/ml/_azure_environments.py`)."""
METADATA: Final = "ARM_CLOUD_METADATA_URL"
"""Where azure-ai-ml learns the addresses of any other cloud; the registries' one: REGISTRY_DISCOVERY_ENDPOINT_URL."""
_CHATTER: Final = {
    "azure.ai.ml": logging.ERROR,
    "azure.ai.ml._telemetry": logging.CRITICAL,  # for it every 404 is an error, also to who asks whether a thing exists
    "azure.core.pipeline.policies.http_logging_policy": logging.ERROR,
    "msrest.serialization": logging.ERROR,
}


class Workspace:
    """The workspace that the settings name. Safe for use by several threads.

    Args:
        azure: where the workspace is.
        credential: the process's one credential.
        retries: how often a request whose connection failed is sent again by the SDK. An answer such as 429 or 503 is
            never waited for here: the error family says when the command comes back, so that no function sleeps.
        timeout_s: seconds without an answer after which a request counts as failed.
    """

    def __init__(
        self, azure: AzureSettings, credential: TokenCredential, *, retries: int = 3, timeout_s: float = 30.0
    ) -> None:
        self.azure = azure
        self._credential = credential
        self._options = {
            "retry_total": retries,
            "retry_connect": retries,
            "retry_read": retries,
            "retry_status": 0,
            "retry_backoff_factor": 0.4,
            "connection_timeout": 10.0,
            "read_timeout": timeout_s,
        }
        self._lock = Lock()
        self._sharing = Lock()
        self._clients: dict[str, MLClient] = {}

    @property
    def credential(self) -> TokenCredential:
        """The process's one credential."""
        return self._credential

    @property
    def title(self) -> str:
        """The workspace, as errors name it."""
        return f"The Azure ML workspace {self.azure.workspace!r}"

    def errors(self) -> AbstractContextManager[None]:
        """Raise what the SDK raises as an error of the families."""
        return translated(self.title, role=ROLE)

    def client(self) -> MLClient:
        """The workspace's client."""
        return self._made("workspace", workspace_name=self.azure.workspace)

    def registry_client(self) -> MLClient:
        """The shared registry's client; only where the settings name a registry.

        Raises:
            NotFound, Transient, …: making it asks for the registry's address.
        """
        if self.azure.registry is None:
            raise ValueError("The settings name no registry.")
        return self._made("registry", registry_name=self.azure.registry)

    @contextmanager
    def sharing_client(self) -> Iterator[MLClient]:
        """A client for `share`, one user at a time.

        While it shares, the SDK points that client at the registry (`ModelOperations._set_registry_client`): a request
        of another thread through the same client would meanwhile go to the registry instead of the workspace.
        """
        with self._sharing:
            yield self._made("sharing", workspace_name=self.azure.workspace)

    def _made(self, key: str, **scope: str) -> MLClient:
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._make(scope)
            return self._clients[key]

    def _make(self, scope: dict[str, str]) -> MLClient:
        from azure.ai.ml import MLClient

        _quieten()
        options: dict[str, Any] = {**self._options, **self._cloud()}
        registry = scope.get("registry_name")  # whose address is asked for now
        title, role = (f"The Azure ML registry {registry!r}", REGISTRY_ROLE) if registry else (self.title, ROLE)
        with translated(title, role=role):
            made = MLClient(
                self._credential,
                self.azure.subscription_id,
                self.azure.resource_group,
                enable_telemetry=False,
                show_progress=False,
                **scope,
                **options,
            )
        _quieten()  # again: making a client sets the level of the telemetry's logger
        return made

    def _cloud(self) -> dict[str, str]:
        """The SDK's name of the cloud; one that it does not know is looked up at that cloud's Resource Manager."""
        url = self.azure.management_url
        known = CLOUDS.get(urlsplit(url).netloc.lower())
        if known is not None:
            return {"cloud": known}
        os.environ.setdefault(METADATA, f"{url}/metadata/endpoints?api-version=2022-09-01")
        return {}


def _quieten() -> None:
    """Let azure-ai-ml log errors only, and where this app logs: its import sets up a handler that writes to stderr."""
    own = logging.getLogger("azure.ai.ml")
    own.handlers.clear()
    own.propagate = True
    for name, level in _CHATTER.items():
        logging.getLogger(name).setLevel(level)
