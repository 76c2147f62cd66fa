"""Service Bus `chain-events`: something happened to a chain. Session = chain: one event at a time."""

from __future__ import annotations

import azure.functions as func

from shared.advance import advance
from shared.bootstrap import ports
from shared.chain.messages import Queue
from shared.delivery import delivery_of
from shared.settings import queue_variable

blueprint = func.Blueprint()


@blueprint.service_bus_queue_trigger(
    arg_name="message",
    queue_name=f"%{queue_variable(Queue.CHAIN_EVENTS)}%",
    connection="ServiceBus",
    is_sessions_enabled=True,
)
def chain_events(message: func.ServiceBusMessage) -> None:
    """Decide what follows from the event, and send it."""
    advance(ports(), delivery_of(Queue.CHAIN_EVENTS, message))
