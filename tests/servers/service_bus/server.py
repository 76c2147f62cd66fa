"""`Broker`: the broker in a thread of its own, on a free port of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import uuid
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from shared.adapters.local.clock import SystemClock
from shared.adapters.queues import QueueConfig
from shared.ports import Clock, QueueCounts
from tests.servers.service_bus.cbs import KEY, KEY_NAME
from tests.servers.service_bus.connection import Connection
from tests.servers.service_bus.counters import Counters
from tests.servers.service_bus.errors import INTERNAL, Refused
from tests.servers.service_bus.faults import Faults
from tests.servers.service_bus.hub import Hub
from tests.servers.service_bus.messages import State

T = TypeVar("T")


class Broker:
    """A Service Bus namespace for tests. Queues, locks and messages live as long as it does.

    With `tls`, a server context, it speaks TLS; see `endpoint` for how a client with a token credential gets there.
    """

    def __init__(
        self,
        queues: Sequence[QueueConfig],
        *,
        clock: Clock | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.faults, self.counters = Faults(), Counters()
        self.port = port
        self._queues, self._clock, self._tls = queues, clock or SystemClock(), tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="service-bus-broker", daemon=True)
        self._server: asyncio.Server | None = None
        self._reopening: asyncio.TimerHandle | None = None

    @property
    def connection_string(self) -> str:
        """For clients without TLS: the development emulator's form, which keeps the port."""
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY};"
            "UseDevelopmentEmulator=true;"
        )

    @property
    def endpoint(self) -> str:
        """For clients with TLS and a token credential: their `custom_endpoint_address`, with TransportType.Amqp."""
        return f"https://localhost:{self.port}"

    def start(self) -> Self:
        """Listen. Raises OSError: the port is taken."""
        self._thread.start()
        try:
            self._run(self._start)
        except BaseException:
            self._end_thread()
            raise
        return self

    def stop(self) -> None:
        """Cut all connections and end the thread."""
        self._run(self._stop)
        self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def cut_off(self, seconds: float) -> None:
        """Cut all connections and refuse new ones for so long (real time); queues and locks stay. Returns at once."""
        self._run(lambda: self._cut_off(seconds))

    def restore(self) -> None:
        """End `cut_off` now."""
        self._run(self._listen)

    def cut_connections(self) -> None:
        """Cut all connections; clients may connect again at once."""
        self._run(self._abort)

    def detach_receivers(self, condition: str = INTERNAL) -> None:
        """Detach every link that receives from a queue."""
        self._call(lambda: self._hub.detach_all(Refused(condition, "The broker detaches this link.")))

    def reset(self) -> None:
        """Empty all queues and forget ids, faults and counts; connections stay, receivers of sessions are detached."""
        self.faults.clear()
        self._call(self._hub.reset)

    def is_locked(self, queue: str, token: uuid.UUID) -> bool:
        """Whether a message of a queue is (still) locked by this token."""
        return self._call(lambda: self._hub.entity(queue).is_locked(token))

    def counts(self, queue: str) -> QueueCounts:
        """What waits in a queue, as the portal counts it. Raises Refused: there is no such queue."""
        return self._call(lambda: self._count(queue))

    def _count(self, queue: str) -> QueueCounts:
        entity = self._hub.entity(queue)
        entity.tick(self._hub.now())
        scheduled = sum(message.state is State.SCHEDULED for message in entity.messages.values())
        dead = 0 if entity.address.is_dead_letter else len(self._hub.entity(f"{queue}/$deadletterqueue").messages)
        return QueueCounts(active=len(entity.messages) - scheduled, scheduled=scheduled, dead_letter=dead)

    def _call(self, work: Callable[[], T]) -> T:
        async def call() -> T:
            return work()

        return self._run(call)

    def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    async def _start(self) -> None:
        self._hub = Hub(self._queues, self._clock, self.faults, self.counters)
        await self._listen()
        self._time = asyncio.ensure_future(self._hub.pass_time())

    async def _listen(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        if self._server is None:
            self._server = await self._loop.create_server(
                lambda: Connection(self._hub), "127.0.0.1", self.port, ssl=self._tls, reuse_address=True
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def _cut_off(self, seconds: float) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._hub.abort_all()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = self._loop.call_later(seconds, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        self._opening: asyncio.Future[Any] = asyncio.ensure_future(self._listen())

    async def _abort(self) -> None:
        self._hub.abort_all()

    async def _stop(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
        if self._server is not None:
            self._server.close()
        self._hub.abort_all()
        self._time.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._time
        await asyncio.sleep(0)
