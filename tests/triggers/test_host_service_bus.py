"""The embedded host on Service Bus: Microsoft's SDK and the test broker between the queues and the functions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import azure.functions as func
import pytest

from genaiops.host import HostError
from shared.adapters.azure.bus import ServiceBus, Timing
from shared.adapters.queues import QueueConfig
from tests.servers.service_bus import Broker
from tests.triggers.hosting import eventually, hosting, message

QUEUES = (QueueConfig("work", max_delivery_count=2), QueueConfig("events", sessions=True))
TIMING = Timing(look_s=0.1, retries=5, backoff_s=0.1, socket_s=0.05)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(QUEUES) as broker:
        yield broker


@contextmanager
def hosted(broker: Broker, folder: Path, **functions: object) -> Iterator[ServiceBus]:
    """A host with one function a queue: `work`, `work_dead` for its dead letters, `events`."""
    app = func.FunctionApp()
    for name, function in functions.items():
        queue = name.replace("_dead", "/$deadletterqueue")
        decorate = app.service_bus_queue_trigger(
            arg_name="message", queue_name=queue, connection="ServiceBus", is_sessions_enabled=name == "events"
        )
        app.function_name(name)(decorate(function))
    bus = ServiceBus(broker.connection_string, QUEUES, setting="GENAIOPS_BUS", timing=TIMING)
    try:
        with hosting(app, folder, bus):
            yield bus
    finally:
        bus.close()


def test_functions_get_what_was_sent_and_what_they_fail_at_becomes_a_dead_letter(tmp_path, broker):
    done, dead = [], []

    def work(message: func.ServiceBusMessage) -> None:
        if message.get_body() == b"poison":
            raise RuntimeError("no")
        done.append((message.get_body(), message.message_id, message.delivery_count))

    def work_dead(message: func.ServiceBusMessage) -> None:
        dead.append((message.get_body(), message.dead_letter_reason))

    with hosted(broker, tmp_path, work=work, work_dead=work_dead) as bus:
        bus.send("work", [message("poison"), message("one"), message("two")])
        eventually(lambda: len(done) == 2 and dead)
    assert sorted(done) == [(b"one", "one", 1), (b"two", "two", 1)]
    assert dead == [(b"poison", "MaxDeliveryCountExceeded")]
    assert broker.counts("work").active == broker.counts("work").dead_letter == 0


def test_the_messages_of_a_session_come_in_order_and_sessions_side_by_side(tmp_path, broker):
    got: dict[str, list[str]] = {"a": [], "b": []}

    def events(message: func.ServiceBusMessage) -> None:
        got[message.session_id].append(message.message_id)

    with hosted(broker, tmp_path, events=events) as bus:
        bus.send("events", [message(f"{session}{n}", session=session) for n in range(5) for session in "ab"])
        eventually(lambda: sum(map(len, got.values())) == 10)
        bus.send("events", [message("a5", session="a")])  # its session was let go, or is still held: both will do
        eventually(lambda: len(got["a"]) == 6)
    assert got == {"a": [f"a{n}" for n in range(6)], "b": [f"b{n}" for n in range(5)]}


def test_a_namespace_that_is_away_for_a_while_is_said_once_and_nothing_is_lost(tmp_path, broker, caplog):
    done, seen = [], []

    def work(message: func.ServiceBusMessage) -> None:
        done.append(message.message_id)

    def events(message: func.ServiceBusMessage) -> None:
        seen.append(message.message_id)

    caplog.set_level(logging.INFO, "genaiops.host")
    with hosted(broker, tmp_path, work=work, events=events, work_dead=work) as bus:
        bus.send("work", [message("before")])
        eventually(lambda: done == ["before"])
        broker.cut_off(2)
        bus.send("work", [message("during")])  # the sender waits for the namespace, too
        bus.send("events", [message("event", session="a")])
        eventually(lambda: done == ["before", "during"] and seen == ["event"])
        eventually(lambda: "all queues can be read again" in caplog.text)
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len([text for text in told if "queues cannot be read; trying until they can" in text]) == 1
    assert [text for text in told if "Traceback" in text] == []


def test_a_host_that_stops_finishes_what_runs_and_leaves_the_rest_to_others(tmp_path, broker):
    started, ended = [], []

    def work(message: func.ServiceBusMessage) -> None:
        started.append(message.message_id)
        eventually(lambda: len(started) >= 4)
        ended.append(message.message_id)

    with hosted(broker, tmp_path, work=work) as bus:
        bus.send("work", [message(f"m{n}") for n in range(4)])
        eventually(lambda: len(started) == 4)
    assert sorted(ended) == ["m0", "m1", "m2", "m3"]
    with ServiceBusAlone(broker) as bus:
        bus.send("work", [message("after")])
        assert broker.counts("work").active == 1, "nobody takes it any more"


def test_everything_that_is_wrong_with_the_queues_is_said_at_the_start(tmp_path, broker):
    def work(message: func.ServiceBusMessage) -> None:
        del message

    functions = {"work": work, "work_dead": work, "events": work}
    broker.cut_off(30)
    with (
        pytest.raises(HostError, match=r"\(GENAIOPS_BUS\) cannot be reached.* So it is with events\.$") as caught,
        hosted(broker, tmp_path, **functions),
    ):
        pass
    assert len(str(caught.value).splitlines()) == 1


class ServiceBusAlone:
    """A sender beside the host."""

    def __init__(self, broker: Broker) -> None:
        self.bus = ServiceBus(broker.connection_string, QUEUES, timing=TIMING)

    def __enter__(self) -> ServiceBus:
        return self.bus

    def __exit__(self, *_: object) -> None:
        self.bus.close()
