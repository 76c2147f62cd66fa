"""One call of one function: its context, its log line, its duration.

Whatever a function raises, even `SystemExit`, is its failure and not the host's.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
import uuid
from typing import Any, Final

import azure.functions as func

from genaiops.host.triggers import Trigger

log: Final = logging.getLogger("genaiops.host")


class FunctionFailed(Exception):
    """A function raised; the cause is chained. Already logged."""


class InvocationContext(func.Context):
    """What a function's `context` parameter gets."""

    def __init__(self, name: str, invocation_id: str) -> None:
        self._name, self._invocation_id = name, invocation_id
        self._local = threading.local()

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def function_name(self) -> str:
        return self._name

    @property
    def function_directory(self) -> str:
        return "."

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def trace_context(self) -> Any:
        return None

    @property
    def retry_context(self) -> Any:
        return None


def invoke(trigger: Trigger, argument: object, *, message_id: str) -> object:
    """Call the function in this thread and return what it returned.

    Raises:
        FunctionFailed: the function raised anything.
    """
    invocation_id = str(uuid.uuid4())
    arguments: dict[str, object] = {trigger.argument: argument}
    if trigger.wants_context:
        arguments["context"] = InvocationContext(trigger.name, invocation_id)
    started = time.perf_counter()
    try:
        returned = trigger.function(**arguments)
        if inspect.iscoroutine(returned):
            returned = asyncio.run(returned)
    except BaseException as error:
        facts = _facts(trigger, message_id, invocation_id, started, "failed")
        log.exception("%(function)s failed after %(duration_ms).0f ms (%(message_id)s)", facts, extra=facts)
        raise FunctionFailed(f"{trigger.name}: {error!r}") from error
    facts = _facts(trigger, message_id, invocation_id, started, "done")
    log.info("%(function)s done in %(duration_ms).0f ms (%(message_id)s)", facts, extra=facts)
    return returned


def _facts(trigger: Trigger, message_id: str, invocation_id: str, started: float, outcome: str) -> dict[str, object]:
    return {
        "function": trigger.name,
        "message_id": message_id,
        "invocation_id": invocation_id,
        "duration_ms": (time.perf_counter() - started) * 1000,
        "outcome": outcome,
    }
