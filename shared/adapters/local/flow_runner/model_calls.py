"""Inside the worker: every call of the openai client, whoever makes it, waits its turn, is retried and is counted.

The hook sits in the client's one request method, so that `llm` nodes, other tools and a flow's own Python nodes are all
retried at the call: the nodes before it do not run, and cost, a second time. A line's meter travels in a context
variable into the threads where prompt flow runs the line's nodes.
"""

from __future__ import annotations

import contextvars
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.adapters.local.engines.after_import import AfterImport
from shared.adapters.local.engines.promptflow_hooks import leave_tries_to_the_client
from shared.adapters.local.flow_runner import retry
from shared.adapters.local.flow_runner.places import GivenUp, Places, Waits

_MOST_TOKENS: Final = 1_000_000_000
"""Of one call: more is a mistake of the service."""
_WITHOUT_LINE_S: Final = 600.0
"""For a call that is no line's, such as one made while a flow's module is imported."""
_AFTER_LINE_S: Final = 1.0
"""So long after the line's end a request may wait or go on: the line's own end is told first."""


class Meter:
    """What one line used, and how long it may still take."""

    def __init__(self, timeout_s: float) -> None:
        self.deadline = time.monotonic() + timeout_s
        self.waits = Waits()
        """For places among the calls in flight."""
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.retries = 0
        self.model_calls = 0
        """Calls that were answered; the tries of one call are one."""
        self._lock = threading.Lock()

    @property
    def abandoned(self) -> threading.Event:
        """Set when nobody waits for the line any more: it makes no more calls. Set by `abandon`."""
        return self.waits.abandoned

    def abandon(self) -> None:
        """Give the line up: what it waits for need not come any more."""
        self.waits.abandon()

    def add_call(self, usage: Any) -> None:
        """Add an answered call, and the tokens that the service counted, if it did."""
        with self._lock:
            self.model_calls += 1
            self.prompt_tokens += _count(getattr(usage, "prompt_tokens", 0))
            self.completion_tokens += _count(getattr(usage, "completion_tokens", 0))

    def add_retry(self) -> None:
        """A call is about to be tried again."""
        with self._lock:
            self.retries += 1


def _count(told: object) -> int:
    """What a service says it counted, from 0 to a billion; 0 where that is no number. The client checks none of it."""
    if isinstance(told, bool) or not isinstance(told, int | float) or math.isnan(told):
        return 0
    return int(min(max(told, 0), _MOST_TOKENS))


current: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("meter", default=None)
"""The meter of the line that runs in this context."""


def install(imports: AfterImport, places: Places) -> None:
    """Hook the openai client, and prompt flow's tools that use it, as soon as anything imports them."""

    def hook(client: Any) -> None:
        client.SyncAPIClient.request = _sync(client.SyncAPIClient.request)
        client.AsyncAPIClient.request = _async(client.AsyncAPIClient.request)
        # A place is held while the service is asked and answers, not while the request is made and the answer is read:
        # that is this process's own work, and costs a tenth of a short call.
        client.SyncAPIClient._send_request = _sending(client.SyncAPIClient._send_request, places)  # noqa: SLF001
        client.AsyncAPIClient._send_request = _sending_async(  # noqa: SLF001
            client.AsyncAPIClient._send_request,  # noqa: SLF001
            places,
        )

    imports.on("openai._base_client", hook)
    leave_tries_to_the_client(imports)


def _sync(request: Callable[..., Any]) -> Callable[..., Any]:
    def limited(client: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        meter = current.get() or Meter(_WITHOUT_LINE_S)
        options.max_retries = 0  # the client's own, or they would multiply with ours and go uncounted
        attempt = 1
        while True:
            try:
                return _checked(request(client, cast_to, options, **kwargs), client, meter)
            except Exception as error:
                pause = _pause(error, attempt, meter)
                if pause is None:
                    raise
                if meter.abandoned.wait(pause):
                    raise
            meter.add_retry()
            attempt += 1

    return limited


def _async(request: Callable[..., Any]) -> Callable[..., Any]:
    async def limited(client: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        import asyncio  # here: most flows never need it

        meter = current.get() or Meter(_WITHOUT_LINE_S)
        options.max_retries = 0
        attempt = 1
        while True:
            try:
                return _checked(await request(client, cast_to, options, **kwargs), client, meter)
            except Exception as error:
                pause = _pause(error, attempt, meter)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            meter.add_retry()
            attempt += 1

    return limited


def _sending(send: Callable[..., Any], places: Places) -> Callable[..., Any]:
    def limited(client: Any, request: Any, **kwargs: Any) -> Any:
        meter = current.get() or Meter(_WITHOUT_LINE_S)
        with places.held(_endpoint(client), meter.waits, meter.deadline + _AFTER_LINE_S):
            _shorten(request, meter)
            return send(client, request, **kwargs)

    return limited


def _sending_async(send: Callable[..., Any], places: Places) -> Callable[..., Any]:
    async def limited(client: Any, request: Any, **kwargs: Any) -> Any:
        meter = current.get() or Meter(_WITHOUT_LINE_S)
        async with places.held_async(_endpoint(client), meter.waits, meter.deadline + _AFTER_LINE_S):
            _shorten(request, meter)
            return await send(client, request, **kwargs)

    return limited


def _endpoint(client: Any) -> str:
    """Where the client's calls go: one limit holds for all deployments and connections there."""
    url = client.base_url
    return f"{url.scheme}://{url.host}" + (f":{url.port}" if url.port is not None else "")


def _shorten(request: Any, meter: Meter) -> None:
    """Let the request's time limits end with the line: a call that nobody waits for would keep its place."""
    left = max(0.0, meter.deadline - time.monotonic()) + _AFTER_LINE_S
    limits = dict(request.extensions.get("timeout") or dict.fromkeys(("connect", "read", "write", "pool")))
    request.extensions["timeout"] = {
        part: left if limit is None else min(limit, left) for part, limit in limits.items()
    }


def _pause(error: Exception, attempt: int, meter: Meter) -> float | None:
    from openai import APIConnectionError, APIStatusError, OpenAIError

    if meter.abandoned.is_set() or isinstance(error, GivenUp):
        return None
    if isinstance(error, APIStatusError):
        if not retry.may_retry(error.status_code):
            return None
        headers: Mapping[str, str] = error.response.headers
    elif isinstance(error, APIConnectionError):
        headers = {}
    elif isinstance(error, json.JSONDecodeError):
        raise OpenAIError(f"The model's service answered with broken JSON ({error}). Check `api_base`.") from error
    else:
        return None
    return retry.delay(attempt, headers, time_left=meter.deadline - time.monotonic())


def _checked(answer: Any, client: Any, meter: Meter) -> Any:
    """The answer, once it is known to be one: the client hands on whatever came with status 200."""
    from openai import OpenAIError

    if isinstance(answer, str):
        shown = json.dumps(answer[:100])
        raise OpenAIError(f"{client.base_url} answered with something that is no JSON: {shown}. Check `api_base`.")
    if hasattr(answer, "choices") and not answer.choices:
        raise OpenAIError(f"{client.base_url} answered without `choices`. Check `api_base` and the deployment's name.")
    meter.add_call(getattr(answer, "usage", None))
    return answer
