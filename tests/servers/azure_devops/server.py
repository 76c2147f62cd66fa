"""The core of the Azure DevOps stand-in: HTTPS, faults at will, a log with headers, who calls, error bodies.

Who calls is either a task, by the token of its job, or the app, by a token that Entra ID issued for Azure DevOps. What the
service answers to whom it does not know, or to who lacks a right, is here; each service says what a call needs.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tests.servers.management.faults import Faults, Moment
from tests.servers.management.messages import Request, Response, Route
from tests.servers.management.transport import Https

RESOURCE = "499b84ac-1321-427f-aa17-267ca6975798"
"""Azure DevOps in Entra ID."""
ORGANISATION = "contoso"
HTML = {"Content-Type": "text/html; charset=utf-8"}
SIGN_IN = b"<!DOCTYPE html><html><title>Azure DevOps Services | Sign In</title></html>"
TYPE_KEYS = {
    400: "InvalidArgumentValueException",
    401: "UnauthorizedRequestException",
    403: "GitNeedsPermissionException",
    404: "ResourceNotFoundException",
    409: "ConcurrencyException",
    429: "RequestBlockedException",
}


@dataclass(frozen=True)
class Seen:
    """One request, as it came in."""

    method: str
    path: str
    api_version: str
    status: int
    """0: the connection was cut."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Refusal(Exception):
    """Raised by a handler: an error as Azure DevOps words it."""

    def __init__(self, status: int, message: str, type_key: str = "") -> None:
        super().__init__(message)
        self.response = failure(status, message, type_key)


def failure(status: int, message: str, type_key: str = "", headers: Mapping[str, str] | None = None) -> Response:
    key = type_key or TYPE_KEYS.get(status, "VssServiceException")
    body = {"$id": "1", "innerException": None, "message": message, "typeName": key, "typeKey": key, "errorCode": 0}
    return Response({**body, "eventId": 3000}, status, headers or {})


