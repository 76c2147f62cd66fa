"""Dead letters that the Functions worker cannot decode: they must not cycle on the dead-letter queue for ever."""

from __future__ import annotations

import json

import pytest
from azure.functions import get_binding_registry
from azure.functions.meta import Datum

from shared import dead_letters
from shared.housekeeping import sweep
from shared.ports import OutgoingMessage
from shared.stuck_letters import TRIES
from tests.memory_world import World

DEAD = "chain-requests/$deadletterqueue"
BODY = {"type": "ChainRequest", "DeliveryCount": "x"}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def deliver(world: World, queue: str, times: int) -> None:
    """What the host does with a message that its worker cannot decode."""
    for _ in range(times):
        [message] = world.bus.receive(queue)
        world.bus.abandon(message)


def test_the_worker_cannot_decode_a_body_that_shadows_the_delivery_count():
    metadata = {name: Datum(json.dumps(value), "json") for name, value in BODY.items()}
    metadata |= {"UserProperties": Datum("{}", "json")}
    with pytest.raises(ValueError, match="x"):
        get_binding_registry().get("serviceBusTrigger").decode(
            Datum(json.dumps(BODY), "string"), trigger_metadata=metadata
        )


def test_a_dead_letter_that_its_trigger_cannot_take_is_recorded_by_the_timer(world):
    world.bus.send("chain-requests", [OutgoingMessage(json.dumps(BODY).encode(), "poison")])
    deliver(world, "chain-requests", world.settings.max_delivery_count)
    deliver(world, DEAD, TRIES - 1)
    sweep(world.ports)
    assert dead_letters.listed(world.ports) == [], "its trigger may still take it"
    deliver(world, DEAD, 1)
    sweep(world.ports)
    [letter] = dead_letters.listed(world.ports)
    assert (letter.message_id, letter.reason) == ("poison", "MaxDeliveryCountExceeded")
    assert letter.body == json.dumps(BODY).encode()
    assert world.bus.counts(DEAD).active == 0


def test_the_timer_looks_every_few_minutes(world):
    world.bus.send("chain-requests", [OutgoingMessage(b"{}", "poison")])
    deliver(world, "chain-requests", world.settings.max_delivery_count)
    deliver(world, DEAD, TRIES)
    world.clock.advance(61)
    sweep(world.ports)
    assert world.bus.counts(DEAD).active == 1
    world.clock.advance(4 * 60)
    sweep(world.ports)
    assert world.bus.counts(DEAD).active == 0
