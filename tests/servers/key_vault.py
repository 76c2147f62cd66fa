"""Plays the keys of an Azure Key Vault: getting a key, wrapping and unwrapping under one of its versions, rotation.

The protocol is the REST reference of https://learn.microsoft.com/rest/api/keyvault/keys: a request without a token gets
the challenge that names the tenant and the resource, on which the SDK asks its credential for a token. Keys are real RSA
keys, and their private half never leaves the server. It has none of: other kinds of keys, backup, recovery, access by
person.

The SDK sends a token only to a host under `vault.azure.net`. So the tests reach the server by that name, through
`proxy.py`, with a certificate that bears it.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
import threading
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.identity import TENANT
from tests.servers.plain_http import Handler, LoopbackServer

VAULT = "genaiops.vault.azure.net"
KEY = "installation"
KEY_URL = f"https://{VAULT}/keys/{KEY}"
_RESOURCE = "https://vault.azure.net"
_PATH = re.compile(r"/keys/(?P<key>[A-Za-z0-9-]+)(/(?P<version>[0-9a-f]{32})?)?(/(?P<operation>wrapkey|unwrapkey))?")
_PADDING = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class KeyVault(LoopbackServer):
    """`with KeyVault(tls) as vault:` serves a vault with the key `installation`, in one version."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.versions: dict[str, rsa.RSAPrivateKey] = {}
        """Version → key, the newest last. Taking one out is what purging the key does."""
        self.disabled: set[str] = set()
        """Versions that a person has disabled: none of their operations is done any more."""
        self.requests: list[str] = []
        """`<method> <operation or get> <status>` of each request that came with a token."""
        self.forbidden = False
        """Whether the caller has no role on the key."""
        self._faults: list[tuple[int, Mapping[str, str]]] = []
        self._lock = threading.Lock()
        super().__init__(self._handler(), tls)
        self.port = self._server.server_port
        self.rotate()

    def rotate(self) -> str:
        """Make a new version, which is the current one from now on."""
        version = secrets.token_hex(16)
        self.versions[version] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return version

    def fail(self, status: int, times: int = 1, **headers: str) -> None:
        """Answer the next `times` requests with this status."""
        self._faults += [(status, {name.replace("_", "-"): value for name, value in headers.items()})] * times

    def unwraps(self) -> int:
        """How often a key was unwrapped."""
        return sum(line.startswith("POST unwrapkey 200") for line in self.requests)

    def _answer(self, method: str, path: str, token: str, content: bytes) -> tuple[int, Any, Mapping[str, str]]:
        if not _is_for_vaults(token):
            challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="{_RESOURCE}"'
            return 401, _error("Unauthorized", "AKV10000: no valid token"), {"WWW-Authenticate": challenge}
        with self._lock:
            fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            return fault[0], _error("Fault", "told to fail"), fault[1]
        if self.forbidden:
            return 403, _error("Forbidden", "Caller is not authorized to perform action on resource."), {}
        place = _PATH.fullmatch(path.partition("?")[0])
        if place is None or "api-version=" not in path:
            return 404, _error("NotFound", "no such resource"), {}
        version = place["version"] or next(reversed(self.versions), "")
        if place["key"] != KEY or version not in self.versions:
            return 404, _error("KeyNotFound", f"A key with (name/id) {place['key']}/{version} was not found."), {}
        if place["operation"] is None:
            return (200, self._public(version), {}) if method == "GET" else (405, _error("BadMethod", method), {})
        if version in self.disabled:
            return 403, _error("Forbidden", "Operation is not allowed on a disabled key."), {}
        asked = json.loads(content)
        if method != "POST" or asked["alg"] != "RSA-OAEP-256":
            return 400, _error("BadParameter", "the algorithm is not supported"), {}
        key, value = self.versions[version], _bytes(asked["value"])
        try:
            wraps = place["operation"] == "wrapkey"
            result = key.public_key().encrypt(value, _PADDING) if wraps else key.decrypt(value, _PADDING)
        except ValueError:
            return 400, _error("BadParameter", "the value cannot be unwrapped"), {}
        return 200, {"kid": f"{KEY_URL}/{version}", "value": _text(result)}, {}

    def _public(self, version: str) -> Mapping[str, Any]:
        numbers = self.versions[version].public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        return {
            "key": {
                "kid": f"{KEY_URL}/{version}",
                "kty": "RSA",
                "key_ops": ["wrapKey", "unwrapKey"],
                "n": _text(modulus),
                "e": _text(numbers.e.to_bytes(3, "big")),
            },
            "attributes": {"enabled": version not in self.disabled, "created": 1700000000, "updated": 1700000000},
        }

    def _handler(self) -> type[Handler]:
        vault = self

        class Keys(Handler):
            def do_GET(self) -> None:  # noqa: N802 - the standard library's name
                self._do("GET")

            def do_POST(self) -> None:  # noqa: N802 - the standard library's name
                self._do("POST")

            def _do(self, method: str) -> None:
                content = self.content()
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                status, body, headers = vault._answer(method, self.path, token, content)
                if token:
                    operation = re.search(r"/(wrapkey|unwrapkey)\b", self.path)
                    vault.requests.append(f"{method} {operation[1] if operation else 'get'} {status}")
                self.answer(status, json.dumps(body).encode(), headers)

        return Keys


def _is_for_vaults(token: str) -> bool:
    parts = token.split(".")
    return len(parts) == 3 and json.loads(_bytes(parts[1])).get("aud") == _RESOURCE


def _error(code: str, message: str) -> Mapping[str, Any]:
    return {"error": {"code": code, "message": message}}


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
