"""What the test broker does wrong when it is told to, and how the real SDK takes it."""

from __future__ import annotations

import time

import pytest
from azure.servicebus.exceptions import (
    MessageLockLostError,
    ServiceBusAuthenticationError,
    ServiceBusConnectionError,
    ServiceBusError,
    ServiceBusServerBusyError,
)

from tests.servers.service_bus import Cut
from tests.unit.service_bus_desk import ids, message

CLIENT = {"retry_total": 2, "retry_backoff_factor": 0.05}


def test_a_busy_broker_refuses_and_a_client_that_tries_again_gets_through(desk):
    desk.broker.faults.busy(sends=2)
    desk.send("m1")
    desk.broker.faults.busy(sends=3)
    with pytest.raises(ServiceBusServerBusyError):
        desk.send("m2")
    assert desk.broker.counts("orders").active == 1


def test_a_busy_broker_detaches_a_receiver_that_the_sdk_then_never_opens_again(desk):
    desk.send("m1")
    desk.broker.faults.busy(receives=1)
    for _ in range(2):
        with pytest.raises(ServiceBusServerBusyError):
            desk.receiver().receive_messages(max_message_count=1)
    desk.forget_receiver()
    assert ids(desk.receive()) == ["m1"]


def test_a_receiver_that_was_detached_for_another_error_comes_back_by_itself(desk):
    desk.send("m1")
    desk.broker.faults.fail_receivers()
    assert ids(desk.receive()) == ["m1"]


def test_a_busy_broker_answers_503_on_management(desk):
    desk.send("m1")
    desk.broker.faults.busy(management=1)
    assert ids(desk.receiver().peek_messages(1, sequence_number=1)) == ["m1"]
    desk.broker.faults.busy(management=3)
    with pytest.raises(ServiceBusServerBusyError):
        desk.receiver().peek_messages(1, sequence_number=1)


def test_a_connection_that_is_cut_while_sending_stores_nothing_until_it_is_sent_again(desk):
    desk.sender().send_messages(message("before"))
    connections = desk.broker.counters.connections
    desk.broker.faults.cut_connection(Cut.WHILE_SENDING, at=2)
    desk.send("m1")
    desk.send("m2")
    assert desk.broker.counts("orders").active == 3
    assert desk.broker.counters.connections == connections + 1
    assert desk.broker.counters.duplicates_dropped == 0


def test_a_message_that_was_stored_but_not_confirmed_is_sent_twice_and_kept_once(desk):
    desk.broker.faults.cut_connection(Cut.BEFORE_CONFIRMATION)
    desk.send("m1")
    assert desk.broker.counts("orders").active == 1
    assert desk.broker.counters.duplicates_dropped == 1


def test_a_message_that_was_cut_off_on_its_way_comes_again_after_its_lock(desk):
    desk.send("m1")
    desk.broker.faults.cut_connection(Cut.WHILE_DELIVERING)
    assert desk.receiver().receive_messages(max_message_count=1) == []
    assert desk.broker.counters.delivered == 1
    desk.clock.advance(60)
    assert [(m.message_id, m.delivery_count) for m in desk.receive()] == [("m1", 1)]


def test_every_message_can_come_twice(desk):
    desk.broker.faults.duplicate_deliveries = True
    desk.send("m1", "m2")
    for _ in range(2):
        got = desk.receive(2)
        assert sorted(map(str, ids(got))) == ["m1", "m2"]
        for one in got:
            desk.receiver().complete_message(one)
    assert desk.broker.counts("orders").active == 0
    assert (desk.broker.counters.completed, desk.broker.counters.repeated) == (4, 2)


def test_a_settlement_that_was_confirmed_and_lost_brings_the_message_back(desk):
    desk.send("m1")
    desk.broker.faults.lose_settlements(1)
    desk.receiver().complete_message(desk.receive()[0])
    assert desk.broker.counters.settlements_lost == 1
    desk.clock.advance(60)
    [again] = desk.receive()
    assert again.delivery_count == 1
    desk.receiver().complete_message(again)
    assert desk.broker.counts("orders").active == 0


def test_a_slow_link_delivers_one_message_at_a_time(desk):
    desk.broker.faults.delivery_delay_seconds = 0.05
    desk.send(*[f"m{n}" for n in range(4)])
    assert len(desk.receive(4)) == 4


def test_tokens_can_be_refused(desk):
    desk.broker.faults.refuse_tokens = True
    with pytest.raises(ServiceBusAuthenticationError), desk.client.get_queue_sender("repeats") as sender:
        sender.send_messages(message("m1"))
    assert [token.accepted for token in desk.broker.counters.tokens] == [False] * 3
    desk.broker.faults.refuse_tokens = False
    with desk.client.get_queue_sender("repeats") as sender:
        sender.send_messages(message("m1"))
    [*_, token] = desk.broker.counters.tokens
    assert token.audience.endswith("/repeats")
    assert token.accepted
    assert token.text not in repr(token)


def test_a_cut_off_broker_refuses_connections_and_keeps_what_it_has(desk):
    desk.send("m1")
    [got] = desk.receive()
    desk.broker.cut_off(60)
    with pytest.raises(ServiceBusConnectionError):
        desk.send("m2")
    desk.broker.restore()
    desk.send("m3")
    desk.receiver().complete_message(got)  # over $management: the link is gone, the lock is not
    assert desk.broker.counters.completed == 1
    assert ids(desk.receive()) == ["m3"]


def test_a_cut_off_ends_by_itself(desk):
    desk.broker.cut_off(0.2)
    deadline = time.monotonic() + 20
    while True:
        try:
            desk.send("m1")
            break
        except ServiceBusError:
            assert time.monotonic() < deadline
    assert desk.broker.counts("orders").active == 1


def test_connections_can_be_cut_at_any_time_and_clients_come_back(desk):
    desk.send("m1")
    desk.broker.cut_connections()
    assert ids(desk.receive()) == ["m1"]
    desk.broker.detach_receivers()
    desk.send("m2")
    assert ids(desk.receive()) == ["m2"]


def test_a_lock_outlives_the_connection_that_took_it(desk):
    desk.send("m1")
    [got] = desk.receive()
    desk.broker.cut_connections()
    desk.clock.advance(60)
    with pytest.raises(MessageLockLostError):
        desk.receiver().complete_message(got)
    assert desk.broker.counts("orders").active == 1
