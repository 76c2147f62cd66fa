"""Pipelines: Azure DevOps, as chains answer to it: waiting tasks, pull requests, pipeline runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class PipelineTask:
    """A task of a pipeline that waits to be completed, as its message's application properties name it.

    Source: https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/publish-to-azure-service-bus-v2
    """

    plan_url: str
    project: str
    hub: str
    plan: str
    job: str
    timeline: str
    instance: str
    """TaskInstanceId: the one execution of the task."""
    token: str = field(repr=False)
    """Secret, valid as long as the job waits."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request in Azure Repos."""

    collection: str
    """`https://dev.azure.com/<organisation>`."""
    project: str
    repository: str
    number: int
    commit: str | None = None
    """The commit of its source branch that was examined: its status belongs to that one's iteration."""


@dataclass(frozen=True)
class PipelineRun:
    """A run of a pipeline: a build, in the service's own API."""

    collection: str
    project: str
    number: int


class CheckState(StrEnum):
    """What a pull request's status says; a branch policy can require it to be succeeded."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Pipelines(Protocol):
    """Azure DevOps. Every call may be repeated.

    All raise Throttled or Transient to be called again, NotFound where what they speak of is gone (a deleted pull
    request, a task that nobody waits for any more), and BusinessFailure where the service refuses (an expired token, a
    right that is missing) or the address is none of those that the settings allow.
    """

    def refusal(self, address: str) -> str:
        """Why nothing is ever sent to this address, in one sentence that names the setting; empty where it may be."""
        ...

    def tell(self, task: PipelineTask, lines: Sequence[str]) -> None:
        """Show lines in the waiting task's live log."""
        ...

    def finish(self, task: PipelineTask, *, succeeded: bool, log: str, summary: str) -> None:
        """Complete the task. A task that is completed already stays as it is.

        Args:
            task: of the pipeline.
            succeeded: how.
            log: the whole log that stays with the task, plain text of several lines.
            summary: Markdown for the run's own page.
        """
        ...

    def comment(self, pull_request: PullRequest, thread: str, text: str, *, is_settled: bool) -> None:
        """Write the pull request's thread of this name: a new one once, later the same one edited in place.

        Args:
            pull_request: where.
            thread: names the thread among ours.
            text: Markdown.
            is_settled: whether nobody need look at it: the thread is closed, else active.
        """
        ...

    def set_status(self, pull_request: PullRequest, name: str, state: CheckState, description: str, link: str) -> None:
        """Set the pull request's status of this name; the newest one counts.

        Args:
            pull_request: where.
            name: `genaiops/<name>` is what a branch policy requires.
            state: of the status.
            description: one short line.
            link: where it leads.
        """
        ...

    def tag(self, run: PipelineRun, tags: Sequence[str]) -> None:
        """Add tags to the run; those that it has stay."""
        ...
