"""What a service of the stand-in sees and answers: requests, responses, routes, and errors as ARM words them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Request:
    """One request, as a route's handler sees it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    base_url: str
    """Of the stand-in, as the client addressed it: for links in answers."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """`{name}` of the route's template → its part of the path."""

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")

    @property
    def url(self) -> str:
        return f"{self.base_url}{self.path}"

    def __getitem__(self, parameter: str) -> str:
        return self.parameters[parameter]


@dataclass(frozen=True)
class Response:
    """What a handler answers: JSON, or bytes as they are."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Raised by a handler: an error as ARM words it."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = error(status, code, message, headers)


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An ARM error body: https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors."""
    return Response({"error": {"code": code, "message": message}}, status, headers or {})


@dataclass(frozen=True)
class Route:
    """`template` is a path with `{name}` for one part of it and `{name*}` for the rest; letters' case is ARM's: any."""

    method: str
    template: str
    handler: Callable[[Request], Response]
    public: bool = False
    """Whether it is answered without a bearer token."""

    def match(self, path: str) -> dict[str, str] | None:
        found = _pattern(self.template).fullmatch(path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


_patterns: dict[str, re.Pattern[str]] = {}


def _pattern(template: str) -> re.Pattern[str]:
    if template not in _patterns:
        parts = re.split(r"\{(\w+\*?)\}", template)
        text = "".join(
            re.escape(part) if n % 2 == 0 else (f"(?P<{part[:-1]}>.+)" if part.endswith("*") else f"(?P<{part}>[^/]+)")
            for n, part in enumerate(parts)
        )
        _patterns[template] = re.compile(text, re.IGNORECASE)
    return _patterns[template]


def check_conditions(request: Request, etag: str | None) -> None:
    """Raise Refused 412 if `If-Match` or `If-None-Match` does not hold for the resource (None: it does not exist)."""
    wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
    failed = (wanted is not None and (etag is None or wanted not in ("*", etag))) or (
        unwanted is not None and etag is not None and unwanted in ("*", etag)
    )
    if failed:
        raise Refused(412, "PreconditionFailed", "The condition specified using HTTP conditional header(s) is not met.")


def now() -> str:
    """The time as ARM writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
