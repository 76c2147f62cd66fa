"""Service Bus `deployment`: deploy, test, shift traffic, roll back."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import ports
from shared.chain.messages import Queue
from shared.delivery import delivery_of
from shared.perform import perform
from shared.settings import queue_variable

blueprint = func.Blueprint()


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=f"%{queue_variable(Queue.DEPLOYMENT)}%", connection="ServiceBus"
)
def deployment(message: func.ServiceBusMessage) -> None:
    """Perform one command and send the event that answers it."""
    perform(ports(), delivery_of(Queue.DEPLOYMENT, message))
