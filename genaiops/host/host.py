"""The embedded host: one FunctionApp, fed from a queue receiver, a blob store, a clock and an HTTP server.

The order of starting and stopping is what makes it lose nothing: nothing is taken before everything can be served;
when it stops, first nothing more is taken, then what runs is finished and settled, then locks and files are let go.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from genaiops.host.blobs import BlobFeed, PoisonBlob
from genaiops.host.errors import HostError
from genaiops.host.held_back import FIRST_WAIT
from genaiops.host.host_json import HostJson, read_host_json
from genaiops.host.http import ADDRESS, HttpFeed
from genaiops.host.keys import FunctionKeys, load_keys
from genaiops.host.ledger import Ledger
from genaiops.host.lock import HomeLock
from genaiops.host.queues import QueueFeed
from genaiops.host.timers import TimerFeed
from genaiops.host.triggers import BlobTrigger, HttpTrigger, QueueTrigger, TimerTrigger, read_triggers
from shared.adapters.local.clock import SystemClock
from shared.ports import BlobStore, Clock, QueueReceiver

if TYPE_CHECKING:
    import azure.functions as func

log: Final = logging.getLogger("genaiops.host")


@runtime_checkable
class ReleasesOrphans(Protocol):
    """A receiver that can free the locks of processes that were killed, so that a restart need not wait for them."""

    def release_orphans(self) -> int:
        """Free them; returns how many."""
        ...


class Feed(Protocol):
    """What brings work to one kind of trigger."""

    def start(self) -> None:
        """Begin. Raises HostError."""
        ...

    def stop_receiving(self) -> None:
        """Take nothing more."""
        ...

    def drain(self, timeout: float) -> bool:
        """Wait until what was taken is finished; False if `timeout` seconds were not enough."""
        ...


class Host:
    """Runs the functions of a FunctionApp in this process, in threads, until it is stopped."""

    def __init__(
        self,
        function_app: func.FunctionApp,
        receiver: QueueReceiver,
        blobs: BlobStore,
        state_dir: Path,
        http_port: int,
        *,
        host_json: Path | Mapping[str, Any],
        app_settings: Mapping[str, str] | None = None,
        concurrency: Mapping[str, int] | None = None,
        clock: Clock | None = None,
        drain_timeout_s: float = 30.0,
        first_wait_s: float = FIRST_WAIT,
        on_poison: Callable[[PoisonBlob], None] | None = None,
        lock: HomeLock | None = None,
        takes_old_blobs: bool = True,
    ) -> None:
        """Read the app; it can be read once in its life.

        Args:
            function_app: the app, not yet indexed by anyone.
            receiver: where queue triggers get their messages.
            blobs: where blob triggers look.
            state_dir: where the host keeps its lock, its keys and its receipts; one host at a time has it.
            http_port: port on 127.0.0.1; 0 takes a free one.
            host_json: the file beside `function_app.py`, or its content.
            app_settings: values of `%NAME%` in bindings; by default the process environment.
            concurrency: queue → messages (or sessions) side by side; otherwise what `host_json` says.
            clock: for locks and timers; by default the machine's.
            drain_timeout_s: how long `stop` waits for functions that run.
            first_wait_s: how long a message or a blob that failed waits for its second try; each further wait doubles.
            on_poison: told of each blob whose function failed at every try; where it raises, the blob is tried again.
            lock: of `state_dir`, where the caller has taken it already; by default one of its own.
            takes_old_blobs: whether blob triggers are called for what was there before this host first looked. Not so
                where another host has handled it: this one, without receipts, would take all of it for new.

        Raises:
            HostError: a trigger cannot be served; the text names it.
        """
        settings = os.environ if app_settings is None else app_settings
        self._triggers = read_triggers(function_app, settings)
        self._config: HostJson = read_host_json(host_json)
        self._receiver, self._blobs = receiver, blobs
        self._state_dir, self._http_port = state_dir, http_port
        self._concurrency = concurrency or {}
        self._clock: Clock = clock or SystemClock()
        self._drain_timeout = drain_timeout_s
        self._first_wait = first_wait_s
        self._on_poison, self._takes_old_blobs = on_poison, takes_old_blobs
        self._lock = lock or HomeLock(state_dir)
        self._locked = False
        self._stop_requested = threading.Event()
        self._ledger: Ledger | None = None
        self._http: HttpFeed | None = None
        self._feeds: list[Feed] = []
        self._keys: FunctionKeys | None = None

    @property
    def http_url(self) -> str:
        """Address of the HTTP functions, with the route prefix, without a trailing slash."""
        port = self._http.port if self._http else self._http_port
        return f"http://{ADDRESS}:{port}/{self._config.route_prefix}".rstrip("/")

    @property
    def keys(self) -> FunctionKeys:
        """The function keys of this home. Only after `start`."""
        if self._keys is None:
            raise HostError("The host has no keys before it was started.")
        return self._keys

    def start(self) -> None:
        """Take the home, begin to serve and return.

        Raises:
            HostError: another host has the home, the port is taken, a queue does not exist. Nothing is left running.
        """
        self._state_dir.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._locked = True
        try:
            self._begin()
        except BaseException:
            self._end(0)
            raise
        log.info("serving %d functions; HTTP on %s", len(self._triggers), self.http_url)

    def request_stop(self) -> None:
        """Ask `wait` to return; safe in a signal handler."""
        self._stop_requested.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a stop is requested; False after `timeout` seconds without one."""
        deadline = None if timeout is None else time.monotonic() + timeout
        # In slices, for on Windows a signal is only seen between them.
        while not self._stop_requested.wait(min(1.0, deadline - time.monotonic()) if deadline else 1.0):
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return True

    def stop(self) -> bool:
        """Drain and let everything go; a second call does nothing.

        Returns:
            False if functions still ran after the drain timeout. Their messages stay locked until the lock runs out or
            the next host frees them, and come again.
        """
        self._stop_requested.set()
        drained = self._end(self._drain_timeout)
        if not drained:
            log.warning(
                "functions still run after %.0f s; what they work on will be delivered again", self._drain_timeout
            )
        return drained

    def _begin(self) -> None:
        if isinstance(self._receiver, ReleasesOrphans) and (freed := self._receiver.release_orphans()):
            log.info("freed %d locks of hosts that were killed", freed)
        self._keys = load_keys(self._state_dir / "keys.json")
        self._ledger = Ledger(self._state_dir / "host.db")
        queues = [trigger for trigger in self._triggers if isinstance(trigger, QueueTrigger)]
        containers = [trigger for trigger in self._triggers if isinstance(trigger, BlobTrigger)]
        timers = [trigger for trigger in self._triggers if isinstance(trigger, TimerTrigger)]
        routes = [trigger for trigger in self._triggers if isinstance(trigger, HttpTrigger)]
        self._http = HttpFeed(routes, self._config.route_prefix, self._keys, self._http_port)
        feeds: list[Feed] = [
            self._http,
            QueueFeed(queues, self._receiver, self._clock, self._config, self._concurrency, self._first_wait),
            BlobFeed(
                containers,
                self._blobs,
                self._ledger,
                self._first_wait,
                self._on_poison,
                takes_old=self._takes_old_blobs,
            ),
            TimerFeed(timers, self._clock, self._ledger),
        ]
        for feed in feeds:
            feed.start()
            self._feeds.append(feed)

    def _end(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        feeds, self._feeds = self._feeds, []
        for feed in feeds:
            feed.stop_receiving()
        drained = [feed.drain(max(0.0, deadline - time.monotonic())) for feed in feeds]
        if self._ledger is not None and all(drained):
            self._ledger.close()  # a function that still runs writes its receipt yet
        self._ledger = None
        if self._locked:  # a second call must not let go what the caller holds
            self._locked = False
            self._lock.release()
        return all(drained)
