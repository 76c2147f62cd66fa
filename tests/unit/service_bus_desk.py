"""One broker and the real SDK's clients for a module of tests: opening a client takes half a second, so they are shared."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSender,
)

from shared.adapters.memory.clock import ManualClock
from shared.adapters.queues import QueueConfig
from tests.servers.service_bus import Broker

QUEUES = (
    QueueConfig("orders", lock_seconds=60, max_delivery_count=3, duplicate_window_seconds=600),
    QueueConfig("events", lock_seconds=60, max_delivery_count=3, sessions=True),
    QueueConfig("repeats", duplicate_window_seconds=0),
)
DEAD = "orders/$DeadLetterQueue"


class Desk:
    """The broker, its clock, and one client whose senders and receivers stay open."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.broker = Broker(QUEUES, clock=self.clock).start()
        options = {"retry_total": 0, "socket_timeout": 0.02, **options}
        self.client = ServiceBusClient.from_connection_string(self.broker.connection_string, **options)
        self._senders: dict[str, ServiceBusSender] = {}
        self._receivers: dict[str, ServiceBusReceiver] = {}

    def sender(self, queue: str = "orders") -> ServiceBusSender:
        if queue not in self._senders:
            self._senders[queue] = self.client.get_queue_sender(queue)
        return self._senders[queue]

    def receiver(self, queue: str = "orders") -> ServiceBusReceiver:
        """A receiver in peek-lock mode that waits two seconds at most."""
        if queue not in self._receivers:
            self._receivers[queue] = self.client.get_queue_receiver(queue, max_wait_time=2)
        return self._receivers[queue]

    def session(self, session_id: Any, wait: float = 2) -> ServiceBusReceiver:
        """A receiver of a session, not shared; the test closes it."""
        return self.client.get_queue_receiver("events", session_id=session_id, max_wait_time=wait)

    def send(self, *ids: str, queue: str = "orders", **fields: Any) -> None:
        self.sender(queue).send_messages([message(name, **fields) for name in ids])

    def receive(self, count: int = 1, queue: str = "orders") -> list[ServiceBusReceivedMessage]:
        """Exactly so many messages, which the test knows to be there.

        A shared receiver may hold what it was sent before the broker was emptied: that is no message of this test.
        """
        found: list[ServiceBusReceivedMessage] = []
        while len(found) < count:
            more = self.receiver(queue).receive_messages(max_message_count=count - len(found))
            assert more, f"{len(found)} of {count} messages came from {queue}"
            found += [one for one in more if self.broker.is_locked(queue, UUID(str(one.lock_token)))]
        return found

    def forget_receiver(self, queue: str = "orders") -> None:
        """The next receiver has a connection of its own: the last one was cut or detached."""
        self._receivers.pop(queue).close()

    def close(self) -> None:
        self.client.close()
        self.broker.stop()


def message(name: str, body: bytes = b"{}", **fields: Any) -> ServiceBusMessage:
    return ServiceBusMessage(body, message_id=name, **fields)


def ids(messages: list[ServiceBusReceivedMessage]) -> list[str | None]:
    return [m.message_id for m in messages]
