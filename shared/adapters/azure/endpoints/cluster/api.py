"""A cluster's API server, through the official client: objects as dictionaries, by server-side apply.

Each call is one request with a token of this app's identity. What the server refuses comes out as a family of
`shared/errors.py`: https://kubernetes.io/docs/reference/using-api/api-concepts/ and server-side-apply/.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from shared.adapters.azure.endpoints.cluster.options import ClusterOptions
from shared.adapters.azure.errors import explained, of_status
from shared.errors import BusinessFailure, GenAIOpsError, NotFound, Transient

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from kubernetes.client import ApiClient

MANAGER: Final = "genaiops"
"""Field manager: what this product applies is its own, and nobody else's fields are touched."""
TIMEOUT_S: Final = 30.0
ROLE: Final = "Azure Kubernetes Service RBAC Writer"
_PATHS: Final[Mapping[str, str]] = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Service": "/api/v1/namespaces/{namespace}/services",
}
_SHOWN: Final = 500
_MAY: Final = f"{ROLE} for the namespace (and what that does not cover: the Role in docs/how-to/serve-in-a-cluster.md)"


class ClusterApi:
    """The objects of one namespace."""

    def __init__(
        self, options: ClusterOptions, credential: TokenCredential, scope: str, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`scope`: of the tokens that the API server takes."""
        self._options = options
        self._credential = credential
        self._scope = scope
        self._timeout_s = timeout_s
        self._lock = threading.Lock()

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create or change the object so that it has these fields. Raises Conflict where it has another version."""
        path = f"{self._path(manifest['kind'])}/{manifest['metadata']['name']}"
        # Nobody else manages these fields; where a person did, the use case is what counts.
        query = {"fieldManager": MANAGER, "force": "true"}
        return self._request("PATCH", path, query, manifest, content_type="application/apply-patch+yaml")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Raises NotFound."""
        return self._request("GET", f"{self._path(kind)}/{name}")

    def list(self, kind: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """The objects with these labels, by page."""
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items()), "limit": "500"}
        found: list[dict[str, Any]] = []
        while True:
            page = self._request("GET", self._path(kind), query)
            found += page.get("items", [])
            more = page.get("metadata", {}).get("continue")
            if not more:
                return found
            query = {**query, "continue": more}

    def delete(self, kind: str, name: str) -> bool:
        """Begin to delete the object and what belongs to it; False where there is none."""
        try:
            self._request("DELETE", f"{self._path(kind)}/{name}", {"propagationPolicy": "Background"})
        except NotFound:
            return False
        return True

    def _path(self, kind: str) -> str:
        return _PATHS[kind].format(namespace=self._options.namespace)

    @cached_property
    def _client(self) -> ApiClient:
        from kubernetes.client import ApiClient, Configuration

        configuration = Configuration()
        configuration.host = self._options.cluster_url
        configuration.retries = False  # a fault is told to the queue, which comes back later
        if self._options.cluster_ca is not None:
            configuration.ca_cert_data = self._options.cluster_ca
        else:
            configuration.ssl_ca_cert = _trusted()
        return ApiClient(configuration)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        from azure.core.exceptions import AzureError
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        what = f"the cluster {self._options.cluster_url}"
        try:
            token = self._credential.get_token(self._scope).token
        except AzureError as error:
            raise explained(error, what, ROLE) from error
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Content-Type": content_type}
        url = f"{self._options.cluster_url}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            with self._lock:
                client = self._client
            answer = client.call_api(method, url, headers, body, _request_timeout=self._timeout_s)
            content: bytes = answer.read()  # type: ignore[no-untyped-call]
        except HTTPError as error:
            raise Transient(f"{what} cannot be reached: {type(error).__name__}") from error
        except ApiException as error:  # what the client makes of a handshake that fails
            raise BusinessFailure(
                f"{what} has a certificate that is not trusted: correct CLUSTER_CA in configs/deployment_config.json."
            ) from error
        if answer.status >= 300:
            answered = answer.getheaders()  # type: ignore[no-untyped-call]
            raise _refused(answer.status, content, answered, what, f"{method} {path}")
        return json.loads(content or b"{}")  # type: ignore[no-any-return]


def _refused(status: int, content: bytes, headers: Any, what: str, request: str) -> GenAIOpsError:
    try:
        said = json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        said = content.decode("utf-8", "replace")
    text = f"{request}: {said}"[:_SHOWN]
    told = of_status(status, what, _MAY, text, headers or {})
    return told or BusinessFailure(f"{what} refused the request ({status}): {text}")


def _trusted() -> str | None:
    """Authorities that this machine trusts beside its own, as other clients here are told: a company's proxy, say."""
    import os

    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    return named if named and Path(named).is_file() else None
