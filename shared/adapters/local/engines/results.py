"""What flow code returns, as outputs: a mapping stays, a dataclass becomes one, anything else is the output `output`.

Generators are joined, and coroutines run on one event loop per process, so that a client which the flow keeps between
lines stays on the loop that it was first used on.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any


def call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call flow code, whatever kind of function it is, and join what it generates."""
    value = function(**arguments)
    if inspect.isawaitable(value):
        value = _awaited(value)
    if isinstance(value, Mapping):
        if any(_is_generated(inner) for inner in value.values()):
            return {name: _joined(inner) for name, inner in value.items()}
        return value
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            inner = getattr(value, field.name)
            if _is_generated(inner):
                object.__setattr__(value, field.name, _joined(inner))  # it may be frozen
        return value
    return _joined(value)


def as_outputs(value: Any) -> dict[str, Any]:
    """The outputs that a returned value stands for."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {"output": value}


class Fields(dict[str, Any]):
    """A mapping whose values can be read as attributes, too: what an aggregation gets for a mapping."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _is_generated(value: Any) -> bool:
    return isinstance(value, Iterator | AsyncIterator)


def _joined(value: Any) -> Any:
    if isinstance(value, Iterator):
        return "".join(str(chunk) for chunk in value)
    if isinstance(value, AsyncIterator):
        return _awaited(_gathered(value))
    return value


async def _gathered(chunks: AsyncIterator[Any]) -> str:
    return "".join([str(chunk) async for chunk in chunks])


def _awaited(value: Any) -> Any:
    async def wait() -> Any:
        return await value

    # The line's context (its meter) goes along: the loop's callback is given a copy of this thread's.
    with _making:
        loop = _loop()
    return asyncio.run_coroutine_threadsafe(wait(), loop).result()


_making = threading.Lock()


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="event-loop", daemon=True).start()
    return loop
