"""Claims-based security: a client puts a token on `$cbs` before it may attach a link to a queue.

Shared access signatures are checked against the broker's key and their expiry; JSON web tokens are taken as they are,
since the broker has no directory to ask, and kept for tests to look at.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from tests.servers.service_bus.contents import Request
from tests.servers.service_bus.counters import Counters, Token
from tests.servers.service_bus.faults import Faults
from tests.servers.service_bus.values import Int

NODE: Final = "$cbs"
KEY_NAME: Final = "RootManageSharedAccessKey"
KEY: Final = base64.b64encode(hashlib.sha256(b"the key of a broker that only tests talk to").digest()).decode()
JWT: Final = "jwt"
_SIGNATURE: Final = "SharedAccessSignature "


class Claims:
    """What one connection may touch."""

    def __init__(self, faults: Faults, counters: Counters) -> None:
        self._faults = faults
        self._counters = counters
        self._paths: set[str] = set()

    def put_token(self, request: Request) -> dict[str, Any]:
        """Take a token; the application properties of the answer."""
        kind, audience = str(request.application.get("type")), str(request.application.get("name"))
        text = request.value.decode() if isinstance(request.value, bytes) else str(request.value or "")
        problem = "The token is refused." if self._faults.refuse_tokens else _problem(kind, text)
        self._counters.tokens.append(Token(kind, audience, text, accepted=problem is None))
        if problem is not None:
            return {"status-code": Int(401), "status-description": problem}
        self._paths.add(_path(audience))
        return {"status-code": Int(202), "status-description": "Accepted"}

    def allow(self, address: str) -> bool:
        """Whether a token was put for this address or for what contains it."""
        path = _path(address)
        return any(path == claimed or path.startswith(claimed + "/") or not claimed for claimed in self._paths)


def _path(address: str) -> str:
    return urlsplit(address).path.strip("/").lower() if "://" in address else address.strip("/").lower()


def _problem(kind: str, text: str) -> str | None:
    """Why a token is refused. The SDK calls a signature a JWT at times: what it is shows in its first word."""
    if not text.startswith(_SIGNATURE):
        return None if kind == JWT and text else f"This is no token of type {kind!r}."
    fields = dict(pair.partition("=")[::2] for pair in text.removeprefix(_SIGNATURE).split("&"))
    if not {"sr", "sig", "se"} <= fields.keys():
        return "The signature lacks sr, sig or se."
    if int(fields["se"]) < time.time():
        return "The signature has expired."
    signed = f"{fields['sr']}\n{fields['se']}".encode()
    expected = base64.b64encode(hmac.new(KEY.encode(), signed, hashlib.sha256).digest()).decode()
    return None if hmac.compare_digest(expected, unquote(fields["sig"])) else "The signature does not match the key."
