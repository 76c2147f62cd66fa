"""What the local and the in-memory bus have in common: how a queue is configured, addressed and what it accepts.

The limits and names are those of Azure Service Bus Standard, so that what a laptop accepts the cloud accepts too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import Malformed, NotFound
from shared.ports import OutgoingMessage

DEAD_LETTER_SUFFIX: Final = "/$deadletterqueue"
MAX_DELIVERY_REASON: Final = "MaxDeliveryCountExceeded"
MESSAGE_LIMIT: Final = 255 * 1024
"""Bytes of a message's body, ids and properties: the 256 KB of Service Bus Standard without what AMQP adds to them."""
UNCOUNTED_DEATHS: Final = 100
"""So many times the death of a consumer's process does not count as a delivery: see `release_orphans` of the buses."""


@dataclass(frozen=True)
class QueueConfig:
    """One queue."""

    name: str
    lock_seconds: float = 60
    """How long a message (or a session) stays locked without renewal."""
    max_delivery_count: int = 5
    sessions: bool = False
    """Whether messages are consumed by session: one consumer per session id, in order."""
    duplicate_window_seconds: float = 600
    """How long a MessageId is remembered; 0: duplicates are not detected."""


@dataclass(frozen=True)
class Address:
    """A queue, or its dead-letter queue."""

    config: QueueConfig
    is_dead_letter: bool

    @property
    def name(self) -> str:
        """The canonical name, under which messages are kept."""
        return dead_letter_name(self.config.name) if self.is_dead_letter else self.config.name

    @property
    def sessions(self) -> bool:
        """Whether it is consumed by session. A dead-letter queue never is, as in Service Bus."""
        return self.config.sessions and not self.is_dead_letter

    def is_exhausted(self, delivery_count: int) -> bool:
        """Whether a message that was delivered so often is dead-lettered; one that already is never is again."""
        return not self.is_dead_letter and delivery_count >= self.config.max_delivery_count


def dead_letter_name(queue: str) -> str:
    """The canonical name of a queue's dead-letter queue."""
    return queue + DEAD_LETTER_SUFFIX


def by_name(queues: Sequence[QueueConfig]) -> dict[str, QueueConfig]:
    """The queues by their names in lower case: Service Bus does not tell case apart in names."""
    return {config.name.lower(): config for config in queues}


def resolve(configs: Mapping[str, QueueConfig], queue: str) -> Address:
    """Find a queue or dead-letter queue by its name in any case. Raises NotFound."""
    lowered = queue.lower()
    is_dead_letter = lowered.endswith(DEAD_LETTER_SUFFIX)
    config = configs.get(lowered.removesuffix(DEAD_LETTER_SUFFIX))
    if config is None:
        known = ", ".join(sorted(c.name for c in configs.values()))
        raise NotFound(f"There is no queue {queue!r}. Queues: {known}. Check the setting that names the queue.")
    return Address(config, is_dead_letter)


def check(address: Address, message: OutgoingMessage) -> None:
    """Refuse what Service Bus refuses.

    Raises:
        Malformed: the message is too large, lacks its id or its session, or the queue takes no messages from outside.
    """
    if address.is_dead_letter:
        raise Malformed(f"{address.name} takes no messages from outside: send to {address.config.name} instead.")
    if not message.message_id:
        raise Malformed(f"A message for {address.name} has no message id; duplicate detection needs one.")
    if address.sessions and not message.session_id:
        raise Malformed(
            f"Message {message.message_id} for {address.name} has no session id; the queue requires sessions."
        )
    size = _size(message)
    if size > MESSAGE_LIMIT:
        raise Malformed(
            f"Message {message.message_id} for {address.name} has {size:,} bytes; the limit is {MESSAGE_LIMIT:,} "
            "bytes. Put the content into blob storage and name the blob in the message."
        )


def exhausted_description(address: Address, delivery_count: int) -> str:
    """Why a message was dead-lettered by the queue itself."""
    return (
        f"Delivered {delivery_count} times without being completed; "
        f"the queue {address.config.name} allows {address.config.max_delivery_count}."
    )


def _size(message: OutgoingMessage) -> int:
    texts = [message.message_id, message.session_id, message.subject, message.correlation_id]
    texts += [text for pair in message.properties.items() for text in pair]
    return len(message.body) + sum(len(text.encode()) for text in texts if text)
