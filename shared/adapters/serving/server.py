"""The server in a container: it answers from its start, loads the flow, serves it, and drains when it is told to stop.

The flow is loaded by the main thread, as flow code expects of a program that imports it; requests are answered by other
threads. A flow that cannot be loaded leaves a server that says why: its host sees an instance that is not ready.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Final, NoReturn

from shared.adapters.serving.apps import ServedFlow, app_of
from shared.adapters.serving.front import CANNOT_SERVE, Front
from shared.adapters.serving.json_lines import JsonLines
from shared.adapters.serving.web import WebServer

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_REASON_CHARACTERS: Final = 2000


@dataclass(frozen=True)
class ServerSettings:
    """How a container serves; read from its environment."""

    host: str = "0.0.0.0"  # noqa: S104  # inside a container: who may reach it is its host's business
    port: int = 8080
    concurrency: int = 32
    """Requests that are worked on at once; as many more wait."""
    max_body: int = 16 * 1024 * 1024
    """Bytes of a request."""
    drain_s: float = 25.0
    """Seconds that requests in work have to end when it is told to stop; hosts kill after 30."""
    deployment: str = ""
    """Its name, which answers bear."""


def run(served: ServedFlow | str, environment: Mapping[str, str], settings: ServerSettings, log: JsonLines) -> NoReturn:
    """Serve, until told to stop. `served` is a text where there is nothing that can be loaded: why.

    Raises:
        OSError: it cannot listen.
    """
    stopping = Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))  # while the flow is loaded nothing is in work
    front = Front(log, deployment=settings.deployment, concurrency=settings.concurrency)
    web = WebServer(front, host=settings.host, port=settings.port, threads=front.threads, max_body=settings.max_body)
    log("info", "listening", port=web.port, deployment=settings.deployment or None)
    os.environ.clear()
    os.environ.update(environment)
    if isinstance(served, str):
        front.refuse(served, CANNOT_SERVE)
        log("error", f"not ready: {served}")
    else:
        try:
            front.serve(app_of(served))
        except BaseException as error:  # flow code may raise anything, SystemExit too
            reason = f"the flow cannot be loaded: {type(error).__name__}: {error}"[:_REASON_CHARACTERS]
            front.refuse(log.shown(reason), CANNOT_SERVE)
            log("error", reason)
        else:
            log("info", "ready")
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.wait(1.0):
        pass  # in slices: a wait without end would not let the signal's handler run on every platform
    front.refuse("it stops")
    log("info", "stopping")
    is_drained = web.drain(settings.drain_s)
    log("info" if is_drained else "warning", "stopped" if is_drained else "stopped with requests in work")
    os._exit(0)
