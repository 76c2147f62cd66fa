"""The messages that are under a lock, by lock token: the SDK settles and renews by the message that it handed out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from shared.errors import Conflict
from shared.ports import ReceivedMessage

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

REMEMBERED: Final = 10_000
"""Messages under a lock that can be settled; far more than a host handles at a time. The oldest are forgotten first."""


class LockedMessages:
    """What was taken and is not settled. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: OrderedDict[str, ServiceBusReceivedMessage] = OrderedDict()

    def keep(self, message: ReceivedMessage, taken: ServiceBusReceivedMessage) -> None:
        """Remember what the SDK handed out for the message."""
        with self._lock:
            self._taken[message.lock_token] = taken
            while len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)

    def held(self, message: ReceivedMessage) -> ServiceBusReceivedMessage:
        """What the SDK handed out for the message. Raises Conflict if it was settled, or never taken here."""
        with self._lock:
            taken = self._taken.get(message.lock_token)
        if taken is None:
            raise lost(message)
        return taken

    def forget(self, message: ReceivedMessage) -> None:
        """The message is settled, or its lock is lost."""
        with self._lock:
            self._taken.pop(message.lock_token, None)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._taken.clear()


def lost(message: ReceivedMessage) -> Conflict:
    """The error of a message whose lock is somebody else's by now."""
    return Conflict(f"The lock on message {message.message_id} of {message.queue} was lost; it is delivered again.")
