"""What the test broker says on the wire to a client that does what the SDK never does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.adapters.memory.clock import START, ManualClock
from shared.adapters.queues import QueueConfig
from tests.servers.service_bus import Broker
from tests.servers.service_bus.contents import DATA, PROPERTIES, parse, section
from tests.servers.service_bus.encoding import encode, encode_list
from tests.servers.service_bus.performatives import (
    ACCEPTED,
    RELEASED,
    Close,
    Detach,
    Disposition,
    Flow,
    Transfer,
    error,
)
from tests.servers.service_bus.values import Described, Symbol, Ulong
from tests.unit.amqp_peer import Peer

RECEIVED, REJECTED, MODIFIED = Ulong(0x23), Ulong(0x25), Ulong(0x27)


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[Broker]:
    with Broker([QueueConfig("orders", max_delivery_count=3), QueueConfig("events", sessions=True)],
                clock=ManualClock()) as broker:  # fmt: skip
        yield broker


@pytest.fixture
def broker(shared_broker: Broker) -> Broker:
    shared_broker.reset()
    return shared_broker


@pytest.fixture
def peer(broker: Broker) -> Iterator[Peer]:
    with Peer(broker.port) as peer:
        yield peer


def content(message_id: str, session_id: str | None = None) -> bytes:
    properties = [message_id, *[None] * 9, session_id]
    return section(PROPERTIES, encode_list(properties)) + section(DATA, encode(b"body"))


def send(peer: Peer, *ids: str) -> None:
    peer.claim("sb://host/orders")
    peer.attach_sender(1, "amqps://host:5671/orders")
    for message_id in ids:
        assert peer.transfer(1, content(message_id)) == ACCEPTED


def settle(peer: Peer, first: int, last: int | None, state: Described | None) -> list[Described | None]:
    peer.send(Disposition(True, first, last, settled=False, state=state))
    return [peer.expect(Disposition).state for _ in range(first, (first if last is None else last) + 1)]


def test_a_client_names_itself_by_any_mechanism_that_the_service_offers(broker):
    for mechanism in ("MSSBCBS", "ANONYMOUS", "EXTERNAL"):
        with Peer(broker.port, mechanism=mechanism) as peer:
            assert mechanism.encode() in peer.mechanisms
            peer.close()


def test_a_client_without_a_token_gets_no_link(peer):
    answer = peer.attach_sender(1, "orders")
    assert (answer.source, answer.target) == (None, None)
    detached = peer.expect(Detach)
    assert detached.error is not None
    assert detached.error.value[0] == "amqp:unauthorized-access"


def test_a_token_for_one_queue_is_none_for_another(peer):
    peer.claim("sb://host/orders")
    assert peer.attach_receiver(1, "orders/$deadletterqueue").source is not None
    assert peer.attach_receiver(2, "events").source is None


def test_a_client_that_wants_heartbeats_gets_them(broker):
    with Peer(broker.port, idle_time_out=20) as peer:
        peer.expect_heartbeat()
        peer.expect_heartbeat()


def test_draining_uses_up_the_credit_that_found_no_message(peer):
    send(peer, "m1")
    peer.attach_receiver(2, "orders")
    peer.credit(2, 5, drain=True)
    peer.expect(Transfer)
    flow = peer.expect(Flow)
    assert (flow.delivery_count, flow.link_credit, flow.drain) == (5, 0, True)


def test_one_disposition_settles_a_range(peer, broker):
    send(peer, "m1", "m2", "m3")
    peer.attach_receiver(2, "orders")
    peer.credit(2, 3)
    assert [peer.expect(Transfer).delivery_id for _ in range(3)] == [0, 1, 2]
    assert settle(peer, 0, 2, ACCEPTED) == [ACCEPTED] * 3
    assert broker.counters.completed == 3
    [again] = settle(peer, 1, None, ACCEPTED)
    assert again is not None
    assert again.value[0].value[0] == "com.microsoft:message-lock-lost"


def test_no_more_is_delivered_than_there_is_credit_for(peer, broker):
    send(peer, "m1", "m2", "m3")
    peer.attach_receiver(2, "orders")
    peer.credit(2, 2)
    assert [peer.expect(Transfer).delivery_id for _ in range(2)] == [0, 1]
    peer.close()
    assert broker.counters.delivered == 2


def test_abandoning_may_change_properties(peer):
    send(peer, "m1")
    peer.attach_receiver(2, "orders")
    peer.credit(2, 2)
    peer.expect(Transfer)
    state = Described(MODIFIED, [True, False, {Symbol("attempt"): "first"}])
    peer.send(Disposition(True, 0, None, settled=False, state=state))
    answers: list[Any] = [peer.expect_with_payload(object) for _ in range(2)]
    [payload] = [payload for kind, payload in answers if isinstance(kind, Transfer)]
    assert parse(payload).application == {"attempt": "first"}


def test_a_message_that_is_released_counts_no_delivery_and_one_that_is_rejected_is_dead(peer, broker):
    send(peer, "m1")
    peer.attach_receiver(2, "orders")
    for delivery in range(5):
        peer.credit(2, 1, delivered=delivery)
        peer.expect(Transfer)
        assert settle(peer, delivery, None, RELEASED) == [RELEASED]
    peer.credit(2, 1, delivered=5)
    peer.expect(Transfer)
    refused = Described(REJECTED, [error("my:condition", "my description")])
    assert settle(peer, 5, None, refused) == [Described(REJECTED, [])]
    assert broker.counts("orders").dead_letter == 1
    peer.claim("sb://host/orders")
    peer.attach_receiver(3, "orders/$DeadLetterQueue")
    peer.credit(3, 1)
    _, payload = peer.expect_with_payload(Transfer)
    assert parse(payload).application == {
        "DeadLetterReason": "my:condition",
        "DeadLetterErrorDescription": "my description",
    }


def test_a_settlement_may_be_lost_on_its_way(peer, broker):
    send(peer, "m1", "m2")
    peer.attach_receiver(2, "orders")
    peer.credit(2, 2)
    for _ in range(2):
        peer.expect(Transfer)
    broker.faults.lose_settlements(1, answered=False)
    peer.send(Disposition(True, 0, None, settled=False, state=ACCEPTED))
    assert settle(peer, 1, None, ACCEPTED) == [ACCEPTED]  # the first has no answer
    assert broker.counters.completed == 1


def test_receivers_take_turns(broker):
    with Peer(broker.port) as one, Peer(broker.port) as other:
        for peer in (one, other):
            peer.claim("sb://host/orders")
            peer.attach_receiver(2, "orders")
            peer.credit(2, 2)
        one.attach_sender(1, "orders")
        body = b"".join(section(DATA, encode(content(f"m{n}"))) for n in range(4))
        one.send(Transfer(1, 1, b"t", 0x80013700, settled=False), body)
        assert {type(one.expect_with_payload(object)[0]) for _ in range(3)} == {Transfer, Disposition}
        assert [other.expect(Transfer).delivery_id for _ in range(2)] == [0, 1]


def test_a_described_session_filter_is_read_too(peer):
    peer.claim("sb://host/events")
    name = Symbol("com.microsoft:session-filter")
    answer = peer.attach_receiver(2, "events", {name: Described(name, "chain-a")})
    assert answer.source is not None
    assert answer.source.value[7] == {name: "chain-a"}
    [(name, ticks)] = answer.properties.items()
    assert name == "com.microsoft:locked-until-utc"
    assert datetime(1, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks / 10) == START + timedelta(seconds=60)


def test_frames_on_a_channel_without_a_session_end_the_connection(broker):
    with Peer(broker.port) as peer:
        peer._socket.sendall(b"\x00\x00\x00\x0c\x02\x00\x00\x07\x00\x53\x16\x45")
        closed = peer.expect(Close)
        assert closed.error is not None
