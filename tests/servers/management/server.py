"""The core of the management stand-in: HTTPS on a free loopback port, routes, faults at will, and a log of requests.

It plays what Azure Resource Manager and the services behind it have in common: a bearer token on every call, JSON bodies,
ARM's error bodies, lists by page with `nextLink`, conditional requests by ETag. What they keep is the services' business:
one file each, see the package's docstring.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tests.servers.management.faults import Faults, Moment

SECRETS = re.compile(r"(?i)sig=[^&]*")


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


@dataclass(frozen=True)
class LoggedRequest:
    """What is known of a request afterwards; no header and no body, since those hold secrets."""

    method: str
    path: str
    api_version: str
    bearer: bool
    status: int
    """0: the connection was cut."""


class ManagementServer:
    """Routes, faults, log and pages; `Management` adds the services. Handlers run one at a time, under `lock`."""

    def __init__(self, certificate: ssl.SSLContext, *, port: int = 0, page_size: int = 100) -> None:
        self.lock = threading.RLock()
        self.faults = Faults()
        self.page_size = page_size
        self.requests: list[LoggedRequest] = []
        self.unknown: list[LoggedRequest] = []
        """Requests that no route answers: a test asserts that there are none."""
        self._routes: list[Route] = []
        self._http = _Http(("127.0.0.1", port), _handler(self), certificate)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """For `AZUREML_DEV_URL_MFE` and `GENAIOPS_MANAGEMENT_URL`."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which azure-ai-ml finds a management API, and the registries, of a cloud that it does not know."""
        return {
            "AZUREML_DEV_URL_MFE": self.url,
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints?api-version=2022-09-01",
            "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{self.url}/",
        }

    def begin_anew(self) -> None:
        """Forget routes, faults and log."""
        with self.lock:
            self._routes.clear()
        self.faults.clear()
        self.forget_requests()

    def use(self, routes: Iterable[Route]) -> None:
        """Add a service's routes; the first that matches answers."""
        self._routes.extend(routes)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def seen(self, method: str = "", path: str = "") -> list[LoggedRequest]:
        """Logged requests of that method whose path has this pattern in it."""
        with self.lock:
            return [r for r in self.requests if method in ("", r.method) and re.search(path, r.path)]

    def forget_requests(self) -> None:
        with self.lock:
            self.requests.clear()
            self.unknown.clear()

    def page(
        self, request: Request, items: Sequence[Mapping[str, Any]], *, size: int | None = None, key: str = "value"
    ) -> Response:
        """One page of a list: at most `$top`, `page_size` or `size` items, and a `nextLink` if more follow."""
        query = dict(request.query)
        skip = int(query.get("$skipToken") or query.get("$skip") or 0)
        top = int(query.get("$top") or query.get("count") or 0)
        count = min(n for n in (top, size or self.page_size) if n)
        body: dict[str, Any] = {key: list(items[skip : skip + count])}
        if skip + count < len(items):
            query["$skipToken"] = str(skip + count)
            query.pop("$skip", None)
            body["nextLink"] = f"{request.url}?{urlencode(query)}"
        return Response(body)

    def answer(self, request: Request) -> tuple[Response | None, LoggedRequest]:
        """The answer to a request, or None for a cut connection."""
        bearer = request.headers.get("authorization", "").startswith("Bearer ")
        fault = self.faults.take(request.method, request.path)
        if fault is not None and fault.delay_s:
            time.sleep(fault.delay_s)  # outside the lock: others are not slow
        response: Response | None
        with self.lock:
            known = True
            if fault is not None and fault.moment is Moment.BEFORE and (fault.cut or fault.status):
                response = None if fault.cut else _faulty(fault.status, fault.code, fault.headers)
            else:
                response, known = self._routed(request, bearer=bearer)
                if fault is not None and fault.cut:
                    response = None
                elif fault is not None and fault.status:
                    response = _faulty(fault.status, fault.code, fault.headers)
            logged = LoggedRequest(
                request.method,
                SECRETS.sub("sig=…", request.path),
                request.query.get("api-version", ""),
                bearer,
                response.status if response else 0,
            )
            self.requests.append(logged)
            if not known:
                self.unknown.append(logged)
        return response, logged

    def _routed(self, request: Request, *, bearer: bool) -> tuple[Response, bool]:
        methods = []
        for route in self._routes:
            parameters = route.match(request.path)
            if parameters is None:
                continue
            methods.append(route.method)
            if route.method != request.method:
                continue
            if not bearer and not route.public:
                return error(401, "AuthenticationFailed", "The 'Authorization' header is missing."), True
            found = Request(**{**request.__dict__, "parameters": parameters})
            try:
                return route.handler(found), True
            except Refused as refused:
                return refused.response, True
        if not bearer:
            return error(401, "AuthenticationFailed", "The 'Authorization' header is missing."), True
        there = f" It has {', '.join(methods)}." if methods else ""
        return error(404, "NotFound", f"No route for {request.method} {request.path}.{there}"), False


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


def _faulty(status: int, code: str, headers: Mapping[str, str]) -> Response:
    return error(status, code, f"A fault that the test asked for: {status} {code}.", headers)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], certificate: ssl.SSLContext
    ) -> None:
        self._certificate = certificate
        super().__init__(address, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a client that is slow with its handshake keeps nobody waiting.
        request.settimeout(60)
        with self._certificate.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are none of a test's business."""


def _handler(server: ManagementServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=re.sub("/{2,}", "/", parts.path),
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self._body(),
                base_url=f"https://{self.headers.get('Host', '')}",
            )
            response, _ = server.answer(request)
            if response is None:
                self.close_connection = True
                return
            content = response.body if isinstance(response.body, bytes) else _encoded(response.body)
            self.send_response(response.status)
            for name, value in {"Content-Type": "application/json", **response.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":  # a body would be read as the beginning of the next answer
                self.wfile.write(content)
            self.wfile.flush()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
            """`requests` is the log."""

    return Handler


def _encoded(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()
