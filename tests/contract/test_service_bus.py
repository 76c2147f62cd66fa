"""The Service Bus adapter where it is more than the contract: batches, threads, faults, identity, what errors say."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import dead_letters
from shared.adapters.azure.bus import ServiceBus, Timing
from shared.adapters.local.clock import SystemClock
from shared.adapters.queues import QueueConfig
from shared.chain.messages import Queue
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, Malformed, NotFound, Throttled, Transient
from shared.ports import QueueReceiver, WaitingReceiver
from shared.stuck_letters import TRIES, record_stuck
from tests.contract.bus_messages import message, received_ids
from tests.servers.service_bus import Broker, Cut
from tests.unit.people import memory_ports

QUEUES = (QueueConfig("orders", lock_seconds=60), QueueConfig("events", lock_seconds=60, sessions=True))
BURIED = "chain-requests/$deadletterqueue"
QUICK = Timing(look_s=0.1, retries=3, backoff_s=0.05, socket_s=0.05)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(QUEUES) as broker:
        yield broker


def opened(broker: Broker, *, retries: int = QUICK.retries) -> ServiceBus:
    timing = Timing(look_s=0.1, retries=retries, backoff_s=0.05, socket_s=0.05)
    return ServiceBus(broker.connection_string, QUEUES, setting="GENAIOPS_BUS", timing=timing)


@pytest.fixture
def bus(broker: Broker) -> Iterator[ServiceBus]:
    bus = opened(broker)
    yield bus
    bus.close()


def until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------------------------ sending


def test_it_is_all_that_a_host_needs(bus):
    assert isinstance(bus, QueueReceiver)
    assert isinstance(bus, WaitingReceiver)


def test_messages_that_do_not_fit_one_batch_go_in_several(bus, broker):
    sent = [message(f"m{n}", b"x" * 60_000) for n in range(20)]
    bus.send("orders", sent)
    assert broker.counts("orders").active == 20
    assert [m.message_id for m in bus.peek("orders", 50)] == [m.message_id for m in sent]


def test_a_batch_with_one_message_of_nearly_the_limit_arrives(bus, broker):
    bus.send("orders", [message("small"), message("large", b"x" * 261_000), message("after")])
    assert broker.counts("orders").active == 3


def test_scheduled_messages_lie_in_a_batch_beside_others_and_can_be_taken_back(bus, broker):
    due = SystemClock().now() + timedelta(hours=1)
    bus.send("orders", [message("later", deliver_at=due), message("now"), message("much later", deliver_at=due)])
    assert (broker.counts("orders").scheduled, broker.counts("orders").active) == (2, 1)
    [number] = [m.sequence_number for m in bus.peek("orders") if m.message_id == "later"]
    bus.cancel_scheduled("orders", [number])
    assert [m.message_id for m in bus.peek("orders")] == ["now", "much later"]


def test_many_threads_send_and_settle_over_the_same_links(bus, broker):
    def send_and_handle(worker: int) -> None:
        for n in range(10):
            bus.send("orders", [message(f"{worker}-{n}")])
            got = bus.wait_for_message("orders", 5)
            assert got is not None
            bus.complete(bus.renew(got))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send_and_handle, range(8)))
    assert broker.counts("orders").active == 0
    assert broker.counters.completed == 80
    assert broker.counters.connections <= 3, "one link each to send, to take and to settle"


# ------------------------------------------------------------------------------------------------------------- faults


def test_a_broker_that_is_busy_for_a_moment_is_asked_again(bus, broker):
    broker.faults.busy(sends=2)
    bus.send("orders", [message("m1")])
    assert broker.counts("orders").active == 1


def test_a_broker_that_stays_busy_throttles_with_the_pause_that_service_bus_asks_for(broker):
    bus = opened(broker, retries=0)
    broker.faults.busy(sends=1)
    with pytest.raises(Throttled, match="is busy") as caught:
        bus.send("orders", [message("m1")])
    assert caught.value.retry_after == 10
    bus.close()


def test_a_send_whose_confirmation_was_lost_is_repeated_and_arrives_once(bus, broker):
    broker.faults.cut_connection(Cut.BEFORE_CONFIRMATION)
    bus.send("orders", [message("m1")])
    assert broker.counts("orders").active == 1
    assert broker.counters.duplicates_dropped == 1


def test_after_a_cut_everything_goes_on_over_new_connections_and_locks_hold(bus, broker):
    bus.send("orders", [message("m1"), message("m2")])
    got = bus.wait_for_message("orders", 5)
    broker.cut_connections()
    bus.complete(got)
    bus.send("orders", [message("m3")])
    with pytest.raises(Transient):
        bus.wait_for_message("orders", 5)
    assert bus.wait_for_message("orders", 5).message_id == "m2"
    assert [m.message_id for m in bus.peek("orders")] == ["m2", "m3"]


def test_a_session_is_lost_with_its_connection_and_can_be_accepted_anew(bus, broker):
    bus.send("events", [message("a1", session_id="a")])
    assert bus.accept_session("events") == "a"
    broker.cut_connections()
    with pytest.raises(Conflict, match="not locked by this consumer"):
        until(lambda: bus.wait_for_message("events", 0.1, session_id="a") is None)
    until(lambda: bus.wait_for_session("events", 1) == "a")
    assert received_ids(bus, "events", session_id="a") == ["a1"]


def test_a_settlement_that_got_no_answer_is_made_again(bus, broker):
    bus.send("orders", [message("m1")])
    got = bus.wait_for_message("orders", 5)
    broker.faults.busy(management=1)
    bus.complete(got)
    assert broker.counts("orders").active == 0


def test_who_waits_for_a_session_stops_waiting_when_told(bus):
    found = []
    waiting = threading.Thread(target=lambda: found.append(bus.wait_for_session("events", 60)))
    waiting.start()
    time.sleep(1)
    bus.stop_waiting()
    waiting.join(10)
    assert found == [None]
    assert bus.wait_for_session("events", 60) is None


# ------------------------------------------------------------------------------------------------------------- errors


def test_a_queue_that_is_not_there_is_named_with_the_settings(broker):
    bus = ServiceBus(broker.connection_string, (*QUEUES, QueueConfig("missing")), setting="GENAIOPS_BUS", timing=QUICK)
    for operation in (lambda: bus.open("missing"), lambda: bus.send("missing", [message("m1")])):
        with pytest.raises(NotFound, match=r"no queue 'missing' in 127\.0\.0\.1.*GENAIOPS_BUS"):
            operation()
    bus.close()


def test_sessions_where_there_should_be_none_and_the_reverse_are_told_at_the_start(broker):
    turned = (QueueConfig("orders", sessions=True), QueueConfig("events"))
    bus = ServiceBus(broker.connection_string, turned, timing=QUICK)
    for queue in ("orders", "events"):
        with pytest.raises(BusinessFailure, match="Sessions are required of the queue of chain events"):
            bus.open(queue)
    bus.close()


def test_a_key_that_is_wrong_is_told_with_the_roles_and_rights_and_shown_nowhere(broker, caplog):
    caplog.set_level(logging.DEBUG)
    key = "c2VjcmV0LXRoYXQtaXMtd3Jvbmc="
    text = f"Endpoint=sb://127.0.0.1:{broker.port};SharedAccessKeyName=x;SharedAccessKey={key};"
    text += "UseDevelopmentEmulator=true"
    bus = ServiceBus(text, QUEUES, setting="GENAIOPS_BUS", timing=QUICK)
    with pytest.raises(BusinessFailure, match=r"(?s)refused access to orders.*Data Sender.*GENAIOPS_BUS") as caught:
        bus.open("orders")
    assert key not in str(caught.value) + caplog.text + repr(bus)
    bus.close()


def test_a_namespace_that_cannot_be_reached_is_told_at_once(broker):
    bus = opened(broker)
    broker.cut_off(60)
    with pytest.raises(Transient, match=r"\(GENAIOPS_BUS\) cannot be reached"):
        bus.open("orders")
    bus.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "neither a host name"),
        ("http://contoso", "neither a host name"),
        (
            "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=x;SharedAccessKey=y;EntityPath=q",
            "single",
        ),
        ("contoso.servicebus.windows.net", "for which an identity is needed"),
    ],
)
def test_an_address_that_cannot_be_read_is_told_without_repeating_it(address, said):
    with pytest.raises(GenAIOpsError, match=said) as caught:
        ServiceBus(address, QUEUES, setting="GENAIOPS_BUS")
    assert "SharedAccessKey=y" not in str(caught.value)


def test_a_connection_string_without_its_key_is_told(broker):
    bus = ServiceBus("Endpoint=sb://contoso/;SharedAccessKeyName=x", QUEUES, setting="GENAIOPS_BUS")
    with pytest.raises(GenAIOpsError, match="connection string in GENAIOPS_BUS cannot be read"):
        bus.send("orders", [message("m1")])


def test_messages_of_sessions_are_not_for_everybodys_eyes(bus):
    for look in (bus.peek, bus.counts):
        with pytest.raises(Malformed, match="holder of their session"):
            look("events")


def test_wiring_it_imports_no_sdk():
    code = (
        "import sys\n"
        "from shared.adapters.azure.bus import ServiceBus\n"
        "ServiceBus('contoso.servicebus.windows.net', (), object())\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'azure'], 'an SDK was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ------------------------------------------------------------------------------------------------------- dead letters


def test_a_dead_letter_that_no_function_can_be_given_is_taken_from_its_queue_by_the_timer():
    ports = memory_ports()
    queues = [QueueConfig(name, sessions=queue is Queue.CHAIN_EVENTS) for queue, name in ports.settings.queues.items()]
    with Broker(queues) as broker:
        bus = ServiceBus(broker.connection_string, queues, timing=QUICK)
        bus.send("chain-requests", [message("poison", b'{"DeliveryCount": "x"}')])
        for queue, times in (("chain-requests", ports.settings.max_delivery_count), (BURIED, TRIES - 1)):
            for _ in range(times):
                bus.abandon(bus.wait_for_message(queue, 5))
        ports = replace(ports, bus=bus)
        assert record_stuck(ports) == 0, "its trigger may still take it"
        bus.abandon(bus.wait_for_message(BURIED, 5))
        assert record_stuck(ports) == 1
        assert [letter.message_id for letter in dead_letters.listed(ports)] == ["poison"]
        assert broker.counts("chain-requests").dead_letter == 0
        bus.close()
