"""Receiving from Service Bus in peek-lock mode, for the embedded host and for what looks after dead letters.

Each queue has two receivers. One takes messages; a thread that waits for the next one has it for that long, and the
SDK allows nobody else to use it meanwhile. The other settles, renews and browses, by lock tokens, over the queue's
management link: the way that the SDK itself goes for a message whose link was lost. What belongs to a session goes
through the session's own receiver (`bus_sessions.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.adapters.azure.bus_browsing import browsed, is_scheduled
from shared.adapters.azure.bus_errors import explained
from shared.adapters.azure.bus_handler import Handler, close_all
from shared.adapters.azure.bus_locks import LockedMessages, lost
from shared.adapters.azure.bus_messages import received
from shared.adapters.azure.bus_namespace import Clients, Timing
from shared.adapters.azure.bus_sessions import Sessions
from shared.adapters.queues import DEAD_LETTER_SUFFIX, Address, QueueConfig, resolve
from shared.errors import Conflict, GenAIOpsError, Malformed
from shared.ports import QueueCounts, ReceivedMessage

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiver


class Receiving:
    """The receiving half of `ServiceBus`."""

    def __init__(self, clients: Clients, queues: Mapping[str, QueueConfig], timing: Timing) -> None:
        self._clients, self._queues, self._timing = clients, queues, timing
        self._known = ", ".join(sorted(config.name for config in queues.values()))
        self._lock = threading.Lock()
        self._receivers: dict[tuple[str, str], Handler[ServiceBusReceiver]] = {}
        self._locked = LockedMessages()
        self._sessions = Sessions(clients, self._explain, timing)

    # -------------------------------------------------------------------------------------------------------- taking

    def open(self, queue: str) -> None:
        """Open the queue's receiver; of a queue with sessions, look for one, which is kept for who accepts next.

        Raises:
            NotFound: the queue does not exist.
            BusinessFailure: access was refused, or the queue has sessions and should not, or the reverse.
            Transient: the namespace cannot be reached.
        """
        address = resolve(self._queues, queue)
        if address.sessions:
            self._sessions.open(address)
        else:
            self._taking(address).use(lambda _: None)

    def receive(self, queue: str, *, count: int = 1, session_id: str | None = None) -> list[ReceivedMessage]:
        """Lock and return up to `count` messages that are due, oldest first; an empty answer takes `Timing.look_s`.

        Raises:
            Conflict: the queue has sessions and `session_id` is not held (any more) by this consumer.
        """
        address = resolve(self._queues, queue)
        found: list[ReceivedMessage] = []
        while len(found) < count and (message := self._take(address, self._timing.look_s, session_id)):
            found.append(message)
        return found

    def wait_for_message(self, queue: str, wait_s: float, *, session_id: str | None = None) -> ReceivedMessage | None:
        """Lock and return the next message that is or comes due within `wait_s` seconds. Raises Conflict."""
        return self._take(resolve(self._queues, queue), wait_s, session_id)

    def accept_session(self, queue: str) -> str | None:
        """Lock and return a session that has a due message and no other consumer; None if there is none."""
        return self.wait_for_session(queue, self._timing.look_s)

    def wait_for_session(self, queue: str, wait_s: float) -> str | None:
        """The same, waiting up to `wait_s` seconds. To open the link takes some tenths of a second of its own."""
        address = resolve(self._queues, queue)
        if not address.sessions:
            raise Malformed(f"The queue {address.name} has no sessions: receive from it without accepting one.")
        return self._sessions.accept(address, wait_s)

    def stop_waiting(self) -> None:
        """Let everybody who waits for a session return."""
        self._sessions.stop_waiting()

    def renew_session(self, queue: str, session_id: str) -> None:
        """Extend the lock on a session. Raises Conflict if it was lost."""
        self._sessions.renew(resolve(self._queues, queue), session_id)

    def release_session(self, queue: str, session_id: str) -> None:
        """Let another consumer have the session; messages of it that are not settled are available again."""
        self._sessions.release(resolve(self._queues, queue), session_id)

    # ------------------------------------------------------------------------------------------------------ settling

    def complete(self, message: ReceivedMessage) -> None:
        """Remove the message. Raises Conflict if the lock was lost."""
        self._settle(message, lambda receiver, taken: receiver.complete_message(taken))

    def abandon(self, message: ReceivedMessage) -> None:
        """Give the message back at once, or dead-letter it if that was its last delivery. Raises Conflict."""
        self._settle(message, lambda receiver, taken: receiver.abandon_message(taken))

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str) -> None:
        """Move the message to the dead-letter queue. Raises Conflict if the lock was lost."""
        address = resolve(self._queues, message.queue)
        if address.is_dead_letter:
            raise Malformed(f"{address.name} is a dead-letter queue: complete or abandon its messages.")
        self._settle(
            message,
            lambda receiver, taken: receiver.dead_letter_message(taken, reason=reason, error_description=description),
        )

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock; for a message of a session, the session's. Raises Conflict if it was lost."""
        address = resolve(self._queues, message.queue)
        if address.sessions:
            until = self._sessions.renew(address, message.session_id or "")
        else:
            taken = self._locked.held(message)
            until = self._on_message(address, message, lambda receiver: receiver.renew_message_lock(taken))
        return replace(message, locked_until=until)

    # ------------------------------------------------------------------------------------------------------- looking

    def peek(self, queue: str, count: int = 32) -> list[ReceivedMessage]:
        """The first `count` messages without locking them; locked ones and scheduled ones (`locked_until`: due) too.

        Raises:
            Malformed: the queue has sessions, whose messages Service Bus shows only to their holder.
        """
        address = self._browsable(queue)
        found = [received(address.name, message) for message in self._browse(address, count)]
        # A message that is looked at is not delivered: its count is that of the deliveries that failed.
        return [replace(message, lock_token="", delivery_count=message.delivery_count - 1) for message in found]

    def counts(self, queue: str) -> QueueCounts:
        """How many messages wait in the queue, counted by browsing it: the runtime figures of the portal need the right
        to manage the namespace, which the product does not ask for. Raises Malformed for a queue with sessions.
        """
        address = self._browsable(queue)
        scheduled = active = 0
        for message in self._browse(address, None):
            if is_scheduled(message):
                scheduled += 1
            else:
                active += 1
        buried = 0
        if not address.is_dead_letter:
            buried = len(self._browse(resolve(self._queues, address.config.name + DEAD_LETTER_SUFFIX), None))
        return QueueCounts(active=active, scheduled=scheduled, dead_letter=buried)

    def close(self) -> None:
        """End all receivers."""
        with self._lock:
            receivers, self._receivers = list(self._receivers.values()), {}
        self._locked.clear()
        close_all([*(receiver.close for receiver in receivers), self._sessions.close])

    # ------------------------------------------------------------------------------------------------------- helpers

    def _take(self, address: Address, wait_s: float, session_id: str | None) -> ReceivedMessage | None:
        """The next message.

        One at a time: what is asked for and does not come in time, the broker may still send later, to somebody who
        does not wait any more, and it is locked until the SDK has noticed and given it back.
        """

        def take(receiver: ServiceBusReceiver) -> ReceivedMessage | None:
            until = receiver.session.locked_until_utc if address.sessions else None
            for taken in receiver.receive_messages(max_message_count=1, max_wait_time=wait_s):
                message = received(address.name, taken, until)
                self._locked.keep(message, taken)
                return message
            return None

        if address.sessions:
            return self._sessions.use(address, session_id or "", take)
        return self._taking(address).use(take)

    def _settle(
        self, message: ReceivedMessage, settle: Callable[[ServiceBusReceiver, ServiceBusReceivedMessage], None]
    ) -> None:
        address = resolve(self._queues, message.queue)
        taken = self._locked.held(message)
        try:
            self._on_message(address, message, lambda receiver: settle(receiver, taken))
        except Conflict:
            self._locked.forget(message)
            raise
        self._locked.forget(message)

    def _on_message(
        self, address: Address, message: ReceivedMessage, operation: Callable[[ServiceBusReceiver], Any]
    ) -> Any:
        try:
            if address.sessions:
                return self._sessions.use(address, message.session_id or "", operation)
            return self._settling(address).use(operation)
        except Conflict as error:
            raise lost(message) from error

    def _taking(self, address: Address) -> Handler[ServiceBusReceiver]:
        name, buried = address.config.name, address.is_dead_letter
        return self._handler(address, "takes", partial(self._clients.receiver, name, is_dead_letter=buried))

    def _settling(self, address: Address) -> Handler[ServiceBusReceiver]:
        name, buried = address.config.name, address.is_dead_letter
        return self._handler(address, "settles", partial(self._clients.settler, name, is_dead_letter=buried))

    def _handler(
        self, address: Address, role: str, make: Callable[[], ServiceBusReceiver]
    ) -> Handler[ServiceBusReceiver]:
        with self._lock:
            key = (address.name, role)
            if key not in self._receivers:
                self._receivers[key] = Handler(make, partial(self._explain, address))
            return self._receivers[key]

    def _explain(self, address: Address, error: Exception) -> GenAIOpsError:
        return explained(error, self._clients.where, address.name, self._known)

    def _browsable(self, queue: str) -> Address:
        address = resolve(self._queues, queue)
        if address.sessions:
            raise Malformed(
                f"The messages of {address.name} are shown to the holder of their session only; the portal counts them."
            )
        return address

    def _browse(self, address: Address, count: int | None) -> list[ServiceBusReceivedMessage]:
        """The first `count` messages; None: all."""
        return self._settling(address).use(lambda receiver: browsed(receiver, count))
