"""Carrying one chain's messages from queue to handler in this process, until the chain has ended.

request → `advance.start` → commands → `perform`, many side by side → events → `advance`, one at a time: what the
functions host does with the same handlers, without a host. The queues are in memory and belong to one chain.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from genaiops.lab.errors import LabError
from shared import advance, chain_store, dead_letters
from shared.adapters.memory.bus import MemoryBus, QueueConfig
from shared.adapters.queues import DEAD_LETTER_SUFFIX
from shared.chain.messages import Queue
from shared.chain.state import Chain
from shared.delivery import Delivery
from shared.errors import Conflict, NotFound
from shared.perform import perform
from shared.ports import Clock, OutgoingMessage, Ports, ReceivedMessage
from shared.settings import Settings

log: Final = logging.getLogger("genaiops.lab")

LOCK_S: Final = 24 * 3600.0
"""A handler may take as long as its run does, and nobody renews locks here: there is no other consumer to wait for."""
_TICK_S: Final = 0.05
"""How long a thread that found no message waits: scheduled messages come due without anybody sending them."""
_COMMANDS: Final = (
    Queue.EVALUATION,  # first, so that a run is evaluated before the next one begins
    Queue.EXPERIMENTATION,
    Queue.REGISTRATION,
    Queue.REPORTING,
    Queue.NOTIFICATION,
    Queue.DEPLOYMENT,
)

Handler = Callable[[Ports, Delivery], None]


class LabBus(MemoryBus):
    """The bus in memory; whoever waits for a message learns at once that one was sent."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        queues = [
            QueueConfig(
                name,
                lock_seconds=LOCK_S,
                max_delivery_count=settings.max_delivery_count,
                sessions=queue is Queue.CHAIN_EVENTS,
            )
            for queue, name in settings.queues.items()
        ]
        super().__init__(queues, clock)
        self.changed = threading.Condition()

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages, and wake who waits."""
        super().send(queue, messages)
        self.wake()

    def wake(self) -> None:
        """Have all who wait look again."""
        with self.changed:
            self.changed.notify_all()


class Pump:
    """Threads that handle messages while this is entered."""

    def __init__(self, ports: Ports, bus: LabBus, threads: int) -> None:
        self._ports = ports
        self._bus = bus
        self._stopping = threading.Event()
        self._busy = 0
        self._mutex = threading.Lock()
        # Events in a thread of their own: commands may take all others for minutes, and a chain goes on by its events.
        steps = [self._events, *[self._commands] * threads]
        self._threads = [
            threading.Thread(target=self._work, args=(step,), name="lab-pump", daemon=True) for step in steps
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._bus.wake()
        for thread in self._threads:
            thread.join(30)

    def until_ended(self, identifier: str) -> Chain:
        """Wait for the chain's end.

        Raises:
            LabError: its messages cannot be handled; the text holds why.
        """
        idle = 0
        while True:
            with suppress(NotFound):
                chain, _ = chain_store.load(self._ports.blobs, identifier)
                if chain.status.is_final and not chain.awaiting:
                    return chain
            idle = 0 if self._has_work() else idle + 1
            if idle > 3:
                reasons = [f"{letter.reason}: {letter.description}" for letter in dead_letters.listed(self._ports)]
                raise LabError(f"The chain {identifier} stopped before its end. {' '.join(reasons)}".strip())
            with self._bus.changed:
                self._bus.changed.wait(_TICK_S)

    def _has_work(self) -> bool:
        # Busy is asked first: a handler that ends in between has sent its message by then.
        if self._busy:
            return True
        counts = [self._bus.counts(name) for name in self._ports.settings.queues.values()]
        return any(count.active or count.scheduled or count.dead_letter for count in counts)

    def _work(self, step: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            try:
                found = step()
            except Exception:  # a thread has no caller; without it the chain would stop and say nothing
                log.exception("a message could not be received")
                found = False
            if not found and not self._stopping.is_set():
                with self._bus.changed:
                    self._bus.changed.wait(_TICK_S)

    def _events(self) -> bool:
        """Handle one request, one dead letter, or all events of a session; False if there is none."""
        names = self._ports.settings.queues
        if self._one(Queue.CHAIN_REQUESTS, names[Queue.CHAIN_REQUESTS], advance.start):
            return True
        if any(self._one(queue, name + DEAD_LETTER_SUFFIX, dead_letters.record) for queue, name in names.items()):
            return True
        name = names[Queue.CHAIN_EVENTS]
        session = self._bus.accept_session(name)
        if session is None:
            return False
        found = False
        try:
            while self._one(Queue.CHAIN_EVENTS, name, advance.advance, session):
                found = True
        finally:
            self._bus.release_session(name, session)
        return found

    def _commands(self) -> bool:
        return any(self._one(queue, self._ports.settings.queues[queue], perform) for queue in _COMMANDS)

    def _one(self, queue: Queue, name: str, handler: Handler, session: str | None = None) -> bool:
        """Receive and handle one message; False if there is none."""
        with self._mutex:
            self._busy += 1
        try:
            received = self._bus.receive(name, session_id=session)
            for message in received:
                self._handle(queue, message, handler)
            return bool(received)
        finally:
            with self._mutex:
                self._busy -= 1

    def _handle(self, queue: Queue, message: ReceivedMessage, handler: Handler) -> None:
        delivery = Delivery(
            queue,
            message.body,
            message.message_id,
            message.delivery_count,
            message.enqueued_at,
            dead_letter_reason=message.dead_letter_reason or "",
            dead_letter_description=message.dead_letter_description or "",
        )
        try:
            handler(self._ports, delivery)
        except Exception:
            log.warning("%s: delivered again", message.message_id, exc_info=True)
            with suppress(Conflict):
                self._bus.abandon(message)
            return
        self._bus.complete(message)
