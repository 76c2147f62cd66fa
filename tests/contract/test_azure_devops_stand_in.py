"""The stand-in of Azure DevOps is strict, so that a test that passes against it has sent what the service takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.servers.azure_devops import RESOURCE, AzureDevOps, WaitingTask
from tests.servers.identity import IdentityEndpoint

Send = Callable[..., requests.Response]


@pytest.fixture
def waiting(azure_devops: AzureDevOps) -> WaitingTask:
    return azure_devops.waiting_task()


@pytest.fixture
def to_task(azure_devops: AzureDevOps, waiting: WaitingTask) -> Send:
    def send(method: str, below: str, *, token: str = waiting.token, **more: Any) -> requests.Response:
        plan = f"{waiting.project}/_apis/distributedtask/hubs/{waiting.hub}/plans/{waiting.plan}"
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"{azure_devops.collection}/{plan}/{below}", headers=headers, timeout=9, **more)

    return send


def completion(waiting: WaitingTask, **changes: object) -> dict[str, object]:
    body = {"name": "TaskCompleted", "taskId": waiting.instance, "jobId": waiting.job, "result": "succeeded"}
    return {key: value for key, value in {**body, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "TaskStarted"},
        {"taskId": "another"},
        {"jobId": "another"},
        {"result": "great"},
        {"result": None},
        {"jobId": 7},
        {"more": 1},
    ],
)
def test_a_completion_that_is_not_the_tasks_own_is_refused(azure_devops, waiting, to_task, change):
    answer = to_task("POST", "events?api-version=2.0-preview.1", json=completion(waiting, **change))
    assert (answer.status_code, waiting.results, len(azure_devops.refused)) == (400, [], 1)
    assert answer.json()["typeKey"] == "InvalidArgumentValueException"


@pytest.mark.parametrize("query", ["", "?api-version=7.1", "?api-version=2.0"])
def test_a_version_that_the_resource_does_not_have_is_refused(waiting, to_task, query):
    assert to_task("POST", f"events{query}", json=completion(waiting)).status_code == 400
    assert waiting.results == []


@pytest.mark.parametrize(
    "body", [{"value": ["a"]}, {"value": ["a"], "count": 2}, {"value": [1], "count": 1}, ["a"], {}]
)
def test_lines_that_are_not_wrapped_as_the_service_wants_them_are_refused(waiting, to_task, body):
    feed = f"timelines/{waiting.timeline}/records/{waiting.job}/feed?api-version=4.1"
    assert to_task("POST", feed, json=body).status_code == 400
    assert waiting.feed == []
    assert to_task("POST", feed, json={"value": ["a"], "count": 1}).status_code == 200
    assert waiting.feed == ["a"]


def test_a_log_that_was_not_created_cannot_be_named(waiting, to_task):
    records = f"timelines/{waiting.timeline}/records?api-version=4.1"
    named = {"value": [{"id": waiting.instance, "log": {"id": 1}}], "count": 1}
    assert to_task("PATCH", records, json=named).status_code == 400
    assert to_task("POST", "logs/1?api-version=4.1", data=b"x").status_code == 404
    assert to_task("POST", "logs?api-version=4.1", json={"path": "elsewhere"}).status_code == 400


def test_a_task_is_no_other_tasks_business_and_the_app_is_no_task(azure_devops, identity, waiting, to_task):
    other = azure_devops.waiting_task()
    done = completion(waiting)
    for token, status in ((other.token, 404), (identity.token(RESOURCE), 401), ("", 401)):
        answer = to_task("POST", "events?api-version=2.0-preview.1", json=done, token=token)
        assert (answer.status_code, waiting.results) == (status, [])


@pytest.mark.parametrize("resource", ["https://management.azure.com", "https://storage.azure.com", ""])
def test_a_token_for_another_service_or_one_that_has_ended_reads_no_pull_request(
    azure_devops: AzureDevOps, identity: IdentityEndpoint, waiting: WaitingTask, resource: str
) -> None:
    page = azure_devops.pull_request("1" * 40)
    place = f"{page.collection}/{page.project}/_apis/git/repositories/{page.repository}/pullRequests/{page.number}"

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{place}?api-version=7.1", headers=headers, timeout=9).status_code

    assert status(identity.token(RESOURCE)) == 200
    for token in (identity.token(resource), identity.token(RESOURCE, lifetime_s=-60), waiting.token, "no token"):
        assert status(token) == 401


def test_what_is_not_played_is_noted(azure_devops, to_task):
    assert to_task("GET", "events?api-version=2.0-preview.1").status_code == 404
    assert [(seen.method, seen.status) for seen in azure_devops.unknown] == [("GET", 404)]
    assert azure_devops.requests[0].bearer


def test_the_tasks_message_has_the_properties_that_the_service_sends(azure_devops, waiting):
    assert list(waiting.properties) == [
        *("PlanUrl", "ProjectId", "HubName", "PlanId", "JobId", "TimelineId"),
        *("TaskInstanceName", "TaskInstanceId", "AuthToken"),
    ]
    assert waiting.properties["PlanUrl"] == f"{azure_devops.collection}/"
