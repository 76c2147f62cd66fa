"""Requests to Azure Resource Manager for which no SDK is at hand: autoscale settings, metrics, the end of an operation.

One pipeline for the life of the process, with the app's identity. A request whose connection failed is sent again; an
answer such as 429 or 503 is not waited for: its error family says when the command comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.adapters.azure.errors import translated
from shared.azure_settings import AzureSettings
from shared.errors import BusinessFailure

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.credentials import TokenCredential


def client_options(settings: AzureSettings, retries: int) -> dict[str, Any]:
    """Options of an SDK's client of Resource Manager, beside its credential and its subscription."""
    return {
        "base_url": settings.management_url,
        "credential_scopes": [f"{settings.management_url}/.default"],
        "retry_total": retries,
        # An answer such as 429 or 503 is not waited for: its error family says when the command comes back.
        "retry_status": 0,
        "retry_backoff_factor": 0.4,
        "connection_timeout": 10,
        "read_timeout": 60,
    }


class ResourceManager:
    """Azure Resource Manager at `url`, without a slash at its end. Safe for use by several threads."""

    def __init__(self, url: str, credential: TokenCredential, *, retries: int = 3, timeout_s: float = 30.0) -> None:
        self.url = url
        self._credential = credential
        self._retries = retries
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._client: PipelineClient[Any, Any] | None = None

    def request(
        self,
        method: str,
        path: str,
        api_version: str,
        *,
        role: str,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """The JSON of the answer, or None where it is empty.

        Args:
            method: of the request.
            path: the resource's id, or an address of this Resource Manager that it has given itself.
            api_version: of the resource's provider; not for an address that has one.
            role: the role that the app's identity needs for it.
            parameters: of the query.
            body: JSON.

        Raises:
            NotFound, Conflict, Throttled, Transient, BusinessFailure: see `errors.py`. BusinessFailure also for an
                address elsewhere: the app's token goes nowhere else, whoever names it.
        """
        from azure.core.rest import HttpRequest

        is_address = path.startswith("https://")
        url = path if is_address else f"{self.url}{path}"
        if urlsplit(url).netloc.lower() != urlsplit(self.url).netloc.lower() or "/../" in url:
            raise BusinessFailure(
                f"{urlsplit(url).netloc} is not asked: it is not Azure Resource Manager ({self.url})."
            )
        query = dict(parameters or {})
        if "api-version=" not in urlsplit(url).query:
            query["api-version"] = api_version
        request = HttpRequest(method, url, params=query, json=body)
        with translated(f"{method} {urlsplit(url).path}", role=role):
            response = self._made().send_request(request)
            response.raise_for_status()
            return response.json() if response.content else None

    def _made(self) -> PipelineClient[Any, Any]:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy, UserAgentPolicy

        with self._lock:
            if self._client is None:
                retry = RetryPolicy(
                    retry_total=self._retries,
                    retry_connect=self._retries,
                    retry_read=self._retries,
                    retry_status=0,
                    retry_backoff_factor=0.4,
                )
                bearer = BearerTokenCredentialPolicy(self._credential, f"{self.url}/.default")
                self._client = PipelineClient(
                    self.url,
                    policies=[UserAgentPolicy("genaiops"), retry, bearer],
                    connection_timeout=10.0,  # the transport's, not the retry policy's
                    read_timeout=self._timeout_s,
                )
            return self._client
