"""The Service Bus adapter against the model, the bus in memory: whatever is done to both, both do and say the same.

Walks are drawn from seeds, not shrunk: to open connections for every example would take a second each. Nobody receives
where there is nothing, for a link that has asked is sent what comes later.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.azure.bus import ServiceBus, Timing
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.adapters.queues import QueueConfig
from shared.errors import GenAIOpsError
from shared.ports import OutgoingMessage, ReceivedMessage
from tests.servers.service_bus import Broker

QUEUE = QueueConfig("plain", lock_seconds=10, max_delivery_count=2, duplicate_window_seconds=25)
DEAD = "plain/$deadletterqueue"
STEPS = 150

Pair = tuple[ReceivedMessage, ReceivedMessage]


class Walk:
    """One consumer of the broker and one of the model, with one clock."""

    def __init__(self, seed: int, bus: ServiceBus, clock: ManualClock) -> None:
        self.chance = random.Random(seed)
        self.clock, self.bus = clock, bus
        self.model = MemoryBus((QUEUE,), clock)
        self.received: list[Pair] = []
        self.done: list[str] = []

    def both(self, call: Callable[[Any], Any]) -> tuple[Any, Any]:
        results = []
        for bus in (self.bus, self.model):
            try:
                results.append(call(bus))
            except GenAIOpsError as error:
                results.append((type(error), str(error)))
        return results[0], results[1]

    def send(self) -> None:
        delays = [self.chance.choice([None, None, -5, 3, 12, 40]) for _ in range(self.chance.randint(1, 3))]
        messages = [
            OutgoingMessage(
                b"body",
                f"m{self.chance.randrange(12)}",
                deliver_at=None if delay is None else self.clock.now() + timedelta(seconds=delay),
            )
            for delay in delays
        ]
        assert self.both(lambda bus: bus.send("plain", messages)) == (None, None)

    def receive(self) -> None:
        queue = self.chance.choice(["plain", "plain", DEAD])
        expected = self.model.receive(queue)
        if expected:
            [got], [wanted] = self.bus.receive(queue), expected
            assert plain(got) == plain(wanted)
            self.received.append((got, wanted))

    def settle(self) -> None:
        if not self.received:
            return
        pair = self.chance.choice(self.received)
        name = self.chance.choice(["complete", "complete", "abandon", "dead_letter", "renew"])
        outcomes: list[Any] = []
        for bus, message in zip((self.bus, self.model), pair, strict=True):
            arguments = ("why", "because") if name == "dead_letter" else ()
            try:
                outcome = getattr(bus, name)(message, *arguments)
                outcomes.append(plain(outcome) if outcome is not None else None)
            except GenAIOpsError as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1], name

    def let_time_pass(self) -> None:
        self.clock.advance(self.chance.choice([1, 4, 9, 10, 11, 30]))

    def step(self) -> None:
        chosen = self.chance.choice(
            [self.send, self.receive, self.receive, self.settle, self.settle, self.let_time_pass]
        )
        self.done.append(chosen.__name__)
        chosen()
        for queue in ("plain", DEAD):
            got, wanted = self.both(lambda bus, queue=queue: bus.counts(queue))
            assert got == wanted, (queue, self.done)
            got, wanted = self.both(lambda bus, queue=queue: [m.message_id for m in bus.peek(queue, 100)])
            assert got == wanted, (queue, self.done)


def plain(message: ReceivedMessage) -> ReceivedMessage:
    # Service Bus does not count the delivery at which a handler dead-lettered the message, the model does: on the
    # dead-letter queue nothing follows from it.
    count = 0 if message.queue == DEAD else message.delivery_count
    return replace(message, lock_token="", sequence_number=0, delivery_count=count)


@pytest.mark.parametrize("seed", range(4))
def test_the_broker_and_the_model_do_and_say_the_same(seed):
    clock = ManualClock()
    with Broker((QUEUE,), clock=clock) as broker:
        bus = ServiceBus(broker.connection_string, (QUEUE,), timing=Timing(look_s=1, socket_s=0.05))
        walk = Walk(seed, bus, clock)
        for _ in range(STEPS):
            walk.step()
        assert broker.counters.locks_expired
        assert broker.counters.exhausted
        bus.close()
