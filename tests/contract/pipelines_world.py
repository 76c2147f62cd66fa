"""What the contract of Pipelines is tried in: an adapter, and what became of what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from azure.identity import ManagedIdentityCredential

from shared.adapters.azure_devops import AzureDevOpsPipelines
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.ports import PipelineRun, Pipelines, PipelineTask, PullRequest
from tests.servers.azure_devops import AzureDevOps, Page, WaitingTask
from tests.waiting_tasks import task_from

COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


def task_of(waiting: WaitingTask) -> PipelineTask:
    """The task as its message's application properties name it."""
    return task_from(waiting.properties)


def pull_request_of(page: Page, commit: str | None = None) -> PullRequest:
    return PullRequest(page.collection, page.project, page.repository, page.number, commit)


class World(Protocol):
    """An adapter, and what one sees afterwards."""

    pipelines: Pipelines

    def task(self) -> PipelineTask: ...

    def pull_request(self) -> PullRequest: ...

    def run(self) -> PipelineRun: ...

    def feed(self, task: PipelineTask) -> list[str]: ...

    def finished(self, task: PipelineTask) -> tuple[bool, str, str] | None:
        """Whether it succeeded, its log, its summary; None while it waits."""
        ...

    def threads(self, pull_request: PullRequest) -> list[tuple[str, bool]]:
        """Text, and whether it is settled."""
        ...

    def status(self, pull_request: PullRequest, name: str) -> tuple[str, str, str] | None:
        """The newest: state, description, link."""
        ...

    def tags(self, run: PipelineRun) -> list[str]: ...


class MemoryWorld:
    """RecordingPipelines."""

    def __init__(self) -> None:
        self.pipelines = RecordingPipelines()
        self._collection = self.pipelines.allowed

    def task(self) -> PipelineTask:
        return PipelineTask(f"{self._collection}/", "p", "build", "plan", "job", "timeline", "instance", "a secret")

    def pull_request(self) -> PullRequest:
        return PullRequest(self._collection, "shop", "flows", 42, COMMIT)

    def run(self) -> PipelineRun:
        return PipelineRun(self._collection, "shop", 4711)

    def feed(self, task: PipelineTask) -> list[str]:
        return self.pipelines.feeds.get(task.instance, [])

    def finished(self, task: PipelineTask) -> tuple[bool, str, str] | None:
        end = self.pipelines.finished.get(task.instance)
        return end and (end.succeeded, end.log, end.summary)

    def threads(self, pull_request: PullRequest) -> list[tuple[str, bool]]:
        found = self.pipelines.threads.items()
        return [(text, self.pipelines.settled[key]) for key, text in found if key[1] == pull_request.number]

    def status(self, pull_request: PullRequest, name: str) -> tuple[str, str, str] | None:
        found = [s[2:] for s in self.pipelines.statuses if s[:2] == (pull_request.number, name)]
        return (found[-1][0].value, *found[-1][1:]) if found else None

    def tags(self, run: PipelineRun) -> list[str]:
        return self.pipelines.tags.get(run.number, [])


class AzureDevOpsWorld:
    """The adapter against the stand-in, as the managed identity."""

    def __init__(self, server: AzureDevOps, credential: ManagedIdentityCredential, **settings: Any) -> None:
        self.server, self._credential, self._settings = server, credential, settings
        self.blobs, self.clock = MemoryBlobStore(), ManualClock()
        self.pipelines = self.process()

    def process(self, *allowed: str, **settings: Any) -> AzureDevOpsPipelines:
        """The adapter in one more process of the installation."""
        given = {"timeout_s": 10.0, **self._settings, **settings}
        return AzureDevOpsPipelines(
            allowed or (self.server.collection,), self._credential, self.blobs, self.clock, **given
        )

    def task(self) -> PipelineTask:
        return task_of(self.server.waiting_task())

    def page(self, pull_request: PullRequest) -> Page:
        return self.server.pull_requests[pull_request.number]

    def pull_request(self) -> PullRequest:
        return pull_request_of(self.server.pull_request("f" * 40, COMMIT), COMMIT)

    def run(self) -> PipelineRun:
        return PipelineRun(self.server.collection, "shop", self.server.build(4711).number)

    def feed(self, task: PipelineTask) -> list[str]:
        return self.server.tasks[task.instance].feed

    def finished(self, task: PipelineTask) -> tuple[bool, str, str] | None:
        waiting = self.server.tasks[task.instance]
        if not waiting.results:
            return None
        assert len(waiting.results) == 1
        return waiting.results[0] == "succeeded", waiting.log, "".join(waiting.summaries.values())

    def threads(self, pull_request: PullRequest) -> list[tuple[str, bool]]:
        return [(thread.text, thread.status == "closed") for thread in self.page(pull_request).shown]

    def status(self, pull_request: PullRequest, name: str) -> tuple[str, str, str] | None:
        found = [s for s in self.page(pull_request).statuses if s["context"] == {"genre": "genaiops", "name": name}]
        return (found[-1]["state"], found[-1]["description"], found[-1].get("targetUrl", "")) if found else None

    def tags(self, run: PipelineRun) -> list[str]:
        return self.server.builds[run.number].tags


@contextmanager
def azure_devops_world(server: AzureDevOps) -> Iterator[AzureDevOpsWorld]:
    """The adapter as a managed identity; afterwards the stand-in must have found nothing wrong with what it was asked."""
    yield AzureDevOpsWorld(server, ManagedIdentityCredential())
    assert (server.unknown, server.refused, server.broken) == ([], [], [])


def elsewhere(task: PipelineTask) -> PipelineTask:
    """The same task at an organisation that nobody allows."""
    return replace(task, plan_url="https://dev.azure.com/mallory/")
