"""In a process that runs flows: what is one per process in Python or in prompt flow becomes one per line or per run.

`sys.stdout` and `sys.stderr` are one per thread, so that a node that captures its own output gets only its own; prompt
flow's node logs, which keep every printed character in memory, are off; metrics go to the aggregation that logs them.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, TextIO

from shared.adapters.local.engines.after_import import AfterImport
from shared.adapters.local.engines.metrics import receiver


class _PerThread:
    """Stands in `sys.stdout` for good and writes to what the current thread has put there."""

    def __init__(self, base: TextIO) -> None:
        self.base = base
        self.local = threading.local()

    @property
    def target(self) -> Any:
        return getattr(self.local, "target", self.base)

    def write(self, text: str) -> int:
        written: int = self.target.write(text)
        return written

    def flush(self) -> None:
        self.target.flush()

    def __getattr__(self, name: str) -> Any:  # buffer, encoding, fileno and whatever else a flow may ask for
        return getattr(self.target, name)


_streams: dict[str, _PerThread] = {}


class _Sys(ModuleType):
    """The module `sys` with streams per thread.

    `print` takes the stream from the module's dictionary (always our stand-in), while an assignment `sys.stdout = …`
    goes through the type, where these properties catch it.
    """

    @property
    def stdout(self) -> Any:
        return _get("stdout")

    @stdout.setter
    def stdout(self, stream: Any) -> None:
        _set("stdout", stream)

    @property
    def stderr(self) -> Any:
        return _get("stderr")

    @stderr.setter
    def stderr(self, stream: Any) -> None:
        _set("stderr", stream)


def _get(name: str) -> Any:
    stream = _streams[name]
    return getattr(stream.local, "target", stream)


def _set(name: str, target: Any) -> None:
    stream = _streams[name]
    if target is stream or target is stream.base:
        vars(stream.local).pop("target", None)
    else:
        stream.local.target = target


def streams_per_thread() -> None:
    """From now on each thread has its own `sys.stdout` and `sys.stderr`."""
    for name in ("stdout", "stderr"):
        _streams[name] = _PerThread(getattr(sys, name))
        vars(sys)[name] = _streams[name]
    sys.__class__ = _Sys


def forget_captured() -> None:
    """Give the current thread the process's streams back: the line before may have left its own in their place."""
    for stream in _streams.values():
        vars(stream.local).pop("target", None)


def watch(imports: AfterImport) -> None:
    """Change prompt flow's logs and metrics as soon as anything imports them."""
    imports.on("promptflow._core.log_manager", lambda _: _quiet())
    imports.on("promptflow._core.metric_logger", lambda _: _metrics_per_run())


def _quiet() -> None:
    """Turn prompt flow's node logs and its log lines off: they cost time and memory, and nobody reads them here."""
    from promptflow._core.log_manager import NodeLogManager
    from promptflow._utils import logger_utils

    def enter(manager: Any) -> Any:
        return manager

    def nothing(*_: object) -> None:
        return None

    NodeLogManager.__enter__ = enter
    NodeLogManager.__exit__ = nothing
    NodeLogManager.set_node_context = nothing
    NodeLogManager.clear_node_context = nothing
    NodeLogManager.get_logs = nothing
    for logger in (logger_utils.logger, logger_utils.flow_logger, logger_utils.bulk_logger):
        logger.setLevel(logging.CRITICAL + 1)


def _metrics_per_run() -> None:
    """Keep runs that aggregate at the same time from getting each other's metrics."""
    from promptflow._core.metric_logger import MetricLoggerManager

    class PerRun(MetricLoggerManager):  # type: ignore[misc]  # the engine ships no types
        def add_metric_logger(self, logger_func: Callable[[str, Any], None]) -> None:
            receiver.set(logger_func)  # prompt flow copies the context into the threads of the aggregation nodes

        def remove_metric_logger(self, _: Callable[[str, Any], None]) -> None:
            receiver.set(None)

        def log_metric(self, key: str, value: Any, _variant_id: str | None = None) -> None:
            receive = receiver.get()
            if receive is not None:
                receive(key, value)

    MetricLoggerManager._instance = PerRun()  # noqa: SLF001  # the engine's singleton has no setter
