"""Service Bus `chain-requests`: a pipeline, a person or an upload asks for a chain."""

from __future__ import annotations

import azure.functions as func

from shared.advance import start
from shared.bootstrap import ports
from shared.chain.messages import Queue
from shared.delivery import delivery_of
from shared.settings import queue_variable

blueprint = func.Blueprint()


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=f"%{queue_variable(Queue.CHAIN_REQUESTS)}%", connection="ServiceBus"
)
def chain_requests(message: func.ServiceBusMessage) -> None:
    """Start the chain that the request names; the same request always names the same chain."""
    start(ports(), delivery_of(Queue.CHAIN_REQUESTS, message))
