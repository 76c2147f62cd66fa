"""A pull request's chain and a merge's chain, each asked for by the message that `PublishToAzureServiceBus@2` sends.

The queues are the test broker's, since it is the task that writes to them and not our adapter; Azure DevOps is the stand-in.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from shared.adapters.azure.bus import ServiceBus
from shared.adapters.queues import QueueConfig
from shared.chain.messages import AzureDevOps as Place
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.chain.state import ChainStatus
from shared.names import chain_id
from shared.pipeline_tasks import records
from tests.acceptance.conftest import FOLDER, USE_CASE
from tests.acceptance.embedded import Embedded
from tests.servers.azure_devops import AzureDevOps, Page, WaitingTask
from tests.servers.identity import IdentityEndpoint
from tests.servers.service_bus import Broker

# One organisation tells one story, and its last test looks at all of it.
pytestmark = [pytest.mark.xdist_group("azure-devops-chains"), pytest.mark.timeout(600)]

QUEUES = [QueueConfig(queue.value, sessions=queue is Queue.CHAIN_EVENTS) for queue in Queue]
COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
NEWER = "1b2c3d4e5f60718293a4b5c6d7e8f9012345670a"


@dataclass(frozen=True)
class Organisation:
    """Pipelines, their messages, and the functions that answer them."""

    host: Embedded
    broker: Broker
    devops: AzureDevOps

    def publish(self, body: bytes, task: WaitingTask | None) -> None:
        """As the task does: the broker chooses the message's id, the task's place travels in application properties."""
        message = ServiceBusMessage(body, application_properties=dict(task.properties) if task else None)
        with (
            ServiceBusClient.from_connection_string(self.broker.connection_string) as client,
            client.get_queue_sender(Queue.CHAIN_REQUESTS.value) as sender,
        ):
            sender.send_messages(message)

    def body(self, request_id: str, kind: str, page: Page | None = None, commit: str = COMMIT, **fields: Any) -> bytes:
        place = Place(
            collection=self.devops.collection,
            project=page.project if page else "shop",
            repository=page.repository if page else "flows",
            run=4711,
        )
        asked = ChainRequest(
            request_id=request_id,
            kind=ChainKind(kind),
            use_case=USE_CASE,
            commit=commit,
            bundle=self.host.publish(FOLDER),
            pull_request=page.number if page else None,
            azure_devops=place,
            **fields,
        )
        return asked.model_dump_json().encode()

    def until_completed(self, task: WaitingTask) -> None:
        self.host.until(lambda: task.results, "the pipeline's task is completed")

    def all_that_lies_there(self) -> bytes:
        """Every blob, and all that the host has printed."""
        blobs = b"".join(path.read_bytes() for path in self.host.home.rglob("*") if path.is_file())
        return blobs + self.host.said().encode()


@pytest.fixture(scope="module")
def organisation(
    azure_devops_server: AzureDevOps, identity: IdentityEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Organisation]:
    azure_devops_server.reset()
    azure_devops_server.build(4711)
    with Broker(QUEUES) as broker:
        host = Embedded(
            tmp_path_factory.mktemp("devops") / "home",
            GENAIOPS_BUS=broker.connection_string,
            GENAIOPS_AZURE_DEVOPS=azure_devops_server.collection,
            **identity.environment,
        )
        host.start()
        try:
            host.until_serving()
            yield Organisation(host, broker, azure_devops_server)
        finally:
            bus = host.ports.bus
            assert isinstance(bus, ServiceBus)
            bus.close()
            if host.process is not None:
                host.process.send_signal(signal.SIGKILL)
                host.process.wait()


def test_a_pull_requests_chain_shows_its_lines_comments_once_and_completes_its_task(organisation: Organisation) -> None:
    page, task = organisation.devops.pull_request(COMMIT), organisation.devops.waiting_task()
    body = organisation.body("build-1", "pr", page, branch="feature/one")
    organisation.publish(body, task)
    organisation.publish(body, task)  # the task's message came twice
    organisation.host.until(lambda: task.feed, "the live log has a line")
    organisation.until_completed(task)
    chain = chain_id(USE_CASE, "pr", "build-1")
    assert organisation.host.until_ended(chain).status is ChainStatus.SUCCEEDED, organisation.host.log(chain)
    organisation.host.until(lambda: not list(records.opened(organisation.host.ports, chain)), "the record is ended")

    assert task.results == ["succeeded"]
    told = "\n".join(task.feed)
    assert told.count("A pr chain of ticket_triage (dev) was requested") == 1, "each line once"
    assert "10 runs, 0 failed" in task.log
    assert "macro_f1" in task.log, "the table of metrics"
    assert f"/api/chains/{chain}" in task.log
    (summary,) = task.summaries.values()
    assert "macro_f1" in summary
    (thread,) = page.shown
    assert "macro_f1" in thread.text
    assert page.newest(USE_CASE) == "succeeded"
    assert [status["state"] for status in page.statuses] == ["pending", "succeeded"]
    assert "genaiops-succeeded" in organisation.devops.builds[4711].tags


def test_a_newer_commit_edits_the_same_thread(organisation: Organisation) -> None:
    page = organisation.devops.pull_request(COMMIT, NEWER)
    for commit, build in ((COMMIT, "build-2"), (NEWER, "build-3")):
        task = organisation.devops.waiting_task()
        organisation.publish(organisation.body(build, "pr", page, commit, branch="feature/two"), task)
        organisation.until_completed(task)
    (thread,) = page.shown
    assert NEWER[:8] in thread.text
    assert COMMIT[:8] not in thread.text
    assert page.newest(USE_CASE) == "succeeded"


def test_a_merges_chain_waits_for_its_approver_and_then_completes_its_task(organisation: Organisation) -> None:
    task = organisation.devops.waiting_task()
    body = organisation.body("build-4", "ci", branch="development")
    organisation.publish(body, task)
    chain = chain_id(USE_CASE, "ci", "build-4")
    waiting = organisation.host.until_waiting(chain)
    organisation.host.until(lambda: any("Approval was requested" in line for line in task.feed), "the log says so")
    assert task.results == [], "it waits as long as people think"
    assert organisation.host.approve(waiting) == 303
    organisation.until_completed(task)
    assert organisation.host.until_ended(chain).status is ChainStatus.SUCCEEDED, organisation.host.log(chain)
    assert task.results == ["succeeded"]
    assert "100 %" in task.log

    commands = organisation.host.chain(chain).commands
    # The pipeline's publishing job is run again: another task, the same request, a chain that has ended.
    again = organisation.devops.waiting_task()
    organisation.publish(body, again)
    organisation.until_completed(again)
    assert again.results == ["succeeded"]
    assert "The chain ended: succeeded" in again.log
    assert organisation.host.chain(chain).commands == commands, "nothing was done again"
    assert task.results == ["succeeded"]


def test_a_request_that_cannot_be_read_fails_its_task_with_the_reason(organisation: Organisation) -> None:
    task = organisation.devops.waiting_task()
    organisation.publish(b'{"use_case": "ticket_triage", "knid": "pr"}', task)
    organisation.until_completed(task)
    assert task.results == ["failed"]
    assert "unknown key 'knid'" in task.log


def test_a_message_from_elsewhere_is_refused_and_nobody_there_is_called(organisation: Organisation) -> None:
    forged = organisation.devops.waiting_task()
    forged.collection = organisation.devops.collection.replace("/contoso", "/fabrikam")
    body = organisation.body("build-5", "pr", branch="feature/five")
    before = len(organisation.devops.requests)
    organisation.publish(body, forged)
    letters = organisation.host.dead_letters
    organisation.host.until(
        lambda: any("fabrikam" in letter.description for letter in letters()), "it is dead-lettered"
    )
    assert organisation.host.find(chain_id(USE_CASE, "pr", "build-5")) is None
    assert len(organisation.devops.requests) == before
    assert forged.token.encode() not in organisation.all_that_lies_there()


def test_a_task_whose_token_has_expired_or_whose_run_is_gone_holds_nothing_up(organisation: Organisation) -> None:
    page, task = organisation.devops.pull_request(COMMIT), organisation.devops.waiting_task()
    task.has_expired = True
    page.status = "abandoned"
    organisation.publish(organisation.body("build-6", "pr", page, branch="feature/six"), task)
    chain = chain_id(USE_CASE, "pr", "build-6")
    organisation.host.until(lambda: organisation.host.find(chain) is not None, "the chain begins")
    assert organisation.host.until_ended(chain).status is ChainStatus.SUCCEEDED, organisation.host.log(chain)
    organisation.host.until(lambda: not list(records.opened(organisation.host.ports, chain)), "the record is ended")
    assert task.results == []
    assert page.shown == []


def test_no_token_lies_anywhere_and_nothing_was_asked_wrongly(organisation: Organisation) -> None:
    everything = organisation.all_that_lies_there()
    tokens = [task.token for task in organisation.devops.tasks.values()]
    assert len(tokens) >= 7
    assert [token for token in tokens if token.encode() in everything] == []
    assert organisation.devops.unknown == []
    assert organisation.devops.refused == []
