"""Bus and QueueReceiver: sending messages, and receiving them in peek-lock mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class OutgoingMessage:
    """A message to send. `message_id` is what duplicate detection compares."""

    body: bytes
    message_id: str
    session_id: str | None = None
    deliver_at: datetime | None = None
    """Not before this time (Service Bus: scheduled enqueue time); None: at once."""
    subject: str | None = None
    correlation_id: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)


class Bus(Protocol):
    """Sending. Receiving is the host's (see `QueueReceiver`)."""

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages; a message whose id was seen in the queue's window is dropped silently.

        Raises:
            NotFound: the queue does not exist.
            Transient: nothing or only a part was sent; sending again is safe.
        """
        ...


@dataclass(frozen=True)
class ReceivedMessage:
    """A message under a lock. The fields are those that the Functions host passes to a Service Bus trigger."""

    queue: str
    body: bytes
    message_id: str
    sequence_number: int
    delivery_count: int
    """1 at the first delivery."""
    lock_token: str
    enqueued_at: datetime
    locked_until: datetime
    session_id: str | None = None
    subject: str | None = None
    correlation_id: str | None = None
    content_type: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    dead_letter_reason: str | None = None
    dead_letter_description: str | None = None


@runtime_checkable
class QueueReceiver(Protocol):
    """Receiving in peek-lock mode: what the embedded host needs of a queue system.

    `queue` may end in `/$deadletterqueue` (any case). A lock that has expired makes its message available again, with
    `delivery_count` one higher; past the queue's max delivery count the message moves to the dead-letter queue with
    reason `MaxDeliveryCountExceeded`.
    """

    def open(self, queue: str) -> None:
        """Make ready to receive from the queue.

        Raises:
            NotFound: the queue does not exist.
            BusinessFailure: this process may not receive from it, or the queue is not of the kind that was expected.
            Transient: the queue system cannot be reached.
        """
        ...

    def receive(self, queue: str, *, count: int = 1, session_id: str | None = None) -> list[ReceivedMessage]:
        """Lock and return up to `count` messages that are due, oldest first; empty if there is none (it does not wait).

        For a queue with sessions, `session_id` must be one that this receiver has accepted.
        """
        ...

    def accept_session(self, queue: str) -> str | None:
        """Lock and return a session that has a due message and no other consumer; None if there is none."""
        ...

    def renew_session(self, queue: str, session_id: str) -> None:
        """Extend the lock on a session. Raises Conflict if it was lost."""
        ...

    def release_session(self, queue: str, session_id: str) -> None:
        """Let another consumer have the session, with its messages that are not settled; that counts as no delivery."""
        ...

    def complete(self, message: ReceivedMessage) -> None:
        """Remove the message. Raises Conflict if the lock was lost."""
        ...

    def abandon(self, message: ReceivedMessage) -> None:
        """Give the message back at once. Raises Conflict if the lock was lost."""
        ...

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str) -> None:
        """Move the message to the dead-letter queue. Raises Conflict if the lock was lost."""
        ...

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock. Raises Conflict if it was lost."""
        ...

    def counts(self, queue: str) -> QueueCounts:
        """How many messages wait in the queue."""
        ...

    def peek(self, queue: str, count: int = 32) -> list[ReceivedMessage]:
        """The first `count` messages without locking them; locked ones and scheduled ones (`locked_until`: due) too."""
        ...


@runtime_checkable
class WaitingReceiver(QueueReceiver, Protocol):
    """A receiver over a network: a look costs a round trip, so who wants messages waits for them instead of polling.

    Several threads may wait at once, for different queues or for sessions of one queue.
    """

    def wait_for_message(self, queue: str, wait_s: float, *, session_id: str | None = None) -> ReceivedMessage | None:
        """Lock and return the next message that is or comes due within `wait_s` seconds; None if there is none.

        Raises:
            Conflict: the queue has sessions and `session_id` is not held (any more) by this receiver.
        """
        ...

    def wait_for_session(self, queue: str, wait_s: float) -> str | None:
        """As `accept_session`, waiting up to `wait_s` seconds for a session."""
        ...

    def stop_waiting(self) -> None:
        """Let everybody who waits for a session return soon, with None, now and from now on."""
        ...


@dataclass(frozen=True)
class QueueCounts:
    """Messages in one queue, as the Service Bus portal counts them."""

    active: int
    scheduled: int
    dead_letter: int
