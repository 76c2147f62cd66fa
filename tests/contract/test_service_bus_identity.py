"""Service Bus by identity: over TLS, with tokens that the real credential gets; no key is anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.adapters.azure import credential
from shared.adapters.azure.bus import ServiceBus, Timing
from shared.adapters.azure.lazy_credential import LazyCredential
from shared.adapters.queues import QueueConfig
from shared.errors import BusinessFailure
from tests.contract.bus_messages import message
from tests.servers.certificates import Authority
from tests.servers.identity import IdentityEndpoint
from tests.servers.service_bus import Broker

QUEUES = (QueueConfig("orders"), QueueConfig("events", sessions=True))
NAMESPACE = "contoso.servicebus.windows.net"


@pytest.fixture
def broker(authority: Authority) -> Iterator[Broker]:
    with Broker(QUEUES, tls=authority.certificate().server_context()) as broker:
        yield broker


@pytest.fixture
def bus(broker: Broker, identity: IdentityEndpoint) -> Iterator[ServiceBus]:
    credential.forget()
    who = LazyCredential(lambda: credential.of_identity(None))
    timing = Timing(look_s=0.1, retries=1, backoff_s=0.05)
    bus = ServiceBus(NAMESPACE, QUEUES, who, timing=timing, endpoint=broker.endpoint)
    yield bus
    bus.close()
    credential.forget()


def test_a_managed_identity_sends_and_receives(bus, broker):
    bus.send("orders", [message("m1")])
    bus.send("events", [message("e1", session_id="a")])
    got = bus.wait_for_message("orders", 5)
    assert got.message_id == "m1"
    bus.complete(got)
    assert bus.accept_session("events") == "a"
    assert [m.message_id for m in bus.receive("events", session_id="a")] == ["e1"]
    assert {token.kind for token in broker.counters.tokens} == {"jwt"}
    assert {token.audience for token in broker.counters.tokens} == {
        f"sb://{NAMESPACE}/orders",
        f"sb://{NAMESPACE}/events",
    }
    assert all(token.accepted and token.text.count(".") == 2 for token in broker.counters.tokens)


def test_a_machine_without_an_identity_is_told_what_to_do(bus, monkeypatch):
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.setenv("WEBSITE_INSTANCE_ID", "1")
    with pytest.raises(BusinessFailure, match="has no managed identity"):
        bus.send("orders", [message("m1")])


def test_a_developer_who_has_not_logged_in_is_told_to(broker, monkeypatch):
    from azure.identity import AzureCliCredential

    monkeypatch.setenv("PATH", "")  # as where the Azure CLI is not installed
    bus = ServiceBus(NAMESPACE, QUEUES, AzureCliCredential(), setting="GENAIOPS_BUS", endpoint=broker.endpoint)
    with pytest.raises(BusinessFailure, match=r"No token for contoso.*\(GENAIOPS_BUS\).*`az login`"):
        bus.open("orders")
    bus.close()