class AzureDevOpsServer:
    """Routes, faults, log and rights. Handlers run one at a time, under `lock`."""

    def __init__(self, certificate: ssl.SSLContext) -> None:
        self.lock = threading.RLock()
        self.faults = Faults()
        self._routes: list[tuple[Route, str]] = []
        self._http = Https(("127.0.0.1", 0), self._answer, certificate)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self.begin_anew()

    def begin_anew(self) -> None:
        with self.lock:
            self.requests: list[Seen] = []
            self.unknown: list[Seen] = []
            """Requests that no route answers, other organisations' among them."""
            self.refused: list[str] = []
            """What was wrong with requests that were answered with 400."""
            self.broken: list[str] = []
            """Mistakes of the stand-in itself."""
            self.is_member = True
            """Whether the app's identity is a user of the organisation."""
            self.missing_rights: set[str] = set()
            """Of PullRequestContribute, GenericRead, EditBuildQuality."""
            self._routes.clear()
            self._bodies: list[tuple[str, str, Response]] = []
        self.faults.clear()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def collection(self) -> str:
        """The organisation's address."""
        return f"{self.url}/{ORGANISATION}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The setting that lets the product talk to this organisation."""
        return {"GENAIOPS_AZURE_DEVOPS": self.collection}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def use(self, routes: Iterable[tuple[str, str, str, Callable[[Request], Response]]]) -> None:
        """Add routes of a service: method, template below the organisation, api-version, handler."""
        for method, template, version, handler in routes:
            self._routes.append((Route(method, f"/{ORGANISATION}{template}", handler), version))
        if not any(route.template.endswith("/connectionData") for route, _ in self._routes):
            there = Route("GET", f"/{ORGANISATION}/_apis/connectionData", self._connection_data)
            self._routes.append((there, "7.1-preview.1"))

    def seen(self, method: str = "", path: str = "") -> list[Seen]:
        """Logged requests of that method whose path has this pattern in it."""
        with self.lock:
            return [each for each in self.requests if method in ("", each.method) and re.search(path, each.path)]

    def answer_with(
        self, body: bytes, method: str, path: str, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer the next such request with these bytes, whatever it asks for."""
        self._bodies.append((method, path, Response(body, status, headers or {})))

    def user(self, request: Request, right: str = "") -> str:
        """The id in the organisation of who sent this token of Entra ID; they need this right."""
        claims = _claims(request.headers.get("authorization", "").removeprefix("Bearer "))
        if claims.get("aud") != RESOURCE or float(claims.get("exp", 0)) < time.time():
            raise Refusal(401, "TF400813: The user '' is not authorized to access this resource.")
        if not self.is_member:
            raise Refusal(401, f"TF400813: The user '{claims['oid']}' is not authorized to access this resource.")
        if right in self.missing_rights:
            needed = f"You need the Git '{right}' permission to perform this action."
            raise Refusal(403, f"TF401027: {needed} Details: identity '{claims['oid']}', scope 'repository'.")
        return user_id(str(claims["oid"]))

    def _connection_data(self, request: Request) -> Response:
        user = self.user(request)
        return Response({"authenticatedUser": {"id": user, "isActive": True}, "instanceId": str(uuid.uuid4())})

    def _answer(self, request: Request) -> Response | None:
        fault = self.faults.take(request.method, request.path)
        if fault is not None:  # outside the lock: others are served meanwhile
            time.sleep(fault.delay_s)
            fault.action()
        response: Response | None
        with self.lock:
            known = True
            if fault is not None and fault.moment is Moment.BEFORE and (fault.cut or fault.status):
                response = None
            else:
                response, known = self._routed(request)
            if fault is not None and (fault.cut or fault.status):
                response = None if fault.cut else _faulty(fault.status, fault.headers)
            seen = Seen(
                request.method,
                request.path,
                request.query.get("api-version", ""),
                response.status if response else 0,
                request.headers,
                request.body,
            )
            self.requests.append(seen)
            if not known:
                self.unknown.append(seen)
        return response

    def _routed(self, request: Request) -> tuple[Response, bool]:
        for planned in self._bodies:
            if planned[0] == request.method and re.search(planned[1], request.path):
                self._bodies.remove(planned)
                return planned[2], True
        for route, version in self._routes:
            parameters = route.match(request.path) if route.method == request.method else None
            if parameters is None:
                continue
            try:
                _check_version(request, version)
                return route.handler(replace(request, parameters=parameters)), True
            except Refusal as refusal:
                if refusal.response.status == 400:
                    self.refused.append(f"{request.method} {request.path}: {refusal}")
                return refusal.response, True
            except Exception:
                self.broken.append(traceback.format_exc())
                return failure(500, self.broken[-1]), True
        return failure(404, f"No route for {request.method} {request.path}."), False


def user_id(principal: str) -> str:
    """The organisation's own id of a user."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, principal))


def checked(
    body: Any, required: Mapping[str, type | tuple[type, ...]], optional: Mapping[str, Any] | None = None
) -> Any:
    """The body, if it is an object of these keys and types."""
    types = {**required, **(optional or {})}
    if not isinstance(body, dict):
        raise Refusal(400, f"The body must be an object, not {type(body).__name__}.")
    wrong = [f"{key} is missing" for key in required if key not in body]
    wrong += [f"{key} is unknown" for key in body if key not in types]
    wrong += [f"{key} is of a wrong type" for key in body if key in types and not isinstance(body[key], types[key])]
    if wrong:
        raise Refusal(400, "; ".join(wrong))
    return body


def content(request: Request) -> bytes:
    """A body of bytes."""
    if request.headers.get("content-type") != "application/octet-stream":
        raise Refusal(400, "The content type must be application/octet-stream.")
    return request.body


def as_json(request: Request) -> Any:
    """A body of JSON."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(400, "The content type must be application/json.")
    try:
        return request.json
    except ValueError as error:
        raise Refusal(400, "The body is no JSON.") from error


def _check_version(request: Request, version: str) -> None:
    if (given := request.query.get("api-version")) != version:
        raise Refusal(400, f"The api-version {given!r} is not {version}.")


def _claims(token: str) -> dict[str, Any]:
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _faulty(status: int, headers: Mapping[str, str]) -> Response:
    if status == 203:
        return Response(SIGN_IN, 203, HTML)
    if 300 <= status < 400:
        return Response(SIGN_IN, status, {**HTML, "Location": "https://spsprodcus1.vssps.visualstudio.com/_signin"})
    return failure(status, f"A fault that the test asked for: {status}.", headers=headers)
