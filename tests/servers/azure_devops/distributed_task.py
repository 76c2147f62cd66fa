"""Tasks that wait: events, live log, logs that stay, timeline records and attachments, each by its own job's token.

A task that was completed, or whose run is gone, is not found; a token that has expired is answered with 401.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.servers.azure_devops.server import AzureDevOpsServer, Refusal, as_json, checked, content
from tests.servers.management.messages import Request, Response

PLAN = "/{project}/_apis/distributedtask/hubs/{hub}/plans/{plan}"
RECORDS = PLAN + "/timelines/{timeline}/records"
SUMMARY = "Distributedtask.Core.Summary"
GONE = "TaskOrchestrationPlanNotFoundException"


@dataclass
class WaitingTask:
    """One execution of a server task, with what was said to it."""

    collection: str
    name: str
    project: str
    token: str = field(repr=False)
    hub: str = "build"
    plan: str = field(default_factory=lambda: str(uuid.uuid4()))
    job: str = field(default_factory=lambda: str(uuid.uuid4()))
    timeline: str = field(default_factory=lambda: str(uuid.uuid4()))
    instance: str = field(default_factory=lambda: str(uuid.uuid4()))
    feed: list[str] = field(default_factory=list)
    """Lines of the live log."""
    batches: list[int] = field(default_factory=list)
    """How many lines came with each request."""
    results: list[str] = field(default_factory=list)
    """Completions that were accepted: at most one."""
    logs: dict[int, bytes] = field(default_factory=dict)
    kept: int | None = None
    """The log that the task's record names."""
    attachments: dict[tuple[str, str], str] = field(default_factory=dict)
    """(type, name) → content."""
    has_expired: bool = False
    """Whether its token is accepted no more."""
    is_gone: bool = False
    """Whether its run was deleted."""

    @property
    def properties(self) -> Mapping[str, str]:
        """Application properties of the message that the task publishes.

        https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/publish-to-azure-service-bus-v2.
        """
        return {
            "PlanUrl": f"{self.collection}/",
            "ProjectId": self.project,
            "HubName": self.hub,
            "PlanId": self.plan,
            "JobId": self.job,
            "TimelineId": self.timeline,
            "TaskInstanceName": self.name,
            "TaskInstanceId": self.instance,
            "AuthToken": self.token,
        }

    @property
    def log(self) -> str:
        """The log that stays with the task."""
        return "" if self.kept is None else self.logs[self.kept].decode()

    @property
    def summaries(self) -> Mapping[str, str]:
        """Name → Markdown on the run's page."""
        return {name: text for (kind, name), text in self.attachments.items() if kind == SUMMARY}


class DistributedTask:
    def __init__(self, server: AzureDevOpsServer) -> None:
        self._server = server
        self.tasks: dict[str, WaitingTask] = {}

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Request], Response]]]:
        return (
            ("POST", PLAN + "/events", "2.0-preview.1", self._event),
            ("POST", RECORDS + "/{record}/feed", "4.1", self._feed),
            ("POST", PLAN + "/logs", "4.1", self._create_log),
            ("POST", PLAN + "/logs/{log}", "4.1", self._append_log),
            ("PATCH", RECORDS, "4.1", self._update_records),
            ("PUT", RECORDS + "/{record}/attachments/{type}/{name}", "7.1-preview.1", self._attach),
        )

    def add(self, name: str) -> WaitingTask:
        token = f"eyJ0eXAiOiJKV1QifQ.{secrets.token_urlsafe(48)}.{secrets.token_urlsafe(32)}"
        task = WaitingTask(self._server.collection, name, str(uuid.uuid4()), token)
        self.tasks[task.instance] = task
        return task

    def _found(self, request: Request) -> WaitingTask:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        task = next((each for each in self.tasks.values() if secrets.compare_digest(each.token, bearer)), None)
        if task is None or task.has_expired:
            raise Refusal(401, "TF400813: The user is not authorized to access this resource. The token has expired.")
        named = (request["project"], request["hub"], request["plan"])
        if named != (task.project, task.hub, task.plan) or task.is_gone:
            raise Refusal(404, f"No orchestration plan found with identifier {request['plan']}.", GONE)
        if request.parameters.get("timeline", task.timeline) != task.timeline:
            raise Refusal(404, f"No timeline found with identifier {request['timeline']}.", "TimelineNotFoundException")
        if task.results:
            raise Refusal(404, f"The job {task.job} has completed.", "TaskOrchestrationJobNotFoundException")
        return task

    def _event(self, request: Request) -> Response:
        task = self._found(request)
        event = checked(as_json(request), {"name": str, "taskId": str, "jobId": str, "result": str})
        if (event["name"], event["taskId"], event["jobId"]) != ("TaskCompleted", task.instance, task.job):
            raise Refusal(400, f"{event} is no completion of the task {task.instance} of the job {task.job}.")
        if event["result"] not in ("succeeded", "failed"):
            raise Refusal(400, f"{event['result']!r} is no result.")
        task.results.append(event["result"])
        return Response(None)

    def _feed(self, request: Request) -> Response:
        task = self._found(request)
        lines = _wrapped(request, str)
        if request["record"] != task.job or any("\n" in line for line in lines):
            raise Refusal(400, "A live log has lines, and belongs to the job's record.")
        task.feed += lines
        task.batches.append(len(lines))
        return Response(None)

    def _create_log(self, request: Request) -> Response:
        task = self._found(request)
        place = checked(as_json(request), {"path": str})["path"]
        if place != f"logs\\{task.instance}":
            raise Refusal(400, f"{place} is no place for a log of {task.instance}.")
        number = len(task.logs) + 1
        task.logs[number] = b""
        return Response(self._log(request, task, number), 201)

    def _append_log(self, request: Request) -> Response:
        task = self._found(request)
        number = int(request["log"])
        if number not in task.logs:
            raise Refusal(404, f"No log found with identifier {number}.", "TaskLogNotFoundException")
        task.logs[number] += content(request)
        return Response(self._log(request, task, number))

    def _update_records(self, request: Request) -> Response:
        task = self._found(request)
        for record in _wrapped(request, dict):
            named = checked(record, {"id": str, "log": dict})
            log = checked(named["log"], {"id": int}, {"location": str})["id"]
            if named["id"] != task.instance or log not in task.logs:
                raise Refusal(400, f"The record {named['id']} has no log {log}.")
            task.kept = log
        return Response({"count": 1, "value": [{"id": task.instance, "log": {"id": task.kept}}]})

    def _attach(self, request: Request) -> Response:
        task = self._found(request)
        if request["record"] != task.instance:
            raise Refusal(404, f"No record {request['record']}.", "TimelineRecordNotFoundException")
        task.attachments[request["type"], request["name"]] = content(request).decode()
        return Response({"name": request["name"], "type": request["type"], "recordId": task.instance}, 201)

    def _log(self, request: Request, task: WaitingTask, number: int) -> dict[str, Any]:
        return {
            "id": number,
            "location": f"{request.base_url}{request.path}",
            "path": f"logs\\{task.instance}",
            "lineCount": task.logs[number].count(b"\n"),
            "createdOn": "2026-01-05T09:00:00Z",
            "lastChangedOn": "2026-01-05T09:00:00Z",
        }


def _wrapped(request: Request, kind: type) -> list[Any]:
    """The items of a collection as the service wraps it."""
    body = checked(as_json(request), {"value": list, "count": int})
    if body["count"] != len(body["value"]) or not all(isinstance(item, kind) for item in body["value"]):
        raise Refusal(400, "`count` must count `value`.")
    return list(body["value"])
