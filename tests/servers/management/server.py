"""The core of the management stand-in: HTTPS on a free loopback port, routes, faults at will, and a log of requests.

It plays what Azure Resource Manager and the services behind it have in common: a bearer token on every call, JSON bodies,
ARM's error bodies, lists by page with `nextLink`, conditional requests by ETag. What they keep is the services' business:
one file each, see the package's docstring.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.servers.management.faults import Faults, Moment
from tests.servers.management.messages import Refused, Request, Response, Route, check_conditions, error, now
from tests.servers.management.transport import Https

__all__ = [
    "LoggedRequest",
    "ManagementServer",
    "Refused",
    "Request",
    "Response",
    "Route",
    "check_conditions",
    "error",
    "now",
]

SECRETS = re.compile(r"(?i)sig=[^&]*")


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
        self.broken: list[str] = []
        """What went wrong in handlers: the stand-in's own mistakes, or bodies that it does not understand."""
        self._routes: list[Route] = []
        self._http = Https(("127.0.0.1", port), self.answer, certificate)
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
            self.broken.clear()

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

    def answer(self, request: Request) -> Response | None:
        """The answer to a request, or None for a cut connection."""
        bearer = request.headers.get("authorization", "").startswith("Bearer ")
        fault = self.faults.take(request.method, request.path)
        if fault is not None:  # outside the lock: others are served meanwhile
            time.sleep(fault.delay_s)
            fault.action()
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
        return response

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
            except Exception:
                self.broken.append(traceback.format_exc())
                return error(500, "StandInBroken", self.broken[-1]), True
        if not bearer:
            return error(401, "AuthenticationFailed", "The 'Authorization' header is missing."), True
        there = f" It has {', '.join(methods)}." if methods else ""
        return error(404, "NotFound", f"No route for {request.method} {request.path}.{there}"), False


def _faulty(status: int, code: str, headers: Mapping[str, str]) -> Response:
    return error(status, code, f"A fault that the test asked for: {status} {code}.", headers)
