"""How any process of the laptop talks to the router: to score, to see what the host sees, to announce a change."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from shared.adapters.local.endpoints.state import HEADER, ObservedEndpoint

_ADMIN_TIMEOUT_S: Final = 10.0
_Observed: Final = TypeAdapter(dict[str, ObservedEndpoint])


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP. `deployment` is empty where the router answered by itself."""

    status: int
    body: bytes
    deployment: str


class RouterClient:
    """Opens a connection for every call: a router that was restarted is found again."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def score(self, endpoint: str, body: bytes, deployment: str | None) -> Answer:
        """Raises OSError where no router answers."""
        headers = {"Content-Type": "application/json", **({HEADER: deployment} if deployment else {})}
        return self._request("POST", f"/{endpoint}/score", body, headers, self._timeout_s)

    def observed(self) -> Mapping[str, ObservedEndpoint] | None:
        """What the running host sees, by endpoint; None where none runs."""
        try:
            return _Observed.validate_json(self._request("GET", "/admin/endpoints", None, {}, _ADMIN_TIMEOUT_S).body)
        except (OSError, ValidationError):
            return None

    def refresh(self) -> None:
        """Have the running host read the documents again, before anybody relies on them."""
        with contextlib.suppress(OSError):  # no host: the next one reads them when it starts
            self._request("POST", "/admin/refresh", b"", {}, _ADMIN_TIMEOUT_S)

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=timeout_s)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers.get(HEADER, ""))
        except http.client.HTTPException as error:
            raise ConnectionError(f"{type(error).__name__} {error}") from error
        finally:
            connection.close()
