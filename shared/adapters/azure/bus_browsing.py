"""Looking at a queue without locking anything: browsing it by page, and counting what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiver

PAGE: Final = 100
"""Messages browsed in one request."""


def browsed(receiver: ServiceBusReceiver, count: int | None) -> list[ServiceBusReceivedMessage]:
    """The first `count` messages; None: all."""
    found: list[ServiceBusReceivedMessage] = []
    number = 1
    while count is None or len(found) < count:
        wanted = PAGE if count is None else min(PAGE, count - len(found))
        page = receiver.peek_messages(max_message_count=wanted, sequence_number=number)
        if not page:
            break
        found += page
        number = (page[-1].sequence_number or 0) + 1
    return found


def is_scheduled(message: ServiceBusReceivedMessage) -> bool:
    """Whether the message is not due yet, so that nobody can receive it."""
    from azure.servicebus import ServiceBusMessageState

    return message.state is ServiceBusMessageState.SCHEDULED
