"""What every bus does with sessions: one consumer each, in order, whatever happens to the consumer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import Conflict, Malformed
from shared.ports import OutgoingMessage
from tests.contract.bus_messages import message, received_ids

DEAD = "orders/$deadletterqueue"


def of(session: str, *ids: str) -> list[OutgoingMessage]:
    return [message(name, session_id=session) for name in ids]


def test_a_session_has_one_consumer_who_gets_its_messages_in_order(buses):
    one, other = buses.consumer(), buses.consumer()
    one.send("events", of("chain-a", "a1", "a2") + of("chain-b", "b1") + of("chain-a", "a3"))
    assert one.accept_session("events") == "chain-a"
    assert other.accept_session("events") == "chain-b"
    assert other.accept_session("events") is None
    assert received_ids(one, "events", session_id="chain-a") == ["a1", "a2", "a3"]
    assert [m.session_id for m in other.receive("events", session_id="chain-b")] == ["chain-b"]


def test_receiving_from_a_session_that_was_not_accepted_is_refused(buses):
    one, other = buses.consumer(), buses.consumer()
    one.send("events", of("chain-a", "a1"))
    one.accept_session("events")
    for session in (None, "chain-a", "chain-z"):
        with pytest.raises(Conflict, match="not locked by this consumer"):
            other.receive("events", session_id=session)


def test_a_released_session_gives_unsettled_messages_to_the_next_consumer(buses):
    one, other = buses.consumer(), buses.consumer()
    one.send("events", of("chain-a", "a1", "a2"))
    one.accept_session("events")
    first, second = one.receive("events", count=2, session_id="chain-a")
    one.complete(first)
    one.release_session("events", "chain-a")
    assert other.accept_session("events") == "chain-a"
    [got] = other.receive("events", session_id="chain-a")
    assert (got.message_id, got.delivery_count) == ("a2", 1)  # a session that is let go was no failure of its messages
    with pytest.raises(Conflict):
        one.complete(second)
    with pytest.raises(Conflict):
        one.receive("events", session_id="chain-a")


def test_a_session_lock_expires_with_the_locks_on_its_messages(buses, clock):
    one, other = buses.consumer(), buses.consumer()
    one.send("events", of("chain-a", "a1"))
    one.accept_session("events")
    [lost] = one.receive("events", session_id="chain-a")
    clock.advance(60)
    with pytest.raises(Conflict):
        one.renew_session("events", "chain-a")
    with pytest.raises(Conflict):
        one.complete(lost)
    assert other.accept_session("events") == "chain-a"
    assert [m.delivery_count for m in other.receive("events", session_id="chain-a")] == [2]
    one.release_session("events", "chain-a")  # too late: it must not take the session from its new consumer
    other.renew_session("events", "chain-a")


@pytest.mark.parametrize("by_message", [False, True])
def test_renewing_a_session_renews_its_messages(buses, clock, by_message):
    one, other = buses.consumer(), buses.consumer()
    one.send("events", of("chain-a", "a1", "a2"))
    one.accept_session("events")
    first, second = one.receive("events", count=2, session_id="chain-a")
    clock.advance(50)
    if by_message:
        assert one.renew(first).locked_until == clock.now() + timedelta(seconds=60)
    else:
        one.renew_session("events", "chain-a")
    clock.advance(50)
    assert other.accept_session("events") is None
    one.complete(first)
    one.complete(second)


def test_a_session_whose_messages_are_all_settled_or_scheduled_is_not_offered(bus, clock):
    bus.send("events", of("chain-a", "a1"))
    bus.send("events", [message("a2", session_id="chain-a", deliver_at=clock.now() + timedelta(seconds=30))])
    session = bus.accept_session("events")
    bus.complete(bus.receive("events", session_id=session)[0])
    bus.release_session("events", session)
    assert bus.accept_session("events") is None
    clock.advance(30)
    assert bus.accept_session("events") == "chain-a"
    assert received_ids(bus, "events", session_id="chain-a") == ["a2"]


def test_a_message_that_arrives_while_its_session_is_held_goes_to_the_holder(buses):
    one, other = buses.consumer(), buses.consumer()
    one.send("events", of("chain-a", "a1"))
    one.accept_session("events")
    one.complete(one.receive("events", session_id="chain-a")[0])
    other.send("events", of("chain-a", "a2"))
    assert other.accept_session("events") is None
    assert received_ids(one, "events", session_id="chain-a") == ["a2"]


def test_a_poisonous_message_of_a_session_dies_and_lets_the_rest_of_the_session_pass(bus):
    bus.send("events", of("chain-a", "bad", "good"))
    bus.accept_session("events")
    for _ in range(3):
        [bad] = bus.receive("events", session_id="chain-a")
        assert bad.message_id == "bad"
        bus.abandon(bad)
    assert received_ids(bus, "events", session_id="chain-a") == ["good"]
    [dead] = bus.receive("events/$deadletterqueue")  # without a session, as in Service Bus
    assert (dead.message_id, dead.session_id) == ("bad", "chain-a")


def test_a_queue_with_sessions_refuses_a_message_without_one(bus):
    with pytest.raises(Malformed, match="no session id"):
        bus.send("events", [message("m1")])


def test_a_queue_without_sessions_has_none_to_accept(bus):
    with pytest.raises(Malformed, match="has no sessions"):
        bus.accept_session("orders")


def test_releasing_a_session_that_is_not_held_is_no_error(bus):
    bus.release_session("events", "chain-z")
    assert bus.accept_session("events") is None
