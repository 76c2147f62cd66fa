"""The life of messages in the test broker, told through the real SDK: what Service Bus does, the broker does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessageState, ServiceBusReceiveMode
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from shared.ports import QueueCounts
from tests.unit.service_bus_desk import DEAD, ids, message

# ------------------------------------------------------------------------------------------------- sending, receiving


def test_a_message_arrives_as_it_was_sent_with_what_the_queue_adds(desk):
    desk.send("m1", body=b'{"n": 1}\x00\xff', subject="RunCell", correlation_id="c1", content_type="application/json",
              application_properties={"PlanUrl": "https://ü", "n": 7, "yes": True})  # fmt: skip
    [got] = desk.receive()
    assert (b"".join(got.body), got.subject, got.correlation_id) == (b'{"n": 1}\x00\xff', "RunCell", "c1")
    assert (got.message_id, got.content_type) == ("m1", "application/json")
    assert got.application_properties == {b"PlanUrl": "https://ü".encode(), b"n": 7, b"yes": True}
    assert got.enqueued_time_utc == desk.clock.now()
    assert got.locked_until_utc == desk.clock.now() + timedelta(seconds=60)
    assert got.delivery_count == 0  # on the wire it counts failed deliveries
    assert got.sequence_number > 0
    desk.receiver().complete_message(got)
    assert desk.broker.counts("orders") == QueueCounts(active=0, scheduled=0, dead_letter=0)
    assert desk.broker.counters.completed == 1


def test_messages_come_in_the_order_in_which_they_were_sent(desk):
    desk.send(*[f"m{n}" for n in range(20)])
    assert sorted(ids(desk.receive(20))) == sorted(f"m{n}" for n in range(20))
    numbers = [peeked.sequence_number for peeked in desk.receiver().peek_messages(20, sequence_number=1)]
    assert numbers == sorted(numbers)


def test_a_message_of_many_frames_arrives_whole(desk):
    body = bytes(range(256)) * 1000
    desk.send("large", body=body)
    assert b"".join(desk.receive()[0].body) == body


def test_receiving_and_deleting_leaves_nothing_to_settle(desk):
    desk.send("m1", "m2")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    with desk.client.get_queue_receiver("orders", receive_mode=mode, max_wait_time=2) as receiver:
        assert ids(receiver.receive_messages(max_message_count=2)) == ["m1", "m2"]
        assert desk.broker.counts("orders").active == 0


def test_a_prefetching_receiver_gives_back_what_it_did_not_hand_out(desk):
    desk.send(*[f"m{n}" for n in range(30)])
    with desk.client.get_queue_receiver("orders", prefetch_count=20, max_wait_time=2) as receiver:
        for got in receiver.receive_messages(max_message_count=5):
            receiver.complete_message(got)
    assert desk.broker.counts("orders").active == 25
    assert [got.delivery_count for got in desk.receive(25)] == [0] * 25


def test_a_queue_that_is_not_there_is_named(desk):
    with (
        pytest.raises(MessagingEntityNotFoundError, match="nowhere"),
        desk.client.get_queue_sender("nowhere") as sender,
    ):
        sender.send_messages(message("m1"))


def test_names_of_queues_do_not_tell_case_apart(desk):
    with desk.client.get_queue_sender("ORDERS") as sender:
        sender.send_messages(message("m1"))
    assert ids(desk.receive()) == ["m1"]


def test_a_message_over_the_limit_is_refused_and_its_link_detached(desk):
    with desk.client.get_queue_sender("orders") as sender, pytest.raises(MessageSizeExceededError, match="262,144"):
        sender.send_messages(message("large", b"x" * 262_144))
    assert desk.broker.counts("orders").active == 0


def test_a_batch_is_as_large_as_the_link_says_and_is_taken_as_one(desk):
    batch = desk.sender().create_message_batch()
    assert batch.max_size_in_bytes == 262_144
    for n in range(100):
        batch.add_message(message(f"m{n}", b"x" * 1000))
    desk.sender().send_messages(batch)
    assert desk.broker.counts("orders").active == 100
    with pytest.raises(MessageSizeExceededError):
        batch.add_message(message("more", b"x" * 160_000))


def test_nobody_sends_to_dead_letters(desk):
    with pytest.raises(ServiceBusError, match="takes no messages"), desk.client.get_queue_sender(DEAD) as sender:
        sender.send_messages(message("m1"))


# -------------------------------------------------------------------------------------------------------------- locks


def test_an_abandoned_message_comes_again_with_a_higher_count(desk):
    desk.send("m1")
    [got] = desk.receive()
    desk.receiver().abandon_message(got)
    assert [m.delivery_count for m in desk.receive()] == [1]


def test_an_expired_lock_frees_the_message_and_cannot_settle_it(desk):
    desk.send("m1")
    [lost] = desk.receive()
    desk.clock.advance(60)
    with pytest.raises(MessageLockLostError):
        desk.receiver().complete_message(lost)
    with pytest.raises(MessageLockLostError):
        desk.receiver().renew_message_lock(lost)
    assert [m.delivery_count for m in desk.receive()] == [1]
    assert desk.broker.counters.locks_expired == 1


def test_a_renewed_lock_holds_from_the_moment_of_renewal(desk):
    desk.send("m1")
    [got] = desk.receive()
    desk.clock.advance(50)
    assert desk.receiver().renew_message_lock(got) == desk.clock.now() + timedelta(seconds=60)
    desk.clock.advance(50)
    desk.receiver().complete_message(got)
    assert desk.broker.counts("orders").active == 0


def test_a_deferred_message_is_only_found_by_its_number(desk):
    desk.send("m1")
    [got] = desk.receive()
    desk.receiver().defer_message(got)
    [peeked] = desk.receiver().peek_messages(5, sequence_number=1)
    assert peeked.state is ServiceBusMessageState.DEFERRED
    [again] = desk.receiver().receive_deferred_messages(got.sequence_number)
    desk.receiver().renew_message_lock(again)
    desk.receiver().complete_message(again)
    with pytest.raises(MessageNotFoundError):
        desk.receiver().receive_deferred_messages(got.sequence_number)


def test_peeking_locks_nothing_and_goes_on_where_it_ended(desk):
    desk.send("m1", "m2")
    desk.sender().schedule_messages(message("later"), desk.clock.now() + timedelta(seconds=10))
    first = desk.receiver().peek_messages(2, sequence_number=1)
    assert ids(first) == ["m1", "m2"]
    [last] = desk.receiver().peek_messages(2)
    assert (last.message_id, last.state) == ("later", ServiceBusMessageState.SCHEDULED)
    assert [m.delivery_count for m in desk.receive(2)] == [0, 0]


# ------------------------------------------------------------------------------------------------------- dead letters


def test_after_the_last_delivery_a_message_lies_in_the_dead_letters(desk):
    desk.send("m1", body=b"poison", application_properties={"a": "b"})
    for _ in range(3):
        desk.receiver().abandon_message(desk.receive()[0])
    [dead] = desk.receive(queue=DEAD)
    assert (b"".join(dead.body), dead.dead_letter_reason) == (b"poison", "MaxDeliveryCountExceeded")
    assert "Delivered 3 times" in dead.dead_letter_error_description
    assert dead.dead_letter_source == "orders"
    assert dead.application_properties[b"a"] == b"b"
    desk.receiver(DEAD).complete_message(dead)
    assert desk.broker.counts("orders").dead_letter == 0


def test_a_receiver_dead_letters_with_its_own_reason(desk):
    desk.send("m1")
    desk.receiver().dead_letter_message(desk.receive()[0], reason="Malformed", error_description="no 'kind'")
    [dead] = desk.receive(queue=DEAD)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Malformed", "no 'kind'")
    for _ in range(10):  # a dead letter never dies again
        desk.receiver(DEAD).abandon_message(dead)
        [dead] = desk.receive(queue=DEAD)
    with pytest.raises(ServiceBusError, match="holds dead letters already"):
        desk.receiver(DEAD).dead_letter_message(dead, reason="again")


# ---------------------------------------------------------------------------------------------------------- schedules


def test_a_scheduled_message_becomes_active_at_its_time_with_a_new_number(desk):
    due = desk.clock.now() + timedelta(seconds=30)
    [number] = desk.sender().schedule_messages(message("later"), due)
    desk.send("now")
    assert desk.broker.counts("orders") == QueueCounts(active=1, scheduled=1, dead_letter=0)
    desk.clock.advance(30)
    now, later = desk.receive(2)
    assert (now.message_id, later.message_id) == ("now", "later")
    assert later.sequence_number > now.sequence_number > number
    assert later.enqueued_time_utc == later.scheduled_enqueue_time_utc == due


def test_a_message_sent_with_a_time_waits_for_it_too(desk):
    later = message("later")
    later.scheduled_enqueue_time_utc = desk.clock.now() + timedelta(seconds=30)
    desk.sender().send_messages(later)
    assert desk.broker.counts("orders").scheduled == 1
    desk.clock.advance(30)
    assert ids(desk.receive()) == ["later"]


def test_a_cancelled_message_never_comes_and_is_cancelled_once(desk):
    one, two = desk.sender().schedule_messages([message("m1"), message("m2")], desk.clock.now() + timedelta(seconds=9))
    desk.sender().cancel_scheduled_messages(one)
    with pytest.raises(MessageNotFoundError):
        desk.sender().cancel_scheduled_messages([two, one])  # all or none
    desk.clock.advance(9)
    assert ids(desk.receive()) == ["m2"]


# ------------------------------------------------------------------------------------------- duplicates, time to live


def test_a_repeated_id_is_dropped_without_a_word_while_the_window_lasts(desk):
    desk.send("m1", "m1")
    desk.sender().schedule_messages(message("m1"), desk.clock.now() + timedelta(seconds=5))
    assert desk.broker.counts("orders") == QueueCounts(active=1, scheduled=0, dead_letter=0)
    desk.receiver().complete_message(desk.receive()[0])
    desk.clock.advance(599)
    desk.send("m1")
    assert desk.broker.counts("orders").active == 0
    assert desk.broker.counters.duplicates_dropped == 3
    desk.clock.advance(1)
    desk.send("m1")
    assert desk.broker.counts("orders").active == 1


def test_a_queue_without_a_window_drops_nothing(desk):
    desk.send("m1", "m1", queue="repeats")
    assert desk.broker.counts("repeats").active == 2


def test_a_message_that_outlives_its_time_is_gone_unless_it_is_locked(desk):
    desk.send("short", "held", time_to_live=timedelta(seconds=10))
    assert ids(desk.receive()) == ["short"]
    desk.clock.advance(10)
    assert desk.broker.counts("orders").active == 1
    desk.clock.advance(50)
    assert desk.broker.counts("orders").active == 0
    assert desk.broker.counters.expired == 2
