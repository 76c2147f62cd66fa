"""Pipelines that only remember; they ship so that users can test with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import BusinessFailure
from shared.ports.pipelines import CheckState, PipelineRun, PipelineTask, PullRequest


@dataclass(frozen=True)
class FinishedTask:
    """How a task was completed."""

    succeeded: bool
    log: str
    summary: str


class RecordingPipelines:
    """Keeps what it was asked to show; `allowed` is the beginning of every address that it answers."""

    def __init__(self, allowed: str = "https://dev.azure.com/contoso") -> None:
        self.allowed = allowed
        self.feeds: dict[str, list[str]] = {}
        """Task instance → its live log."""
        self.finished: dict[str, FinishedTask] = {}
        """Task instance → how it was completed, the first time."""
        self.completions: list[str] = []
        """Task instances, every call."""
        self.threads: dict[tuple[str, int, str], str] = {}
        """(repository, pull request, thread) → its text."""
        self.settled: dict[tuple[str, int, str], bool] = {}
        """The same → whether nobody need look at it."""
        self.statuses: list[tuple[int, str, CheckState, str, str]] = []
        """(pull request, name, state, description, link), every call."""
        self.tags: dict[int, list[str]] = {}
        """Run → its tags."""

    def refusal(self, address: str) -> str:
        """Refuse what does not begin with `allowed`."""
        is_ours = address == self.allowed or address.startswith(f"{self.allowed}/")
        return "" if is_ours else f"{address} is not answered: GENAIOPS_AZURE_DEVOPS does not name it."

    def tell(self, task: PipelineTask, lines: Sequence[str]) -> None:
        """Remember the lines."""
        self._check(task.plan_url)
        self.feeds.setdefault(task.instance, []).extend(lines)

    def finish(self, task: PipelineTask, *, succeeded: bool, log: str, summary: str) -> None:
        """Remember how."""
        self._check(task.plan_url)
        self.completions.append(task.instance)
        self.finished.setdefault(task.instance, FinishedTask(succeeded, log, summary))

    def comment(self, pull_request: PullRequest, thread: str, text: str, *, is_settled: bool) -> None:
        """Remember the newest text."""
        self._check(pull_request.collection)
        key = (pull_request.repository, pull_request.number, thread)
        self.threads[key], self.settled[key] = text, is_settled

    def set_status(self, pull_request: PullRequest, name: str, state: CheckState, description: str, link: str) -> None:
        """Remember it."""
        self._check(pull_request.collection)
        self.statuses.append((pull_request.number, name, state, description, link))

    def tag(self, run: PipelineRun, tags: Sequence[str]) -> None:
        """Remember new ones."""
        self._check(run.collection)
        known = self.tags.setdefault(run.number, [])
        known.extend(tag for tag in tags if tag not in known)

    def _check(self, address: str) -> None:
        if why := self.refusal(address):
            raise BusinessFailure(why)
