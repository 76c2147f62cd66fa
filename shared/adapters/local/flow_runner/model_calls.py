"""Inside the worker: every call of the openai client, whoever makes it, is retried by our rules and counted per line.

The hook sits in the client's one request method, so that `llm` nodes, other tools and a flow's own Python nodes are all
retried at the call: the nodes before it do not run, and cost, a second time. A line's meter travels in a context
variable into the threads where prompt flow runs the line's nodes.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.adapters.local.flow_runner import retry

_MOST_TOKENS: Final = 1_000_000_000
"""Of one call: more is a mistake of the service."""


class Meter:
    """What one line used, and how long it may still take."""

    def __init__(self, timeout_s: float) -> None:
        self.deadline = time.monotonic() + timeout_s
        self.abandoned = threading.Event()
        """Set when nobody waits for the line any more: its calls are not tried again."""
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.retries = 0
        self._lock = threading.Lock()

    def add_usage(self, usage: Any) -> None:
        """Add the tokens that the service counted."""
        with self._lock:
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


def install() -> None:
    """Hook the openai client and take the retries away that prompt flow's tools would make on top of ours."""
    from openai import _base_client

    _base_client.SyncAPIClient.request = _sync(_base_client.SyncAPIClient.request)  # type: ignore[method-assign]
    _base_client.AsyncAPIClient.request = _async(_base_client.AsyncAPIClient.request)  # type: ignore[method-assign]

    from promptflow.tools import aoai, openai

    for tool in (aoai.AzureOpenAI, openai.OpenAI):
        for function in vars(tool).values():
            _no_more_tries(function)


def _no_more_tries(function: Any) -> None:
    # The tools' decorator keeps its number of tries (100) in a closure and offers no setting for it.
    while function is not None:
        code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
        for name, cell in zip(code.co_freevars if code else (), cells or (), strict=False):
            if name == "tries":
                cell.cell_contents = 0
        function = getattr(function, "__wrapped__", None)


def _sync(request: Callable[..., Any]) -> Callable[..., Any]:
    def retried(client: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        meter = current.get() or Meter(600.0)
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

    return retried


def _async(request: Callable[..., Any]) -> Callable[..., Any]:
    async def retried(client: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        meter = current.get() or Meter(600.0)
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

    return retried


def _pause(error: Exception, attempt: int, meter: Meter) -> float | None:
    from openai import APIConnectionError, APIStatusError, OpenAIError

    if meter.abandoned.is_set():
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
    usage = getattr(answer, "usage", None)
    if usage is not None:
        meter.add_usage(usage)
    return answer
