"""Feeds HTTP triggers: a server on 127.0.0.1 that routes, checks keys and passes bodies on as Azure's host does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from genaiops.host import decoding
from genaiops.host.errors import HostError
from genaiops.host.invocation import FunctionFailed, invoke
from genaiops.host.keys import FunctionKeys
from genaiops.host.routes import Routes
from genaiops.host.triggers import HttpTrigger
from genaiops.host.workers import Workers

log: Final = logging.getLogger("genaiops.host")

ADDRESS: Final = "127.0.0.1"
BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a request's body, which is held in memory. Azure allows 100 MB; what the pages send are small forms, and
datasets are uploaded as blobs."""
CONCURRENCY: Final = 32
_OF_THE_CONNECTION: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"})


class HttpFeed:
    """The HTTP server, in a thread with an event loop of its own."""

    def __init__(self, triggers: Sequence[HttpTrigger], prefix: str, keys: FunctionKeys, port: int) -> None:
        self._routes = Routes(triggers, prefix)
        self._keys = keys
        self._port = port
        self._workers = Workers("http", CONCURRENCY)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; after `start` never 0."""
        return self._port

    def start(self) -> None:
        """Begin to listen. Raises HostError if the port is taken."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        except OSError as error:
            self.drain(0)
            raise HostError(
                f"The port {self._port} on {ADDRESS} cannot be listened on: {error.strerror or error}. "
                "Set GENAIOPS_HTTP_PORT to a free port, or stop the process that has this one."
            ) from error

    def stop_receiving(self) -> None:
        """Accept no further connection."""
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._close_sites(self._runner), self._loop).result()

    def drain(self, timeout: float) -> bool:
        """Answer the requests that run, then stop the server; False if `timeout` seconds were not enough."""
        drained = self._workers.wait_idle(timeout)
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
            self._runner = None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        return drained

    async def _serve(self) -> None:
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, ADDRESS, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def _close_sites(self, runner: web.AppRunner) -> None:
        for site in list(runner.sites):
            await site.stop()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        found = self._routes.find(request.method, request.rel_url.raw_path)
        if found is None:
            return web.Response(status=404)
        trigger, values = found
        headers, query = _joined(request.headers), _joined(request.query)
        if not self._keys.allow(trigger.auth_level, {name.lower(): text for name, text in headers.items()}, query):
            return web.Response(status=401)
        if (request.content_length or 0) > BODY_LIMIT:  # said before it is sent; where it is not, reading is bounded
            return web.Response(status=413, text=f"A request's body may have {BODY_LIMIT:,} bytes.\n")
        try:
            url = str(request.url)
        except ValueError:
            return web.Response(status=400, text="The Host header is no name.\n")
        content = decoding.HttpContent(
            method=request.method,
            url=url,
            headers=headers,
            query=query,
            route=values,
            body=await request.read(),
        )
        answer = await asyncio.wrap_future(self._submit(trigger, content))
        fields = CIMultiDict((name, text) for name, text in answer.headers if name.lower() not in _OF_THE_CONNECTION)
        return web.Response(status=answer.status, headers=fields, body=answer.body)

    def _submit(
        self, trigger: HttpTrigger, content: decoding.HttpContent
    ) -> concurrent.futures.Future[decoding.HttpAnswer]:
        future: concurrent.futures.Future[decoding.HttpAnswer] = concurrent.futures.Future()

        def run() -> None:
            # A client that has gone away cancels its future; the function has run all the same.
            answer = _call(trigger, content)
            if future.set_running_or_notify_cancel():
                future.set_result(answer)

        self._workers.submit(run)
        return future


def _call(trigger: HttpTrigger, content: decoding.HttpContent) -> decoding.HttpAnswer:
    message_id = (
        f"{content.method} /{trigger.route.strip('/')}"  # never the address: it may hold a key or a signed token
    )
    try:
        return decoding.http_answer(invoke(trigger, decoding.http_request(content), message_id=message_id))
    except FunctionFailed:
        log.debug("answering 500 for %s", message_id)
    except Exception:
        log.exception("%s returned what cannot be sent as a response (%s)", trigger.name, message_id)
    text = b"The function failed. The host's log has the error.\n"
    return decoding.HttpAnswer(500, (("content-type", "text/plain; charset=utf-8"),), text)


def _joined(fields: MultiMapping[str]) -> Mapping[str, str]:
    """Repeated names become one value, separated by commas."""
    return {name: ",".join(fields.getall(name)) for name in fields}
