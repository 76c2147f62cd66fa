"""Service Bus `run-events`: Azure ML says, by Event Grid, that a run changed."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import ports
from shared.chain.messages import Queue
from shared.delivery import delivery_of
from shared.run_events import run_changed
from shared.settings import queue_variable

blueprint = func.Blueprint()


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=f"%{queue_variable(Queue.RUN_EVENTS)}%", connection="ServiceBus"
)
def run_events(message: func.ServiceBusMessage) -> None:
    """Wake the command that waits for the run."""
    run_changed(ports(), delivery_of(Queue.RUN_EVENTS, message))
