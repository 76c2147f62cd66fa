"""A task that waits: its live log, the log that stays with it, the summary on the run's page, and its completion.

Every call bears the token that came with the task, never the app's own. The order is the point: what is to be read
comes first and completion last, for the token ends with the job.

The calls are those of Microsoft's own helper for server tasks:
https://github.com/microsoft/azure-pipelines-extensions/tree/master/ServerTaskHelper/DistributedTask.ServerTask.Remote.Common.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from shared.adapters.azure_devops.answers import part
from shared.adapters.azure_devops.answers import task as as_task
from shared.adapters.azure_devops.client import Client
from shared.errors import GenAIOpsError, Throttled, Transient
from shared.ports.pipelines import PipelineTask

logger: Final = logging.getLogger("genaiops.azure_devops")

EVENTS_VERSION: Final = "2.0-preview.1"
VERSION: Final = "4.1"
ATTACHMENTS_VERSION: Final = "7.1-preview.1"
SUMMARY_TYPE: Final = "Distributedtask.Core.Summary"
"""Attachments of this type are Markdown that the run's page shows under their name:
https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands#uploadsummary-add-some-markdown-content-to-the-build-summary.
"""
SUMMARY_NAME: Final = "GenAIOps"
LONGEST_LINE: Final = 1_024
"""Characters: the agent, too, cuts lines of the live log there."""
LINES_A_REQUEST: Final = 100
LARGEST_LOG: Final = 4 * 1024 * 1024
"""Bytes of the log that stays; the agent uploads its logs in pages of 8 MB."""
LARGEST_SUMMARY: Final = 1024 * 1024
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def tell(client: Client, task: PipelineTask, lines: Sequence[str]) -> None:
    """Show lines in the task's live log. Repeated after a fault, it may show some of them twice."""
    shown = list(_lines(lines))
    for start in range(0, len(shown), LINES_A_REQUEST):
        batch = shown[start : start + LINES_A_REQUEST]
        # The job's record, not the task's: https://learn.microsoft.com/azure/devops/pipelines/process/invoke-checks.
        path = [*_plan(task), "timelines", task.timeline, "records", task.job, "feed"]
        _send(client, task, "POST", path, VERSION, body={"value": batch, "count": len(batch)})


def finish(client: Client, task: PipelineTask, *, succeeded: bool, log: str, summary: str) -> None:
    """Leave log and summary, and complete the task.

    Raises:
        NotFound: nobody waits for it any more: it was completed already, or its run is gone.
        Throttled, Transient, BusinessFailure: see the port.
    """
    _unless_it_fails_for_good(lambda: _keep_log(client, task, log), "log")
    _unless_it_fails_for_good(lambda: _keep_summary(client, task, summary), "summary")
    completed = {
        "name": "TaskCompleted",
        "taskId": task.instance,
        "jobId": task.job,
        "result": "succeeded" if succeeded else "failed",
    }
    _send(client, task, "POST", [*_plan(task), "events"], EVENTS_VERSION, body=completed)


def _unless_it_fails_for_good(leave: Callable[[], None], what: str) -> None:
    """A passing fault comes again with the message; anything else keeps nobody waiting: completion is what counts."""
    try:
        leave()
    except (Throttled, Transient):
        raise
    except GenAIOpsError as error:
        logger.warning("A pipeline's task is completed without its %s: %s", what, error)


def _keep_log(client: Client, task: PipelineTask, text: str) -> None:
    """Repeated, it leaves a further log that nothing names: the task's record names the newest."""
    if not text:
        return
    place = f"logs\\{task.instance}"
    made = _send(client, task, "POST", [*_plan(task), "logs"], VERSION, body={"path": place})
    number = int(part(made, "id"))
    _send(client, task, "POST", [*_plan(task), "logs", number], VERSION, content=_cut(text, LARGEST_LOG))
    kept = {key: made[key] for key in ("id", "location") if made.get(key) is not None}
    records = {"value": [{"id": task.instance, "log": kept}], "count": 1}
    _send(client, task, "PATCH", [*_plan(task), "timelines", task.timeline, "records"], VERSION, body=records)


def _keep_summary(client: Client, task: PipelineTask, text: str) -> None:
    if not text:
        return
    record = [*_plan(task), "timelines", task.timeline, "records", task.instance]
    path = [*record, "attachments", SUMMARY_TYPE, SUMMARY_NAME]
    _send(client, task, "PUT", path, ATTACHMENTS_VERSION, content=_cut(text, LARGEST_SUMMARY))


def _send(
    client: Client,
    task: PipelineTask,
    method: str,
    path: Sequence[str | int],
    version: str,
    *,
    body: object = None,
    content: bytes | None = None,
) -> Any:
    return client.request(method, task.plan_url, path, version, as_task(task.token), body=body, content=content)


def _plan(task: PipelineTask) -> list[str | int]:
    return [task.project, "_apis", "distributedtask", "hubs", task.hub, "plans", task.plan]


def _lines(lines: Sequence[str]) -> Iterator[str]:
    for text in lines:
        for line in text.splitlines() or [""]:
            plain = _CONTROL.sub("", line)
            yield plain if len(plain) <= LONGEST_LINE else f"{plain[: LONGEST_LINE - 1]}…"


def _cut(text: str, limit: int) -> bytes:
    """UTF-8 of at most so many bytes, with a note where some are missing."""
    content = text.encode("utf-8", "replace")
    if len(content) <= limit:
        return content
    note = f"\n… cut: {len(content):,} bytes in all.\n".encode()
    return content[: limit - len(note)].decode("utf-8", "ignore").encode() + note
