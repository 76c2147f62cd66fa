"""One delivery of a queue message, as every handler gets it: the body and how often it was tried.

Ids are read from the body, never from the metadata: the Functions host lets top-level keys of a JSON body shadow
MessageId and CorrelationId there. A body that was too large for a queue is fetched by `claim_check.fetched`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.chain.messages import Queue

if TYPE_CHECKING:
    from collections.abc import Mapping

    import azure.functions as func

    from shared.ports import ReceivedMessage


@dataclass(frozen=True)
class Delivery:
    """A message and its circumstances."""

    queue: Queue
    body: bytes
    message_id: str
    count: int
    """1 at the first delivery."""
    enqueued_at: datetime
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold the token of a pipeline's task."""
    dead_letter_reason: str = ""
    dead_letter_description: str = ""


def delivery_of(queue: Queue, message: func.ServiceBusMessage) -> Delivery:
    """Take what the Functions host passed to a Service Bus trigger."""
    enqueued = message.enqueued_time_utc
    if enqueued is None:
        enqueued = datetime.now(UTC)
    elif enqueued.tzinfo is None:
        enqueued = enqueued.replace(tzinfo=UTC)
    properties = {str(key): str(value) for key, value in (message.application_properties or {}).items()}
    # The broker writes the reason into the application properties; the metadata of that name can be shadowed by a body.
    reason = properties.get("DeadLetterReason") or message.dead_letter_reason
    description = properties.get("DeadLetterErrorDescription") or message.dead_letter_error_description
    return Delivery(
        queue=queue,
        body=message.get_body(),
        message_id=message.message_id or "",
        count=message.delivery_count or 1,
        enqueued_at=enqueued,
        properties=properties,
        dead_letter_reason=reason or "",
        dead_letter_description=description or "",
    )


def delivery_from(queue: Queue, message: ReceivedMessage) -> Delivery:
    """Take what was received without a host between."""
    return Delivery(
        queue=queue,
        body=message.body,
        message_id=message.message_id,
        count=message.delivery_count,
        enqueued_at=message.enqueued_at,
        properties=dict(message.properties),
        dead_letter_reason=message.dead_letter_reason or "",
        dead_letter_description=message.dead_letter_description or "",
    )
