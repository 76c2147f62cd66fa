"""The HTTP side of the stand-in model: Azure OpenAI's and OpenAI's chat completions on 127.0.0.1, health and control.

A request is parsed (400 if it cannot be), meets its delay and its fault, or is answered by the rules, whole or
streamed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from genaiops.stand_in_model import rules, wire
from genaiops.stand_in_model.faults import Attempts, Fault, Faults
from shared.loopback import refusal

BODY_LIMIT: Final = 16 * 1024 * 1024
GARBAGE: Final = "%PDF-1.4 \ufffd\ufffd }{ ]]> lorem <b>ipsum</i> \\u0000 NaN ,,,"
"""What the model says under the fault `garbage`."""


class StandInService:
    """The stand-in model's state: its faults, the attempts it saw and its counts. Lives on one event loop."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._attempts = Attempts()
        self._counts: Counter[str] = Counter()
        self._in_flight = 0
        self._most_in_flight = 0

    def behave(self, faults: Faults) -> None:
        """Behave like this from now on; attempts and counts start anew."""
        self.faults = faults
        self._attempts = Attempts()
        self._counts.clear()
        self._most_in_flight = self._in_flight

    def described(self) -> dict[str, Any]:
        """Faults and counts since the start or the last change."""
        return {
            "model": wire.MODEL,
            "faults": self.faults.model_dump(),
            "counts": dict(sorted(self._counts.items())),
            "most_in_flight": self._most_in_flight,
        }

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer one chat completions request."""
        body = await request.read()
        try:
            asked = wire.parse(body)
        except wire.BadRequest as problem:
            self._counts["bad_requests"] += 1
            return web.json_response(wire.error(str(problem), "invalid_request_error", None), status=400)
        digest, attempt = self._attempts.next(body)
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        try:
            await asyncio.sleep(self.faults.delay_s(digest, attempt))
            return await self._answered(request, asked, digest, attempt)
        finally:
            self._in_flight -= 1

    async def _answered(
        self, request: web.Request, asked: wire.ChatRequest, digest: str, attempt: int
    ) -> web.StreamResponse:
        fault = self.faults.fault_of(digest, attempt)
        self._counts[fault.value if fault else "answered"] += 1
        match fault:
            case Fault.THROTTLED:
                return _throttled(self.faults.retry_after_s)
            case Fault.FAILED:
                message = "The stand-in model fails on purpose (error_rate)."
                return web.json_response(wire.error(message, "server_error", "InternalServerError"), status=500)
            case Fault.DROPPED:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            case Fault.GARBAGE:
                answers = [GARBAGE] * asked.choices
            case Fault.EMPTY:
                answers = [""] * asked.choices
            case None:
                answers = [rules.answer(asked.conversation(choice)) for choice in range(asked.choices)]
        name = "chatcmpl-" + hashlib.blake2b(f"{digest}{attempt}".encode(), digest_size=12).hexdigest()
        created = int(time.time())
        if not asked.stream:
            whole = wire.completion(asked, name, created, answers)
            return web.json_response(whole, dumps=lambda value: json.dumps(value, ensure_ascii=False))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        for event in wire.stream(asked, name, created, answers):
            await response.write(event)
        await response.write_eof()
        return response


_SERVICE: Final = web.AppKey("service", StandInService)


def build(faults: Faults) -> web.Application:
    """The application with all routes."""
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_of_this_machine])
    app[_SERVICE] = StandInService(faults)
    app.add_routes(
        [
            web.post("/openai/deployments/{deployment}/chat/completions", _azure_chat),
            web.post("/openai/v1/chat/completions", _chat),
            web.post("/v1/chat/completions", _chat),
            web.get("/v1/models", _models),
            web.get("/health", _health),
            web.get("/control", _control),
            web.put("/control", _behave),
        ]
    )
    return app


@web.middleware
async def _of_this_machine(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what a foreign site would have a browser ask: it could read answers, or make the model fail."""
    given = request.headers
    refused = refusal(given.get("Host", ""), given.get("Sec-Fetch-Site"), given.get("Origin"))
    if refused:
        return web.json_response(wire.error(refused, "invalid_request_error", "403"), status=403)
    return await handler(request)


async def _azure_chat(request: web.Request) -> web.StreamResponse:
    if not request.query.get("api-version"):
        return web.json_response({"error": {"code": "404", "message": "Resource not found"}}, status=404)
    return await _chat(request)


async def _chat(request: web.Request) -> web.StreamResponse:
    return await request.app[_SERVICE].chat(request)


async def _models(request: web.Request) -> web.Response:
    del request
    model = {"id": wire.MODEL, "object": "model", "created": 0, "owned_by": "genaiops"}
    return web.json_response({"object": "list", "data": [model]})


async def _health(request: web.Request) -> web.Response:
    del request
    return web.json_response({"status": "ok", "model": wire.MODEL})


async def _control(request: web.Request) -> web.Response:
    return web.json_response(request.app[_SERVICE].described())


async def _behave(request: web.Request) -> web.Response:
    """Change the named faults and keep the others; every change starts attempts and counts anew."""
    service = request.app[_SERVICE]
    try:
        changes = wire.read_json(await request.read())
        service.behave(Faults.model_validate({**service.faults.model_dump(), **changes}))
    except (ValueError, TypeError) as problem:  # pydantic's ValidationError is a ValueError
        known = ", ".join(Faults.model_fields)
        detail = problem.errors()[0]["msg"] if isinstance(problem, ValidationError) else str(problem)
        message = f"Send a JSON object with any of {known}: {detail}."
        return web.json_response(wire.error(message, "invalid_request_error", None), status=400)
    return web.json_response(service.described())


def _throttled(retry_after_s: float) -> web.Response:
    message = (
        f"Requests have exceeded the rate limit of the stand-in model. Please retry after {retry_after_s:g} seconds."
    )
    headers = {"Retry-After": f"{retry_after_s:g}", "retry-after-ms": f"{retry_after_s * 1_000:.0f}"}
    return web.json_response(wire.error(message, "requests", "429"), status=429, headers=headers)
