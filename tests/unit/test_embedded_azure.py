"""`start` under the azure profile: the functions run here, and nothing of what the local profile has beside them."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from genaiops.embedded import Embedded, addresses
from shared.adapters.queues import QueueConfig
from shared.chain.messages import Queue
from shared.errors import GenAIOpsError
from shared.settings import InvalidSettings, read
from tests.servers.service_bus import Broker
from tests.unit.test_cli_start import free_ports

AZURE = {
    "GENAIOPS_PROFILE": "azure",
    "ServiceBus__fullyQualifiedNamespace": "contoso.servicebus.windows.net",
    "Storage__blobServiceUri": "https://contoso.blob.core.windows.net",
    "GENAIOPS_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
    "GENAIOPS_RESOURCE_GROUP": "genaiops",
    "GENAIOPS_ML_WORKSPACE": "genaiops-ml",
}


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker([QueueConfig(queue.value, sessions=queue is Queue.CHAIN_EVENTS) for queue in Queue]) as broker:
        yield broker


def embedded(home: Path, **variables: str) -> Embedded:
    port, router, stand_in = free_ports(3)
    own = {
        "GENAIOPS_HOME": str(home),
        "GENAIOPS_HTTP_PORT": str(port),
        "GENAIOPS_ROUTER_PORT": str(router),
        "GENAIOPS_STAND_IN_PORT": str(stand_in),
    }
    return Embedded(read(AZURE | own | variables), drain_timeout_s=5)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status > 0
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


def test_the_functions_run_here_on_azures_resources_without_a_model_or_endpoints_of_their_own(tmp_path, broker):
    before = set(psutil.Process().children(recursive=True))
    with embedded(tmp_path, GENAIOPS_BUS=broker.connection_string) as running:
        assert answers(running.settings.http_port)
        assert not answers(running.settings.router_port)
        assert not answers(running.settings.stand_in_port)
        assert running.stand_in is None
        assert set(psutil.Process().children(recursive=True)) == before, "no worker, no endpoint, no model"
        told = "\n".join(addresses(running))
    assert f"queues      127.0.0.1:{broker.port}" in told
    assert "https://contoso.blob.core.windows.net, workspace genaiops-ml" in told
    assert "Uploads of datasets are told to the app in Azure" in told
    assert "endpoints" not in told
    assert not [thread for thread in threading.enumerate() if thread.name in {q.value for q in Queue}]


def test_a_namespace_that_is_not_there_is_named_with_its_setting_and_nothing_is_left_running(tmp_path):
    away = embedded(tmp_path, ServiceBus__fullyQualifiedNamespace="nowhere.invalid")
    with pytest.raises(GenAIOpsError, match=r"nowhere\.invalid \(ServiceBus__fullyQualifiedNamespace\)"):
        away.start()
    assert not answers(away.settings.http_port)


def test_settings_that_are_missing_are_listed_before_anything_starts(tmp_path):
    with pytest.raises(InvalidSettings, match=r"(?s)GENAIOPS_ML_WORKSPACE is missing.*"):
        embedded(tmp_path, GENAIOPS_ML_WORKSPACE="")
