"""Dead letters that their own trigger cannot take, recorded by a timer instead.

The Functions host copies the top-level keys of a JSON body over a message's metadata. A body such as
`{"DeliveryCount": "x"}` makes the worker fail before any function of ours runs, at each delivery: the queue
dead-letters the message, and on the dead-letter queue the same begins again, without end, for nothing is dead-lettered
from there
(https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues). So the timer browses the
dead-letter queues, and takes over where a message has been delivered far more often than any that could be handled.
"""

from __future__ import annotations

import logging
from typing import Final

from shared import dead_letters
from shared.chain.messages import Queue
from shared.delivery import delivery_from
from shared.errors import Conflict
from shared.ports import Ports, QueueReceiver

log = logging.getLogger("genaiops.dead_letters")

TRIES: Final = 10
"""Deliveries on the dead-letter queue after which a message counts as stuck."""
AT_ONCE: Final = 32
"""Messages of one queue that are looked at, and taken, in one go."""


def record_stuck(ports: Ports) -> int:
    """Record and remove the dead letters of every queue that holds a stuck one; returns how many.

    What is not stuck is recorded with them: its trigger would do the same, and a record that is there is found.
    """
    if not isinstance(ports.bus, QueueReceiver):
        return 0
    return sum(_record(ports, ports.bus, queue, name) for queue, name in ports.settings.queues.items())


def _record(ports: Ports, receiver: QueueReceiver, queue: Queue, name: str) -> int:
    dead = f"{name}/$deadletterqueue"
    stuck = ports.settings.max_delivery_count + TRIES
    if all(message.delivery_count < stuck for message in receiver.peek(dead, AT_ONCE)):
        return 0
    taken = receiver.receive(dead, count=AT_ONCE)
    for message in taken:
        log.warning("%s: message %s is recorded by the timer: its trigger cannot take it", dead, message.message_id)
        dead_letters.record(ports, delivery_from(queue, message))
        try:
            receiver.complete(message)
        except Conflict:
            log.info("%s: the lock of message %s was lost; its record is there", dead, message.message_id)
    return len(taken)
