"""Requests to Azure DevOps: to allowed addresses only, no redirect followed, bounded in size and time.

Where a connection failed, what may be repeated is sent again at once; nothing else is waited for: its error family says
when the message comes back. What goes over the wire is neither logged nor repeated in errors.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from shared.adapters.azure.errors import translated
from shared.adapters.azure_devops.addresses import AllowList
from shared.adapters.azure_devops.answers import Caller, NoAnswer, understood
from shared.errors import BusinessFailure, Transient

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.credentials import TokenCredential
    from azure.core.rest import HttpResponse

SCOPE: Final = "499b84ac-1321-427f-aa17-267ca6975798/.default"
"""Azure DevOps as Entra ID knows it, everywhere the same application:
https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity.
"""
LARGEST_ANSWER: Final = 16 * 1024 * 1024
"""Bytes. The threads of a large pull request take some megabytes; what takes more is not read to its end."""


class Client:
    """Azure DevOps, asked as the app's identity or with a task's token. Safe for use by several threads."""

    def __init__(
        self, allowed: AllowList, credential: TokenCredential, *, retries: int = 2, timeout_s: float = 30.0
    ) -> None:
        self.allowed = allowed
        self._credential = credential
        self._retries = retries
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._made: dict[bool, PipelineClient[Any, Any]] = {}

    def request(
        self,
        method: str,
        collection: str,
        path: Sequence[str | int],
        api_version: str,
        caller: Caller,
        *,
        parameters: Mapping[str, str] | None = None,
        body: object = None,
        content: bytes | None = None,
    ) -> Any:
        """The JSON of the answer, or None where it is empty.

        Args:
            method: of the request.
            collection: the organisation's address, as a message has it: checked here.
            path: the segments below it, unescaped.
            api_version: of the resource.
            caller: as whom.
            parameters: of the query.
            body: JSON.
            content: bytes, in place of `body`.

        Raises:
            NotFound, Throttled, Transient, BusinessFailure: see the port; BusinessFailure also for an address that is
                not allowed, and then nothing was sent.
        """
        from azure.core.rest import HttpRequest

        url = "/".join([collection.rstrip("/"), *(quote(str(part), safe="") for part in path)])
        # Both: a slash too many at the collection's end, or a segment such as `..`, are a forger's.
        if why := self.allowed.refusal(collection) or self.allowed.refusal(url):
            raise BusinessFailure(why)
        headers = {"Accept": "application/json", "X-TFS-FedAuthRedirect": "Suppress"}
        if content is not None:
            headers["Content-Type"] = "application/octet-stream"
        if caller.token is not None:
            headers["Authorization"] = f"Bearer {caller.token}"
        query = {**(parameters or {}), "api-version": api_version}
        request = HttpRequest(method, url, params=query, json=body, content=content, headers=headers)
        what = f"{method} {url}"
        try:
            with translated(what, role=""):
                response = self._pipeline(is_app=caller.token is None).send_request(request, stream=True)
                received = self._received(response, what)
        except Transient as error:
            raise NoAnswer(str(error)) from error
        return understood(response.status_code, response.headers, received, what, caller)

    def _received(self, response: HttpResponse, what: str) -> bytes:
        """The whole answer, unless it is too large or takes too long."""
        deadline = time.monotonic() + 2 * self._timeout_s
        received = bytearray()
        try:
            for part in response.iter_bytes():
                received += part
                if len(received) > LARGEST_ANSWER:
                    raise BusinessFailure(f"{what} answers with more than {LARGEST_ANSWER >> 20} MB; it is not read.")
                if time.monotonic() > deadline:
                    raise Transient(f"{what} did not answer in time.")
        finally:
            response.close()
        return bytes(received)

    def _pipeline(self, *, is_app: bool) -> PipelineClient[Any, Any]:
        """With the app's tokens, or with none of its own."""
        from http.cookiejar import DefaultCookiePolicy

        import requests
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy, UserAgentPolicy
        from azure.core.pipeline.transport import RequestsTransport

        with self._lock:
            if is_app not in self._made:
                session = requests.Session()
                # Without this, requests puts what ~/.netrc holds for the host in place of our token: git keeps its
                # passwords for Azure Repos there.
                session.auth = _as_it_is
                # Tasks of all organisations share this session: a cookie that was set for one token would go along with
                # the next one.
                session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
                retry = RetryPolicy(
                    retry_total=self._retries,
                    retry_connect=self._retries,
                    retry_read=self._retries,
                    retry_status=0,
                    # A request whose answer was lost may have taken effect: these can be repeated all the same.
                    retry_on_methods=["GET", "PUT", "PATCH"],
                    retry_backoff_factor=0.2,
                )
                times = {"connection_timeout": min(10.0, self._timeout_s), "read_timeout": self._timeout_s}
                bearer = [BearerTokenCredentialPolicy(self._credential, SCOPE)] if is_app else []
                self._made[is_app] = PipelineClient(
                    "https://dev.azure.com",
                    policies=[UserAgentPolicy("genaiops"), retry, *bearer],
                    transport=RequestsTransport(session=session, **times),
                )
            return self._made[is_app]


def _as_it_is(request: Any) -> Any:
    return request
