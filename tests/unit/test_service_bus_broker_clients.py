"""How clients reach the test broker: async, over TLS with a token, as a process; and what else speaks AMQP to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusMessage, TransportType
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusConnectionError

from shared.adapters.queues import QueueConfig
from tests.servers.certificates import Authority
from tests.servers.service_bus import Broker
from tests.unit.service_bus_desk import QUEUES, ids, message

ROOT = Path(__file__).parents[2]


class Credential:
    """A token credential of azure-core whose token is whatever the test says."""

    def get_token(self, *scopes: str, **kwargs: object) -> AccessToken:
        assert scopes == ("https://servicebus.azure.net//.default",)
        return AccessToken("header.claims.signature", int(time.time()) + 3600)


def test_the_async_client_sends_and_receives_in_sessions():
    async def talk(connection_string: str) -> list[str | None]:
        async with AsyncServiceBusClient.from_connection_string(connection_string) as client:
            async with client.get_queue_sender("events") as sender:
                await sender.send_messages([message(name, session_id="chain-a") for name in ("a1", "a2")])
            async with client.get_queue_receiver(
                "events", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5
            ) as receiver:
                got = await receiver.receive_messages(max_message_count=2)
                for one in got:
                    await receiver.complete_message(one)
                return ids(got)

    with Broker(QUEUES) as broker:
        # In a thread of its own: a browser that another test drives keeps a loop running in this one.
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(asyncio.run, talk(broker.connection_string)).result() == ["a1", "a2"]
        assert broker.counts("events").active == 0


def test_a_token_credential_reaches_the_broker_over_tls(tmp_path):
    authority = Authority(tmp_path)
    with Broker(QUEUES, tls=authority.certificate().server_context()) as broker:
        options = {"transport_type": TransportType.Amqp, "custom_endpoint_address": broker.endpoint, "retry_total": 0}
        name = "namespace.servicebus.windows.net"
        with ServiceBusClient(name, Credential(), connection_verify=str(authority.bundle), **options) as client:
            with client.get_queue_sender("orders") as sender:
                sender.send_messages(message("m1"))
            with client.get_queue_receiver("orders", max_wait_time=5) as receiver:
                [got] = receiver.receive_messages(max_message_count=1)
                receiver.complete_message(got)
        assert [token.audience for token in broker.counters.tokens] == [f"sb://{name}/orders"] * 2
        assert {(token.kind, token.text) for token in broker.counters.tokens} == {("jwt", "header.claims.signature")}
        with (
            ServiceBusClient(name, Credential(), **options) as distrusting,
            pytest.raises(ServiceBusConnectionError, match="certificate verify failed"),
            distrusting.get_queue_sender("orders"),
        ):
            pytest.fail("nobody vouches for the broker's certificate")


def test_a_signature_by_another_key_is_refused():
    with Broker(QUEUES) as broker:
        wrong = broker.connection_string.replace("SharedAccessKey=", "SharedAccessKey=not")
        with (
            ServiceBusClient.from_connection_string(wrong, retry_total=0) as client,
            pytest.raises(ServiceBusAuthenticationError),
            client.get_queue_sender("orders"),
        ):
            pytest.fail("the signature is wrong")
        assert [token.accepted for token in broker.counters.tokens] == [False]


def test_the_broker_runs_as_a_process_of_its_own(tmp_path):
    spec = tmp_path / "queues.json"
    spec.write_text(json.dumps([{"name": "orders", "lock_seconds": 30}, {"name": "events", "sessions": True}]))
    command = [sys.executable, "-m", "tests.servers.service_bus", "--queues", str(spec)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection_string = process.stdout.readline().strip()
        with (
            ServiceBusClient.from_connection_string(connection_string) as client,
            client.get_queue_sender("orders") as sender,
        ):
            [number] = sender.schedule_messages([ServiceBusMessage("x")], _in_an_hour())
            sender.cancel_scheduled_messages(number)
        process.terminate()
        assert process.wait(20) == 0


def test_the_broker_has_the_queues_of_the_app_where_none_are_listed():
    command = [sys.executable, "-m", "tests.servers.service_bus"]
    environment = {**os.environ, "GENAIOPS_PROFILE": "local", "GENAIOPS_QUEUE_REPORTING": "reports"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection_string = process.stdout.readline().strip()
        with ServiceBusClient.from_connection_string(connection_string) as client:
            for queue, session in (("chain-events", "chain"), ("chain-requests", None), ("reports", None)):
                with client.get_queue_sender(queue) as sender:
                    [number] = sender.schedule_messages([ServiceBusMessage("x", session_id=session)], _in_an_hour())
                    sender.cancel_scheduled_messages(number)
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"AMQP\x00\x00\x09\x01", b"\x00" * 64, b"AMQP\x00\x01\x00\x00" * 3],
)
def test_what_is_not_amqp_is_sent_away_and_harms_nobody(noise):
    with Broker([QueueConfig("orders")]) as broker:
        with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as stranger:
            stranger.sendall(noise)
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(4096):
                pass
        assert broker.counts("orders").active == 0


def _in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)
