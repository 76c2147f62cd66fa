"""Plays the managed identity endpoint of App Service and Functions, from which `ManagedIdentityCredential` gets tokens.

The protocol is the REST reference of
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference, version 2019-08-01: a GET
with the secret of IDENTITY_HEADER, answered with a token and the time at which it ends. A token is a well-formed JWT with
the claims that services read; nobody signed it, and the servers of the tests do not ask who did.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.plain_http import Handler, LoopbackServer

TENANT = "8a1f7d2e-35a4-4b8f-9f5e-2c0f6f5a7b11"
PRINCIPAL = "4f2f5a0c-6f0b-4a52-8d0e-0c9f0f3f1c22"
"""Object id of the system-assigned identity."""
APPLICATION = "c0d9a6de-7c43-4b16-9a76-8f5d1a2b3c33"
"""Its client id, where the request names no user-assigned identity."""


@dataclass(frozen=True)
class Answer:
    """What the endpoint answers."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class IdentityEndpoint(LoopbackServer):
    """`with IdentityEndpoint() as identity:` serves; `identity.environment` is what App Service sets."""

    def __init__(self) -> None:
        self.lifetime_s = 24 * 3600
        """Of the tokens issued from now on; a negative one issues tokens that have ended already."""
        self.issued: list[str] = []
        """Every token, for tests that look for secrets where none may be."""
        self.requests: Counter[tuple[str, str]] = Counter()
        """(resource, client id or '') → how often it was asked for, refusals included."""
        self._secret = secrets.token_hex(16)
        self._faults: list[Answer] = []
        self._lock = threading.Lock()
        super().__init__(self._handler())
        self.url += "/msi/token"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which the SDK finds the endpoint, in this process or in a child process."""
        return {"IDENTITY_ENDPOINT": self.url, "IDENTITY_HEADER": self._secret}

    @property
    def asked(self) -> int:
        """How many requests came in all."""
        return self.requests.total()

    def fail(self, status: int, times: int = 1, *, retry_after: float | None = None, message: str = "busy") -> None:
        """Answer the next `times` requests with this status."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        body = json.dumps({"statusCode": status, "message": message}).encode()
        with self._lock:
            self._faults += [Answer(status, headers, body)] * times

    def token(self, resource: str, client_id: str = APPLICATION, *, lifetime_s: float | None = None) -> str:
        """A token as the endpoint issues it, for servers and for requests that tests make by hand."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now,
            "nbf": now - 300,
            "exp": now + int(self.lifetime_s if lifetime_s is None else lifetime_s),
            "appid": client_id,
            "idtyp": "app",
            "oid": PRINCIPAL,
            "sub": PRINCIPAL,
            "tid": TENANT,
            "jti": secrets.token_hex(8),
            "ver": "1.0",
        }
        token = ".".join(_encoded(part) for part in ({"typ": "JWT", "alg": "RS256", "kid": "stand-in"}, claims))
        token += "." + base64.urlsafe_b64encode(b"signed by nobody").decode().rstrip("=")
        with self._lock:
            self.issued.append(token)
        return token

    def _answer(self, secret: str, query: Mapping[str, list[str]]) -> Answer:
        resource, client_id = (query.get(name, [""])[0] for name in ("resource", "client_id"))
        with self._lock:
            self.requests[resource, client_id] += 1
            if self._faults:
                return self._faults.pop(0)
        if not secrets.compare_digest(secret, self._secret) or query.get("api-version") != ["2019-08-01"]:
            return Answer(401, {}, b'{"statusCode": 401, "message": "the secret or the version is wrong"}')
        if not resource:
            return Answer(400, {}, b'{"statusCode": 400, "message": "no resource"}')
        answer = {
            "access_token": self.token(resource, client_id or APPLICATION),
            "client_id": client_id or APPLICATION,
            "expires_on": str(int(time.time() + self.lifetime_s)),
            "resource": resource,
            "token_type": "Bearer",
        }
        return Answer(200, {}, json.dumps(answer).encode())

    def _handler(self) -> type[Handler]:
        endpoint = self

        class Tokens(Handler):
            def do_GET(self) -> None:  # noqa: N802 - the standard library's name
                query = parse_qs(urlsplit(self.path).query)
                answer = endpoint._answer(self.headers.get("X-IDENTITY-HEADER", ""), query)
                self.answer(answer.status, answer.body, answer.headers)

        return Tokens


def _encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
