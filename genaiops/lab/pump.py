"""Carrying one chain's messages from queue to handler in this process, until the chain has ended.

request → `advance.start` → commands → `perform`, many side by side → events → `advance`, one at a time: what the
functions host does with the same handlers, without a host. The queues are in memory and belong to one chain.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from heapq import heappop, heappush
from types import TracebackType
from typing import Final, Self

from genaiops.lab.errors import LabError
from shared import advance, chain_store, dead_letters
from shared.adapters.memory.bus import MemoryBus, QueueConfig
from shared.adapters.queues import DEAD_LETTER_SUFFIX
from shared.chain.messages import Queue
from shared.chain.state import Chain
from shared.delivery import Delivery, delivery_from
from shared.errors import Conflict, NotFound
from shared.perform import perform
from shared.ports import Clock, OutgoingMessage, Ports, ReceivedMessage
from shared.settings import Settings

log: Final = logging.getLogger("genaiops.lab")

LOCK_S: Final = 24 * 3600.0
"""A handler may take as long as its run does, and nobody renews locks here: there is no other consumer to wait for."""
_LOOK_S: Final = 0.25
"""How often who waits for the chain's end looks, though nothing has happened: whether anything still can."""
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
    """The bus in memory; whoever waits for a message learns at once that one was sent, or has come due."""

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
        self._changed = threading.Condition()
        self._due: list[datetime] = []
        """When scheduled messages come due: they do so without anybody sending them. A heap."""
        self.changes = 0
        """How often there was something new. To be read before one looks, and given to `wait`."""

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages, and wake who waits."""
        super().send(queue, messages)
        with self._changed:
            for message in messages:
                if message.deliver_at is not None:
                    heappush(self._due, message.deliver_at)
        self.wake()

    def wake(self) -> None:
        """Have all who wait look again."""
        with self._changed:
            self.changes += 1
            self._changed.notify_all()

    def wait(self, seen: int, at_most_s: float | None = None) -> None:
        """Wait until there is something that was not when `changes` was `seen`, or so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.changes != seen, at_most_s)

    def wait_or_due(self, seen: int) -> None:
        """As `wait`, and wake the others when a scheduled message comes due. For one thread."""
        with self._changed:
            due = self._due[0] if self._due else None
        left = None if due is None else max(0.0, (due - self._clock.now()).total_seconds())
        self.wait(seen, left)
        if due is not None and due <= self._clock.now():
            with self._changed:
                heappop(self._due)
            self.wake()


class Pump:
    """Threads that handle messages while this is entered."""

    def __init__(self, ports: Ports, bus: LabBus, threads: int) -> None:
        self._ports = ports
        self._bus = bus
        self._stopping = threading.Event()
        self._busy = 0
        self._mutex = threading.Lock()
        # Events in a thread of their own: commands may take all others for minutes, and a chain goes on by its events.
        # It alone looks at the clock, and wakes the others: if all of them did, their looking would be work.
        self._threads = [threading.Thread(target=self._work_on_events, name="lab-pump-events", daemon=True)]
        self._threads += [
            threading.Thread(target=self._work_on_commands, name="lab-pump", daemon=True) for _ in range(threads)
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
            seen = self._bus.changes
            with suppress(NotFound):
                chain, _ = chain_store.load(self._ports.blobs, identifier)
                if chain.status.is_final and not chain.awaiting:
                    return chain
            idle = 0 if self._has_work() else idle + 1
            if idle > 3:
                reasons = [f"{letter.reason}: {letter.description}" for letter in dead_letters.listed(self._ports)]
                raise LabError(f"The chain {identifier} stopped before its end. {' '.join(reasons)}".strip())
            self._bus.wait(seen, _LOOK_S)

    def _has_work(self) -> bool:
        # Busy is asked first: a handler that ends in between has sent its message by then.
        if self._busy:
            return True
        counts = [self._bus.counts(name) for name in self._ports.settings.queues.values()]
        return any(count.active or count.scheduled or count.dead_letter for count in counts)

    def _work_on_events(self) -> None:
        while not self._stopping.is_set():
            seen = self._bus.changes
            if self._found(self._events):
                self._bus.wake()  # perhaps it was the chain's last
            elif not self._stopping.is_set():
                self._bus.wait_or_due(seen)

    def _work_on_commands(self) -> None:
        while not self._stopping.is_set():
            seen = self._bus.changes
            if not self._found(self._commands) and not self._stopping.is_set():
                self._bus.wait(seen)

    def _found(self, step: Callable[[], bool]) -> bool:
        try:
            return step()
        except Exception:  # a thread has no caller; without it the chain would stop and say nothing
            log.exception("a message could not be received")
            time.sleep(_LOOK_S)
            return False

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
        delivery = delivery_from(queue, message)
        try:
            handler(self._ports, delivery)
        except Exception:
            log.warning("%s: delivered again", message.message_id, exc_info=True)
            with suppress(Conflict):
                self._bus.abandon(message)
            self._bus.wake()
            return
        self._bus.complete(message)
