"""In front of a flow's web app in a container: health and readiness, the limit on work at once, and the request log.

    GET  /health   200 while the process lives: a host that gets no answer starts it again
    GET  /ready    200 once the flow is loaded with its connections; else 503 with the reason: `NotReady` may pass,
                   `CannotServe` (it lacks a connection, or the flow cannot be loaded) does not
    POST /score    the flow; 503 while it is not loaded, or where too many requests wait already

Every answer is JSON; errors are `{"error": {"code": …, "message": …}}`, as the flow's app has them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from threading import Condition
from typing import Any, Final

from shared.adapters.serving.json_lines import JsonLines

NOT_READY: Final = "NotReady"
CANNOT_SERVE: Final = "CannotServe"
DEPLOYMENT_HEADER: Final = "azureml-model-deployment"
"""In an answer: the deployment that gave it. Azure ML has the same header."""
_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

StartResponse = Callable[..., object]
App = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Front:
    """A WSGI app, safe for threads. `concurrency` requests are worked on at once, as many more wait."""

    def __init__(self, log: JsonLines, *, deployment: str, concurrency: int) -> None:
        self._log = log
        self._deployment = deployment
        self._concurrency = concurrency
        self._app: App | None = None
        self._not_ready = "the flow is being loaded"
        self._code = NOT_READY
        self._changed = Condition()
        self._at_work = 0
        self._waiting = 0

    @property
    def threads(self) -> int:
        """How many threads must call it, so that health is answered whatever is being scored."""
        return 2 * self._concurrency + 4

    def serve(self, app: App) -> None:
        """The flow is loaded."""
        self._app, self._not_ready = app, ""

    def refuse(self, reason: str, code: str = NOT_READY) -> None:
        """From now on it is not ready, for this reason. What can be scored still is."""
        self._not_ready, self._code = reason, code

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start = time.perf_counter()
        seen: list[int] = []

        def started(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
            seen[:] = [int(status.split(" ", 1)[0])]
            named = [(DEPLOYMENT_HEADER, self._deployment)] if self._deployment else []
            return start_response(status, [*headers, *named], *rest)

        body = b"".join(self._answer(environ, started))
        status = seen[0] if seen else 500
        method, path = str(environ["REQUEST_METHOD"]), str(environ["PATH_INFO"])
        if path == "/score" or status >= HTTPStatus.BAD_REQUEST:
            trace = environ.get("HTTP_TRACEPARENT", "")
            self._log(
                "info" if status < HTTPStatus.BAD_REQUEST else "warning",
                f"{method} {path[:200]} {status}",
                ms=round((time.perf_counter() - start) * 1000, 1),
                bytes=len(body),
                traceparent=trace if _TRACE.fullmatch(trace) else None,
            )
        return [body]

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "GET" | "HEAD", "/health":
                return _json(start_response, HTTPStatus.OK, {"status": "Healthy"})
            case "GET" | "HEAD", "/ready":
                if self._not_ready:
                    return refused(start_response, HTTPStatus.SERVICE_UNAVAILABLE, self._code, self._not_ready)
                return _json(start_response, HTTPStatus.OK, {"status": "Ready"})
            case "POST", "/score":
                return self._scored(environ, start_response)
            case _, "/health" | "/ready" | "/score":
                text = "use POST /score, GET /health or GET /ready"
                return refused(start_response, HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", text)
            case _:
                text = "use POST /score, GET /health or GET /ready"
                return refused(start_response, HTTPStatus.NOT_FOUND, "NotFound", text)

    def _scored(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        app = self._app
        if app is None:
            return refused(start_response, HTTPStatus.SERVICE_UNAVAILABLE, self._code, self._not_ready)
        with self._changed:
            if self._at_work >= self._concurrency:
                if self._waiting >= self._concurrency:
                    text = f"{self._at_work + self._waiting} requests are being worked on. Try again, or add instances."
                    return refused(start_response, HTTPStatus.SERVICE_UNAVAILABLE, "TooManyRequests", text)
                self._waiting += 1
                self._changed.wait_for(lambda: self._at_work < self._concurrency)
                self._waiting -= 1
            self._at_work += 1
        try:
            return list(app(environ, start_response))
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify()


def refused(start_response: StartResponse, status: HTTPStatus, code: str, message: str) -> Iterable[bytes]:
    """Answer with an error."""
    return _json(start_response, status, {"error": {"code": code, "message": message}})


def _json(start_response: StartResponse, status: HTTPStatus, content: Mapping[str, object]) -> Iterable[bytes]:
    body = json.dumps(content).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", "1"))
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]
