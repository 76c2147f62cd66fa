"""Tasks of pipelines that wait, as their messages name them, and a service that answers them badly as it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.ports import PipelineTask
from shared.ports.pipelines import CheckState, PullRequest

ADDRESS = "https://dev.azure.com/contoso/"


def token(number: int) -> str:
    """The secret of the task with this number."""
    return f"eyJ0eXAiOiJKV1Qi.c2VjcmV0-of-{number:04d}.sIgNaTuRe"


def instance(number: int) -> str:
    """The task's own id."""
    return f"00000000-0000-4000-8000-0000000000{number:02x}"


def properties(number: int = 1) -> dict[str, str]:
    """What the task's message bears beside its body."""
    return {
        "PlanUrl": ADDRESS,
        "ProjectId": "3f2a9c41-0000-4000-8000-00000000aa01",
        "HubName": "build",
        "PlanId": "3f2a9c41-0000-4000-8000-00000000aa02",
        "JobId": f"3f2a9c41-0000-4000-8000-0000000000{number:02x}",
        "TimelineId": "3f2a9c41-0000-4000-8000-00000000aa04",
        "TaskInstanceId": instance(number),
        "AuthToken": token(number),
    }


def task(number: int = 1) -> PipelineTask:
    """The same, read."""
    return task_from(properties(number))


def task_from(given: Mapping[str, str]) -> PipelineTask:
    """The task that a message's application properties name."""
    return PipelineTask(
        plan_url=given["PlanUrl"],
        project=given["ProjectId"],
        hub=given["HubName"],
        plan=given["PlanId"],
        job=given["JobId"],
        timeline=given["TimelineId"],
        instance=given["TaskInstanceId"],
        token=given["AuthToken"],
    )


def blobs_with(store: MemoryBlobStore, text: str, *containers: str) -> list[str]:
    """Names of the blobs in these containers that hold the text, in their name or in their content."""
    return [
        f"{container}/{info.name}"
        for container in containers
        for info in store.list(container)
        if text in info.name or text.encode() in store.read(container, info.name)
    ]


class AilingPipelines(RecordingPipelines):
    """Fails in turn with each of these, and then is well again."""

    def __init__(
        self,
        *,
        telling: Sequence[Exception] = (),
        finishing: Sequence[Exception] = (),
        status: Sequence[Exception] = (),
    ) -> None:
        super().__init__()
        self.telling, self.finishing, self.status = list(telling), list(finishing), list(status)

    def tell(self, task: PipelineTask, lines: Sequence[str]) -> None:
        """Fail, or remember."""
        if self.telling:
            raise self.telling.pop(0)
        super().tell(task, lines)

    def finish(self, task: PipelineTask, *, succeeded: bool, log: str, summary: str) -> None:
        """Fail, or remember."""
        if self.finishing:
            raise self.finishing.pop(0)
        super().finish(task, succeeded=succeeded, log=log, summary=summary)

    def set_status(self, pull_request: PullRequest, name: str, state: CheckState, description: str, link: str) -> None:
        """Fail, or remember."""
        if self.status:
            raise self.status.pop(0)
        super().set_status(pull_request, name, state, description, link)
