"""Sessions of the test broker, told through the real SDK."""

from __future__ import annotations

from datetime import timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.unit.service_bus_desk import Desk, ids, message


def of(desk: Desk, session_id: str, *names: str) -> None:
    desk.send(*names, queue="events", session_id=session_id)


def test_the_next_available_session_is_the_one_that_waits_longest(desk):
    of(desk, "chain-a", "a1", "a2")
    of(desk, "chain-b", "b1")
    with desk.session(NEXT_AVAILABLE_SESSION) as one, desk.session(NEXT_AVAILABLE_SESSION) as other:
        assert (one.session.session_id, other.session.session_id) == ("chain-a", "chain-b")
        assert one.session.locked_until_utc == desk.clock.now() + timedelta(seconds=60)
        got = one.receive_messages(max_message_count=2)
        assert [(m.message_id, m.session_id) for m in got] == [("a1", "chain-a"), ("a2", "chain-a")]
        of(desk, "chain-a", "a3")
        assert ids(one.receive_messages(max_message_count=1)) == ["a3"]


def test_waiting_for_a_session_ends_when_there_is_none(desk):
    with pytest.raises(OperationTimeoutError), desk.session(NEXT_AVAILABLE_SESSION, wait=0.2):
        pytest.fail("there is no session")


def test_a_session_has_one_holder(desk):
    of(desk, "chain-a", "a1")
    with desk.session("chain-a"):
        with pytest.raises(SessionCannotBeLockedError, match="chain-a"), desk.session("chain-a"):
            pytest.fail("it is held")
        with pytest.raises(OperationTimeoutError), desk.session(NEXT_AVAILABLE_SESSION, wait=0.2):
            pytest.fail("it is held")


def test_a_closed_session_gives_its_messages_to_the_next_without_counting(desk):
    of(desk, "chain-a", "a1", "a2")
    with desk.session("chain-a") as one:
        first, _ = one.receive_messages(max_message_count=2)
        one.complete_message(first)
    with desk.session(NEXT_AVAILABLE_SESSION) as other:
        [got] = other.receive_messages(max_message_count=1)
        assert (got.message_id, got.delivery_count) == ("a2", 0)


def test_a_session_that_is_not_renewed_is_lost_with_its_messages(desk):
    of(desk, "chain-a", "a1")
    with desk.session("chain-a") as one:
        [lost] = one.receive_messages(max_message_count=1)
        desk.clock.advance(60)
        with desk.session(NEXT_AVAILABLE_SESSION) as other:
            assert [m.delivery_count for m in other.receive_messages(max_message_count=1)] == [1]
            with pytest.raises(ServiceBusError):
                one.complete_message(lost)
    assert desk.broker.counters.sessions_expired == 1


def test_a_lost_session_cannot_be_renewed(desk):
    with desk.session("chain-a") as one:
        desk.clock.advance(60)
        with pytest.raises(SessionLockLostError):
            one.session.renew_lock()


def test_renewing_a_session_renews_its_messages(desk):
    of(desk, "chain-a", "a1")
    with desk.session("chain-a") as one:
        [got] = one.receive_messages(max_message_count=1)
        desk.clock.advance(50)
        assert one.session.renew_lock() == desk.clock.now() + timedelta(seconds=60)
        desk.clock.advance(50)
        one.complete_message(got)
    assert desk.broker.counts("events").active == 0


def test_a_poisonous_message_dies_and_lets_the_rest_of_its_session_pass(desk):
    of(desk, "chain-a", "bad", "good")
    with desk.session("chain-a") as one:
        for _ in range(3):
            [bad] = one.receive_messages(max_message_count=1)
            assert bad.message_id == "bad"
            one.abandon_message(bad)
        assert ids(one.receive_messages(max_message_count=1)) == ["good"]
    [dead] = desk.receive(queue="events/$DeadLetterQueue")
    assert (dead.message_id, dead.session_id) == ("bad", "chain-a")


def test_a_session_keeps_a_state_and_is_listed_for_it(desk):
    of(desk, "chain-b", "b1")
    with desk.session("chain-a") as one:
        assert one.session.get_state() is None
        one.session.set_state(b"step 3")
        assert one.session.get_state() == b"step 3"
        assert list(desk.client.list_queue_sessions("events")) == ["chain-a", "chain-b"]
        one.session.set_state(None)
    assert list(desk.client.list_queue_sessions("events")) == ["chain-b"]


def test_peeking_in_a_session_shows_only_its_messages(desk):
    of(desk, "chain-a", "a1")
    of(desk, "chain-b", "b1")
    with desk.session("chain-b") as other:
        assert ids(other.peek_messages(5, sequence_number=1)) == ["b1"]


def test_queues_with_and_without_sessions_are_told_apart(desk):
    with pytest.raises(ServiceBusError, match="requires sessions"):
        desk.sender("events").send_messages(message("m1"))
    with pytest.raises(ServiceBusError, match="requires sessions"), desk.client.get_queue_receiver("events"):
        pytest.fail("a plain receiver")
    with (
        pytest.raises(ServiceBusError, match="has no sessions"),
        desk.client.get_queue_receiver("orders", session_id="a"),
    ):
        pytest.fail("a session receiver")
