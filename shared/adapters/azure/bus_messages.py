"""Messages of the port as messages of the SDK, and back."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.ports import OutgoingMessage, ReceivedMessage

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

_REASONS: Final = ("DeadLetterReason", "DeadLetterErrorDescription")
"""Application properties in which Service Bus keeps why a message was dead-lettered."""


def outgoing(message: OutgoingMessage) -> ServiceBusMessage:
    """The SDK's message.

    One that is due later carries its time as an annotation: so it may lie in a batch beside others of other times, and
    a repeat of it is dropped. `schedule_messages` makes a request of its own for each time.
    """
    from azure.servicebus import ServiceBusMessage

    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        session_id=message.session_id,
        scheduled_enqueue_time_utc=message.deliver_at,
        subject=message.subject,
        correlation_id=message.correlation_id,
        application_properties=dict(message.properties.items()) or None,
    )


def received(queue: str, message: ServiceBusReceivedMessage, locked_until: datetime | None = None) -> ReceivedMessage:
    """The port's message; `locked_until` is that of its session, if it has one. A browsed message has no lock token."""
    properties = {_plain(key): _plain(value) for key, value in (message.application_properties or {}).items()}
    enqueued = message.enqueued_time_utc or message.scheduled_enqueue_time_utc
    until = locked_until or message.locked_until_utc or message.scheduled_enqueue_time_utc or enqueued
    assert enqueued is not None
    assert until is not None
    return ReceivedMessage(
        queue=queue,
        body=body_of(message),
        message_id=message.message_id or "",
        sequence_number=message.sequence_number or 0,
        # AMQP counts the deliveries that failed before this one.
        delivery_count=(message.delivery_count or 0) + 1,
        lock_token=str(message.lock_token or ""),
        enqueued_at=enqueued,
        locked_until=until,
        session_id=message.session_id,
        subject=message.subject,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        properties={key: value for key, value in properties.items() if key not in _REASONS},
        dead_letter_reason=properties.get(_REASONS[0]),
        dead_letter_description=properties.get(_REASONS[1]),
    )


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    """The body as bytes: what others send may be an AMQP value or sequence, of which the text or the JSON is taken."""
    from azure.servicebus.amqp import AmqpMessageBodyType

    content: Any = message.body
    if message.body_type is AmqpMessageBodyType.DATA:
        return b"".join(content)
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if message.body_type is AmqpMessageBodyType.SEQUENCE:
        content = list(content)
    return json.dumps(content, default=_plain).encode()


def _plain(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
