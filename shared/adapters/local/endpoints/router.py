"""The router: one stable address in front of all deployments, in a thread and an event loop of its own.

A request to `/<endpoint>/score` goes to the deployment that the header names, else to one that the split chooses. Where
a deployment refuses the connection or dies over a request, another weighted one is asked; a pinned request has no
other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from http import HTTPStatus
from threading import Thread
from typing import Final

import aiohttp
from aiohttp import web

from shared.adapters.local.endpoints.fleet import Fleet, Refusal, Target
from shared.adapters.local.endpoints.state import HEADER
from shared.errors import GenAIOpsError
from shared.loopback import refusal

_log = logging.getLogger(__name__)

_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "host", "content-length", "expect"}
)
_ANSWER_TIMEOUT_S: Final = 300.0
_HEALTH_TIMEOUT_S: Final = 10.0
_BODY_TIMEOUT_S: Final = 60.0
"""For a request's body to come: one that never does would hold its connection for ever."""
_DRAIN_S: Final = 5.0
DEFAULT_MAX_BODY: Final = 16 * 1024 * 1024


class EndpointRouter:
    """Serves on 127.0.0.1 between `start` and `stop`."""

    def __init__(self, fleet: Fleet, port: int, *, max_body: int = DEFAULT_MAX_BODY) -> None:
        self._fleet = fleet
        self._port = port
        self._max_body = max_body
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="endpoint-router", daemon=True)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Listen.

        Raises:
            GenAIOpsError: the port is taken; the text says which setting moves it.
        """
        self._thread.start()
        try:
            self._run(self._open())
        except OSError as error:
            self.stop()
            raise GenAIOpsError(
                f"The endpoint router cannot listen on 127.0.0.1:{self._port} ({error.strerror or error}). Stop what "
                "uses that port, or set GENAIOPS_ROUTER_PORT to a free one."
            ) from error

    def stop(self) -> None:
        """Let running requests end (5 seconds at most), then close."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def healthy(self, port: int) -> Future[bool]:
        """Ask a served process for its health, without waiting for the answer."""
        return asyncio.run_coroutine_threadsafe(self._healthy(port), self._loop)

    def _run(self, work: Awaitable[None]) -> None:
        async def awaited() -> None:
            await work

        asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    async def _open(self) -> None:
        # Bodies and headers go through as they are, in both directions: no unpacking, no headers of the router's own.
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            connector=aiohttp.TCPConnector(limit=0),
        )
        app = web.Application(client_max_size=self._max_body, middlewares=[_errors_as_json, _this_machine_only])
        app.add_routes(
            [
                web.post("/{endpoint}/score", self._score),
                web.get("/health", self._health),
                web.get("/admin/endpoints", self._observed),
                web.post("/admin/refresh", self._refresh),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=_DRAIN_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _score(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                body = await request.read()
        except TimeoutError:
            text = f"The request's body did not come within {_BODY_TIMEOUT_S:g} s. Send it again, at once."
            refused = _error(HTTPStatus.REQUEST_TIMEOUT, "RequestTimeout", text)
            refused.force_close()  # the rest of the body would be taken for the next request
            return refused
        pin = request.headers.get(HEADER)
        tried: set[str] = set()
        while True:
            match self._fleet.route(request.match_info["endpoint"], pin, tried):
                case Refusal() as refusal:
                    return _error(refusal.status, refusal.code, refusal.message)
                case Target() as target:
                    tried.add(target.deployment)
                    if (answer := await self._forward(request, body, target)) is not None:
                        return answer

    async def _forward(self, request: web.Request, body: bytes, target: Target) -> web.Response | None:
        """The deployment's answer, or None if it is not there (any more): then another one may be asked."""
        assert self._session is not None
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        url = f"http://127.0.0.1:{target.port}/score"
        start = time.perf_counter()
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
            ) as answer:
                content = await answer.read()
        except TimeoutError:
            # It may still be at work: asking another deployment would do that work twice.
            self._fleet.unanswered(target)
            text = f"Deployment {target.deployment!r} did not answer within {_ANSWER_TIMEOUT_S:.0f} s. Try again."
            return _error(HTTPStatus.GATEWAY_TIMEOUT, "DeploymentTimeout", text)
        except aiohttp.ClientError as error:
            self._fleet.unanswered(target)
            _log.warning("deployment %s of %s gave no answer: %r", target.deployment, target.endpoint, error)
            return None
        self._fleet.answered(target, (time.perf_counter() - start) * 1000, answer.status)
        own = {*_HOP_BY_HOP, HEADER}
        passed = [(name, value) for name, value in answer.headers.items() if name.lower() not in own]
        return web.Response(status=answer.status, body=content, headers=[*passed, (HEADER, target.deployment)])

    async def _healthy(self, port: int) -> bool:
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=_HEALTH_TIMEOUT_S)
        try:
            async with self._session.get(f"http://127.0.0.1:{port}/health", timeout=timeout) as answer:
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "Healthy"})

    async def _observed(self, _: web.Request) -> web.Response:
        observed = self._fleet.observed()
        return web.json_response({name: endpoint.model_dump(mode="json") for name, endpoint in observed.items()})

    async def _refresh(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._fleet.refresh)
        return await self._observed(request)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        limit = request.app._client_max_size  # noqa: SLF001  (aiohttp has no public name for it)
        text = f"The request's body is larger than {limit:,} bytes. Send less."
        return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BodyTooLarge", text)
    except web.HTTPException as error:
        text = f"{request.method} {request.path} is not served here. Use POST /<endpoint>/score or GET /health."
        return _error(error.status, error.reason.replace(" ", ""), text)
    except Exception as error:
        _log.exception("the router failed over %s %s", request.method, request.path)
        text = f"The router failed: {type(error).__name__}: {error}. Its log has more."
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "RouterFailed", text)


@web.middleware
async def _this_machine_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    # A page that a browser here shows reaches this port: it could spend tokens, or read answers by DNS rebinding.
    headers = request.headers
    refused = refusal(headers.get("Host", ""), headers.get("Sec-Fetch-Site"), headers.get("Origin"))
    if refused:
        text = f"{refused} Send it from a program on this machine, to http://127.0.0.1."
        return _error(HTTPStatus.FORBIDDEN, "NotFromHere", text)
    return await handler(request)


def _error(status: int, code: str, message: str) -> web.Response:
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
