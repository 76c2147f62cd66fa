"""Envelopes: how commands and events are addressed and wrapped for the bus.

The MessageId is the command's or event's own id, so that duplicate detection knows a repeat; events carry their
chain as session, so that one consumer at a time advances a chain.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

from shared import telemetry
from shared.chain.messages import QUEUE_OF, Command, Event, Queue
from shared.chain.state import Outgoing
from shared.claim_check import send
from shared.ports import OutgoingMessage, Ports

LONGEST_MESSAGE_ID: Final = 128
"""Characters of a MessageId in Service Bus:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas."""


def addressed(outgoing: Outgoing) -> tuple[Queue, OutgoingMessage]:
    """Where a message of the outbox goes, and its envelope."""
    message = outgoing.message
    if isinstance(message, Command):
        return QUEUE_OF[type(message)], envelope(message, message.id, outgoing.due)
    return Queue.CHAIN_EVENTS, envelope(message, message.id, outgoing.due, session=message.chain)


def envelope(
    message: Command | Event, message_id: str, due: datetime | None = None, *, session: str | None = None
) -> OutgoingMessage:
    """The envelope of a command or an event."""
    return OutgoingMessage(
        body=message.model_dump_json().encode(),
        message_id=_fitting(message_id),
        session_id=session,
        deliver_at=due,
        subject=type(message).__name__,
        correlation_id=message.chain,
        properties=telemetry.carried(message.chain),
    )


def _fitting(message_id: str) -> str:
    """The id, or its beginning and its digest where it is longer than Service Bus takes: the same id stays the same."""
    if len(message_id) <= LONGEST_MESSAGE_ID:
        return message_id
    digest = hashlib.sha256(message_id.encode()).hexdigest()[:32]
    return f"{message_id[: LONGEST_MESSAGE_ID - 33]}-{digest}"


def send_event(ports: Ports, event: Event) -> None:
    """Put an event on chain-events."""
    send(ports, Queue.CHAIN_EVENTS, [envelope(event, event.id, session=event.chain)])


def send_command(ports: Ports, command: Command, message_id: str, due: datetime) -> None:
    """Put a command on its queue again, to be delivered at `due` under an id of its own."""
    send(ports, QUEUE_OF[type(command)], [envelope(command, message_id, due)])
