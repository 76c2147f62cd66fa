"""What every bus does, told as the life of messages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.adapters.memory.clock import ManualClock
from shared.adapters.queues import MESSAGE_LIMIT
from shared.errors import Conflict, Malformed, NotFound
from shared.ports import QueueCounts
from tests.contract.bus_messages import message, received_ids
from tests.contract.conftest import BusFactory

DEAD = "orders/$deadletterqueue"


# ------------------------------------------------------------------------------------------------- sending, receiving


def test_a_message_arrives_with_everything_it_was_sent_with(bus, clock):
    bus.send(
        "orders",
        [
            message(
                "m1", b'{"n": 1}\x00\xff', subject="RunCell", correlation_id="c1", properties={"PlanUrl": "https://ü"}
            )
        ],
    )
    [got] = bus.receive("orders")
    assert (got.queue, got.body, got.message_id, got.subject, got.correlation_id) == (
        "orders", b'{"n": 1}\x00\xff', "m1", "RunCell", "c1",
    )  # fmt: skip
    assert got.properties == {"PlanUrl": "https://ü"}
    assert (got.delivery_count, got.enqueued_at, got.locked_until) == (
        1, clock.now(), clock.now() + timedelta(seconds=60),
    )  # fmt: skip
    assert (got.session_id, got.dead_letter_reason, got.dead_letter_description) == (None, None, None)


def test_messages_come_oldest_first_and_only_as_many_as_asked_for(bus):
    bus.send("orders", [message(f"m{n}") for n in range(5)])
    assert received_ids(bus, count=2) == ["m0", "m1"]
    assert received_ids(bus) == ["m2", "m3", "m4"]
    assert received_ids(bus) == []


def test_a_message_that_one_consumer_locked_is_invisible_to_another(buses):
    one, other = buses.consumer(), buses.consumer()
    one.send("orders", [message("m1")])
    assert received_ids(one) == ["m1"]
    assert received_ids(other) == []


def test_a_completed_message_is_gone(bus, clock):
    bus.send("orders", [message("m1")])
    bus.complete(bus.receive("orders")[0])
    clock.advance(10_000)
    assert received_ids(bus) == []
    assert bus.counts("orders") == QueueCounts(active=0, scheduled=0, dead_letter=0)


def test_queue_names_do_not_tell_case_apart(bus):
    bus.send("Orders", [message("m1")])
    assert bus.receive("ORDERS")[0].queue == "orders"


@pytest.mark.parametrize("queue", ["nowhere", "nowhere/$deadletterqueue", ""])
def test_an_unknown_queue_is_named_in_the_error(bus, queue):
    with pytest.raises(NotFound, match="There is no queue"):
        bus.send(queue, [message("m1")])
    with pytest.raises(NotFound, match="orders"):
        bus.receive(queue)
    with pytest.raises(NotFound):
        bus.counts(queue)


def test_a_queue_is_opened_by_whoever_is_to_receive_from_it(bus):
    for queue in ("orders", "events", DEAD, "Orders"):
        bus.open(queue)
    with pytest.raises(NotFound, match="There is no queue 'nowhere'"):
        bus.open("nowhere")


def test_a_message_over_the_limit_is_refused_with_its_size_and_nothing_is_sent(bus):
    with pytest.raises(Malformed, match=r"m2 .* 300,002 bytes; the limit is 261,120"):
        bus.send("orders", [message("m1"), message("m2", b"x" * 300_000)])
    assert received_ids(bus) == []


def test_a_message_of_exactly_the_limit_passes(bus):
    bus.send("orders", [message("m1", b"x" * (MESSAGE_LIMIT - 2))])
    assert len(bus.receive("orders")[0].body) == MESSAGE_LIMIT - 2


def test_a_message_without_an_id_is_refused(bus):
    with pytest.raises(Malformed, match="no message id"):
        bus.send("orders", [message("")])


def test_peeking_shows_messages_without_locking_them(bus, clock):
    bus.send("orders", [message("m1"), message("m2", deliver_at=clock.now() + timedelta(hours=1))])
    assert [(m.message_id, m.lock_token) for m in bus.peek("orders")] == [("m1", ""), ("m2", "")]
    assert [m.message_id for m in bus.peek("orders", 1)] == ["m1"]
    assert bus.receive("orders")[0].delivery_count == 1


# -------------------------------------------------------------------------------------------------------------- locks


def test_an_expired_lock_makes_the_message_available_again_with_a_higher_count(bus, clock):
    bus.send("orders", [message("m1")])
    bus.receive("orders")
    clock.advance(59.9)
    assert received_ids(bus) == []
    clock.advance(0.1)
    assert [m.delivery_count for m in bus.receive("orders")] == [2]


def test_renewing_a_lock_keeps_the_message(bus, clock):
    bus.send("orders", [message("m1")])
    [got] = bus.receive("orders")
    clock.advance(50)
    renewed = bus.renew(got)
    assert renewed.locked_until == clock.now() + timedelta(seconds=60)
    assert (renewed.lock_token, renewed.delivery_count) == (got.lock_token, 1)
    clock.advance(50)
    assert received_ids(bus) == []
    bus.complete(renewed)
    assert bus.counts("orders").active == 0


@pytest.mark.parametrize("taken_again", [False, True])
def test_who_lost_the_lock_cannot_settle_the_message(bus, clock, taken_again):
    bus.send("orders", [message("m1")])
    [lost] = bus.receive("orders")
    clock.advance(60)
    if taken_again:
        assert received_ids(bus) == ["m1"]
    for settle in (bus.complete, bus.abandon, bus.renew, lambda m: bus.dead_letter(m, "r", "d")):
        with pytest.raises(Conflict, match=r"lock on message m1 .* was lost"):
            settle(lost)
    assert bus.counts("orders").active == 1


def test_a_settled_message_cannot_be_settled_again(bus):
    bus.send("orders", [message("m1"), message("m2")])
    first, second = bus.receive("orders", count=2)
    bus.complete(first)
    bus.abandon(second)
    for settled in (first, second):
        with pytest.raises(Conflict):
            bus.complete(settled)


def test_an_abandoned_message_comes_back_at_once_and_in_its_old_place(bus):
    bus.send("orders", [message("m1"), message("m2")])
    [got] = bus.receive("orders")
    bus.abandon(got)
    assert [(m.message_id, m.delivery_count) for m in bus.receive("orders", count=2)] == [("m1", 2), ("m2", 1)]


# ------------------------------------------------------------------------------------------------------- dead letters


def test_after_the_last_delivery_a_message_is_dead_lettered_with_the_reason(bus):
    bus.send("orders", [message("m1", b"poison")])
    for delivery in (1, 2, 3):
        [got] = bus.receive("orders")
        assert got.delivery_count == delivery
        bus.abandon(got)
    assert received_ids(bus) == []
    [dead] = bus.receive(DEAD)
    assert (dead.message_id, dead.body, dead.queue) == ("m1", b"poison", DEAD)
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert "Delivered 3 times" in dead.dead_letter_description


def test_locks_that_expire_count_as_deliveries_too(bus, clock):
    bus.send("orders", [message("m1")])
    for _ in range(3):
        assert received_ids(bus) == ["m1"]
        clock.advance(60)
    assert bus.counts("orders") == QueueCounts(active=0, scheduled=0, dead_letter=1)
    assert received_ids(bus) == []
    assert received_ids(bus, DEAD) == ["m1"]


def test_a_handler_dead_letters_with_its_own_reason(bus):
    bus.send("orders", [message("m1", properties={"a": "b"})])
    bus.dead_letter(bus.receive("orders")[0], "Malformed", "key 'kind' is missing")
    [dead] = bus.receive("orders/$DeadLetterQueue")
    assert (dead.dead_letter_reason, dead.dead_letter_description) == ("Malformed", "key 'kind' is missing")
    assert dead.properties == {"a": "b"}


def test_dead_letters_are_received_and_completed_like_messages_but_never_die_again(bus, clock):
    bus.send("orders", [message("m1")])
    bus.dead_letter(bus.receive("orders")[0], "Malformed", "")
    for _ in range(10):
        [dead] = bus.receive(DEAD)
        bus.abandon(dead)
    [dead] = bus.receive(DEAD)
    clock.advance(60)
    [dead] = bus.receive(DEAD)
    with pytest.raises(Malformed, match="complete or abandon"):
        bus.dead_letter(dead, "again", "")
    assert bus.counts(DEAD) == QueueCounts(active=1, scheduled=0, dead_letter=0)
    bus.complete(dead)
    assert bus.counts("orders").dead_letter == 0


def test_nobody_sends_to_a_dead_letter_queue(bus):
    with pytest.raises(Malformed, match="send to orders"):
        bus.send(DEAD, [message("m1")])


# ---------------------------------------------------------------------------------------------------------- schedules


def test_a_scheduled_message_is_not_there_before_its_time(bus, clock):
    due = clock.now() + timedelta(seconds=30)
    bus.send("orders", [message("later", deliver_at=due), message("now")])
    assert bus.counts("orders") == QueueCounts(active=1, scheduled=1, dead_letter=0)
    assert received_ids(bus) == ["now"]
    clock.advance(29.9)
    assert received_ids(bus) == []
    clock.advance(0.1)
    [got] = bus.receive("orders")
    assert (got.message_id, got.enqueued_at, got.delivery_count) == ("later", due, 1)
    assert bus.counts("orders") == QueueCounts(active=2, scheduled=0, dead_letter=0)


def test_scheduled_messages_join_the_end_of_the_queue_in_the_order_of_their_times(bus, clock):
    bus.send("orders", [message(f"at {s}", deliver_at=clock.now() + timedelta(seconds=s)) for s in (20, 10)])
    bus.send("orders", [message("now")])
    clock.advance(30)
    got = bus.receive("orders", count=10)
    assert [m.message_id for m in got] == ["now", "at 10", "at 20"]
    assert [m.sequence_number for m in got] == sorted(m.sequence_number for m in got)


def test_a_time_that_has_passed_means_at_once(bus, clock):
    bus.send("orders", [message("m1", deliver_at=clock.now() - timedelta(seconds=1))])
    assert received_ids(bus) == ["m1"]


def test_time_that_jumps_back_neither_hides_nor_reorders_messages(bus, clock: ManualClock, buses: BusFactory):
    bus.send("orders", [message("m1")])
    clock.advance(-3600)
    bus.send("orders", [message("m2")])
    assert received_ids(bus) == ["m1", "m2"]


# --------------------------------------------------------------------------------------------------------- duplicates


def test_a_repeated_message_id_is_dropped_within_the_window(bus, clock):
    bus.send("orders", [message("m1", b"first"), message("m1", b"in the same call")])
    bus.send("orders", [message("m1", b"again")])
    [got] = bus.receive("orders", count=10)
    assert got.body == b"first"


def test_the_id_of_a_completed_message_is_remembered_until_the_window_ends(bus, clock):
    bus.send("orders", [message("m1")])
    bus.complete(bus.receive("orders")[0])
    clock.advance(599)
    bus.send("orders", [message("m1")])  # a repetition does not extend the window
    assert received_ids(bus) == []
    clock.advance(1)
    bus.send("orders", [message("m1")])
    assert received_ids(bus) == ["m1"]


def test_a_scheduled_message_is_a_duplicate_from_the_moment_it_was_sent(bus, clock):
    bus.send("orders", [message("m1", deliver_at=clock.now() + timedelta(seconds=300))])
    bus.send("orders", [message("m1")])
    assert received_ids(bus) == []
    clock.advance(300)
    assert received_ids(bus) == ["m1"]


def test_queues_remember_ids_each_for_themselves(bus):
    bus.send("orders", [message("m1")])
    bus.send("repeats", [message("m1"), message("m1")])
    assert received_ids(bus) == ["m1"]
    assert received_ids(bus, "repeats") == ["m1", "m1"]
