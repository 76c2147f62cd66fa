"""`start --bus`: a host in a process of its own takes its queues from a Service Bus namespace, which goes away midway."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.adapters.azure.bus import ServiceBus
from shared.adapters.queues import QueueConfig
from shared.chain.messages import Queue
from shared.chain.state import ChainStatus
from tests.acceptance.conftest import FOLDER, USE_CASE
from tests.acceptance.embedded import Embedded
from tests.servers.service_bus import Broker

pytestmark = pytest.mark.timeout(600)

QUEUES = [QueueConfig(queue.value, sessions=queue is Queue.CHAIN_EVENTS) for queue in Queue]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(QUEUES) as broker:
        yield broker


@pytest.fixture(scope="module")
def host(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    embedded = Embedded(tmp_path_factory.mktemp("bus") / "home", GENAIOPS_BUS=broker.connection_string)
    embedded.start()
    try:
        embedded.until_serving()
        yield embedded
    finally:
        bus = embedded.ports.bus
        assert isinstance(bus, ServiceBus)
        bus.close()
        if embedded.process is not None:
            embedded.process.send_signal(signal.SIGKILL)
            embedded.process.wait()


def nothing_is_left(broker: Broker) -> bool:
    counts = [broker.counts(queue.value) for queue in Queue]
    return all(count.active == count.scheduled == count.dead_letter == 0 for count in counts)


def test_a_chain_goes_over_the_namespace_and_the_homes_own_queues_stay_unused(host: Embedded, broker: Broker):
    assert f"queues      127.0.0.1:{broker.port}" in host.said()
    chain = host.request(USE_CASE, "build-1", kind="pr", folder=FOLDER, commit="a" * 40, branch="one")
    host.until(lambda: (found := host.find(chain)) is not None and found.status.is_final, "the chain has ended")
    assert host.chain(chain).status is ChainStatus.SUCCEEDED
    host.until(lambda: nothing_is_left(broker), "all messages are done")
    assert broker.counters.accepted > 20
    assert not (host.home / "bus.sqlite3").exists()


def test_a_namespace_that_is_away_for_twenty_seconds_in_the_middle_costs_time_and_nothing_else(
    host: Embedded, broker: Broker
):
    chain = host.request(USE_CASE, "build-2", kind="pr", folder=FOLDER, commit="b" * 40, branch="two", fresh=True)
    host.until(lambda: host.find(chain) is not None and "runs planned" in host.log(chain), "the chain is prepared")
    broker.cut_off(20)
    assert not host.chain(chain).status.is_final
    host.until(lambda: host.chain(chain).status.is_final, "the chain has ended")
    assert host.chain(chain).status is ChainStatus.SUCCEEDED
    assert host.log(chain).count("10 runs, 0 failed") == 1
    assert host.log(chain).count("20 evaluations, 0 failed") == 1
    assert host.dead_letters() == []
    host.until(lambda: nothing_is_left(broker), "all messages are done")
    assert host.said().count("queues cannot be read; trying until they can") == 1
    assert "Traceback" not in host.said()


def test_a_stop_drains_and_leaves_no_message_locked(host: Embedded, broker: Broker):
    chain = host.request(USE_CASE, "build-3", kind="pr", folder=FOLDER, commit="c" * 40, branch="three", fresh=True)
    host.until(lambda: host.find(chain) is not None, "the chain has begun")
    host.stop()
    assert "Stopped." in host.said()
    host.start()
    host.until_serving()
    host.until(lambda: host.chain(chain).status.is_final, "the chain has ended")
    assert host.chain(chain).status is ChainStatus.SUCCEEDED
    host.stop()
    host.until_no_process_is_left()


def test_a_key_that_is_wrong_is_one_line_that_does_not_show_it(tmp_path: Path, broker: Broker):
    wrong = broker.connection_string.replace("SharedAccessKey=", "SharedAccessKey=x")
    refused = Embedded(tmp_path / "home", GENAIOPS_BUS=wrong)
    refused.start()
    assert refused.process is not None
    assert refused.process.wait(60) != 0
    lines = [line for line in refused.said().splitlines() if "STAND-IN" not in line]
    assert len(lines) == 1, refused.said()
    assert "refused access" in lines[0]
    assert "GENAIOPS_BUS" in lines[0]
    assert wrong.partition("SharedAccessKey=")[2].partition(";")[0] not in refused.said()
