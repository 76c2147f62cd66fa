"""Service Bus `<queue>/$deadletterqueue`, one function a queue: a message that nobody could handle."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import ports
from shared.chain.messages import Queue
from shared.dead_letters import record
from shared.delivery import delivery_of
from shared.settings import queue_variable

blueprint = func.Blueprint()


def _watch(queue: Queue) -> None:
    @blueprint.function_name(f"dead_letters_{queue.value.replace('-', '_')}")
    @blueprint.service_bus_queue_trigger(
        arg_name="message", queue_name=f"%{queue_variable(queue)}%/$deadletterqueue", connection="ServiceBus"
    )
    def dead_letter(message: func.ServiceBusMessage) -> None:
        """Keep the message with its reason, and fail the chain that it belongs to."""
        record(ports(), delivery_of(queue, message))


for _queue in Queue:
    _watch(_queue)
