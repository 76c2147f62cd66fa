"""From any thread to the one that sends: nobody waits, nobody fails, and what is too much is dropped and counted.

The thread starts with the first signal and imports the SDK then: at the first handled message, not at the app's start.
It hands spans and lines to batches that leave within a second, and sends everything, metrics too, when nothing has come
for `IDLE_S`: a Functions instance that falls idle may be taken away, and the host does not wait for our threads.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Any, Final, Protocol

from shared.settings import Settings
from shared.telemetry.signals import Signal

log = logging.getLogger("genaiops.telemetry")

LIMIT: Final = 20_000
"""Signals that wait; further ones are dropped, for memory is worth more."""
IDLE_S: Final = 2.0
LAST_S: Final = 5.0
"""How long a process that ends waits for what it has not sent."""


class Sink(Protocol):
    """Where signals go; used by one thread alone."""

    def take(self, signal: Signal) -> None:
        """Take a signal; it may be sent later."""
        ...

    def flush(self) -> None:
        """Send all that was taken."""
        ...

    def close(self) -> None:
        """Send all that was taken, and stop."""
        ...


class Pipe:
    """One queue, one thread, one sink."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open_sink = open_sink
        self._waiting: Queue[Signal | threading.Event | None] = Queue(LIMIT)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Signals that did not fit, or that the sink could not take."""

    def put(self, signal: Signal | threading.Event) -> None:
        """Send the signal some time; it never waits and never raises."""
        try:
            self._waiting.put_nowait(signal)
        except Full:
            self.dropped += 1
            return
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._send, name="telemetry", daemon=True)
                    self._thread.start()

    def flush(self, seconds: float) -> bool:
        """Send all that was put so far; False where that took longer than `seconds`."""
        if self._thread is None:
            return True
        sent = threading.Event()
        self.put(sent)
        return sent.wait(seconds)

    def close(self, seconds: float = LAST_S) -> None:
        """Send all that was put so far, wait for it no longer than `seconds`, and end the thread."""
        if self._thread is not None:
            try:
                self._waiting.put(None, timeout=seconds)
            except Full:
                return
            self._thread.join(seconds)

    def _send(self) -> None:
        try:
            sink = self._open_sink()
        except Exception:
            log.exception("Telemetry cannot be sent; everything else goes on")
            sink = _Nowhere()
        unsent = False
        while True:
            try:
                signal = self._waiting.get(timeout=IDLE_S if unsent else None)
            except Empty:
                self._safely(sink.flush)
                unsent = False
                continue
            if signal is None:
                self._safely(sink.close)
                return
            if isinstance(signal, threading.Event):
                self._safely(sink.flush)
                unsent = False
                signal.set()
                continue
            unsent = True
            try:
                sink.take(signal)
            except Exception:
                if not self.dropped:
                    log.warning("Telemetry was dropped; everything else goes on", exc_info=True)
                self.dropped += 1

    def _safely(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.debug("telemetry was not sent", exc_info=True)


class _Nowhere:
    def take(self, signal: Signal) -> None:
        """Drop it."""

    def flush(self) -> None:
        """Nothing is there."""

    def close(self) -> None:
        """Nothing is there."""


_lock = threading.Lock()
_pipes: dict[str, Pipe] = {}
_active: list[Pipe] = []
_credentials: list[Any] = []


def identify(credential: Any) -> None:
    """Send as this identity (azure-core's `TokenCredential`) where the settings say that telemetry needs one."""
    _credentials[:] = [credential]


def start(settings: Settings) -> Pipe | None:
    """The pipe of this process, begun at the first call; None where Application Insights is not configured."""
    connection = settings.application_insights
    if connection is None:
        return None
    found = _pipes.get(connection)
    if found is not None:
        return found
    with _lock:
        if connection not in _pipes:
            from shared.telemetry import application_insights, logs

            pipe = Pipe(lambda: application_insights.open_sink(settings, *_credentials))
            logs.attach(pipe)
            _pipes[connection] = pipe
            _active[:] = [pipe]
            atexit.register(pipe.close)
        return _pipes[connection]


def active() -> Pipe | None:
    """The pipe that was started last; None where there is none."""
    return _active[0] if _active else None


def stop(seconds: float = LAST_S) -> None:
    """Send what is left, as far as `seconds` are enough, and forget the pipes: for tests, and for hosts that end."""
    from shared.telemetry import logs

    with _lock:
        for pipe in _pipes.values():
            logs.detach(pipe)
            atexit.unregister(pipe.close)
            pipe.close(seconds)
        _pipes.clear()
        _active.clear()
