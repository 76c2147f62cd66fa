"""The stand-in of the management APIs does what Azure does where the adapters rely on it; azure-core asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import ManagedIdentityCredential
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from tests.servers.certificates import Authority
from tests.servers.management import Management, Moment
from tests.servers.management.server import Request, Response, Route, check_conditions
from tests.servers.management.workspace import GROUP, SUBSCRIPTION_ID, WORKSPACE

WORKSPACE_URL = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
THINGS = "/subscriptions/{subscription}/things"


@pytest.fixture
def client(management: Management, identity: Any) -> ARMPipelineClient:
    credential = ManagedIdentityCredential()
    policy = ARMChallengeAuthenticationPolicy(credential, "https://management.azure.com/.default")
    return ARMPipelineClient(management.url, policies=[policy])


def ask(client: ARMPipelineClient, method: str, path: str, **more: Any) -> HttpResponse:
    return client.send_request(HttpRequest(method, client.format_url(path), **more))


def test_a_request_without_a_bearer_token_is_refused_and_its_secret_not_logged(management):
    open_client = ARMPipelineClient(management.url, policies=[])
    answer = ask(
        open_client, "GET", f"{WORKSPACE_URL}?api-version=1&sig=SECRET", headers={"Authorization": "Key SECRET"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
    (logged,) = management.requests
    assert (logged.method, logged.api_version, logged.bearer, logged.status) == ("GET", "1", False, 401)
    assert "SECRET" not in str(management.requests)


def test_what_it_does_not_play_is_a_404_and_is_recorded(management, client):
    answer = ask(client, "POST", f"{WORKSPACE_URL}/fly?api-version=1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert [(r.method, r.path) for r in management.unknown] == [("POST", f"{WORKSPACE_URL}/fly")]
    wrong_method = ask(client, "PATCH", WORKSPACE_URL)
    assert "It has GET" in wrong_method.json()["error"]["message"]


def test_paths_are_matched_in_any_case_and_a_missing_workspace_is_one_that_arm_knows(management, client):
    assert ask(client, "GET", WORKSPACE_URL.replace("resourceGroups", "resourcegroups")).status_code == 200
    assert ask(client, "GET", WORKSPACE_URL[:-1]).json()["error"]["code"] == "ResourceNotFound"
    assert management.unknown == []


def test_a_list_comes_by_pages_with_the_query_of_the_first(management, client):
    management.use([Route("GET", THINGS, lambda r: management.page(r, [{"n": n} for n in range(7)], size=3))])
    found, link, pages = [], "/subscriptions/s/things?api-version=2&tag=a%20b", 0
    while link:
        answer = ask(client, "GET", link).json()
        found += [thing["n"] for thing in answer["value"]]
        link, pages = answer.get("nextLink"), pages + 1
    assert (found, pages) == (list(range(7)), 3)
    assert {request.api_version for request in management.requests} == {"2"}


@pytest.mark.parametrize(
    ("etag", "headers", "status"),
    [
        ("1", {"If-Match": "1"}, 200),
        ("1", {"If-Match": "*"}, 200),
        ("1", {"If-Match": "0"}, 412),
        (None, {"If-Match": "*"}, 412),
        (None, {"If-None-Match": "*"}, 200),
        ("1", {"If-None-Match": "*"}, 412),
        ("1", {}, 200),
    ],
)
def test_conditions_hold_or_answer_412(management, client, etag, headers, status):
    def put(request: Request) -> Response:
        check_conditions(request, etag)
        return Response({})

    management.use([Route("PUT", THINGS, put)])
    assert ask(client, "PUT", "/subscriptions/s/things", headers=headers, json={}).status_code == status


def thing(management: Management, **begin: Any) -> dict[str, Any]:
    made = {"properties": {"provisioningState": "Creating"}}

    def ended(succeeded: bool) -> None:
        made["properties"]["provisioningState"] = "Succeeded" if succeeded else "Failed"

    def get(request: Request) -> Response:
        management.operations.look(request.path)
        return Response(made)

    management.use(
        [
            Route("PUT", THINGS, lambda request: management.operations.begin(request, made, ended, **begin)),
            Route("GET", THINGS, get),
        ]
    )
    return made


def test_a_long_operation_ends_at_the_look_that_was_set_and_shows_in_its_resource(management, client):
    made = thing(management, looks=2)
    begun = ask(client, "PUT", "/subscriptions/s/things?api-version=1", json={})
    assert (begun.status_code, made["properties"]["provisioningState"]) == (201, "Creating")
    status = [ask(client, "GET", begun.headers["Azure-AsyncOperation"]).json()["status"] for _ in range(4)]
    assert status == ["InProgress", "InProgress", "Succeeded", "Succeeded"]
    assert ask(client, "GET", begun.headers["Location"]).json() == made
    assert made["properties"]["provisioningState"] == "Succeeded"


def test_looking_at_the_resource_alone_ends_its_operation_too(management, client):
    thing(management, looks=1)
    ask(client, "PUT", "/subscriptions/s/things", json={})
    states = [ask(client, "GET", "/subscriptions/s/things").json()["properties"]["provisioningState"] for _ in range(3)]
    assert states == ["Creating", "Succeeded", "Succeeded"]


def test_an_operation_takes_the_time_that_was_set(management, client):
    thing(management, seconds=3600)
    begun = ask(client, "PUT", "/subscriptions/s/things", json={})
    assert ask(client, "GET", begun.headers["Azure-AsyncOperation"]).json()["status"] == "InProgress"


def test_an_operation_may_fail_in_the_end(management, client):
    thing(management, looks=1)
    management.operations.fail_next("/things", "QuotaExceeded", "There are no cores left.")
    begun = ask(client, "PUT", "/subscriptions/s/things", json={})
    address = begun.headers["Azure-AsyncOperation"]
    assert ask(client, "GET", address).json()["status"] == "InProgress"
    ended = ask(client, "GET", address).json()
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "QuotaExceeded")
    assert ask(client, "GET", "/subscriptions/s/things").json()["properties"]["provisioningState"] == "Failed"


def test_faults_strike_as_often_as_asked_in_the_order_of_their_planning(management, client):
    management.faults.add("GET", "/workspaces/", status=429, retry_after=3)
    management.faults.add("GET", "/workspaces/", status=503, times=2)
    management.faults.add("PUT", status=500)
    answers = [ask(client, "GET", WORKSPACE_URL) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 503, 503, 200]
    assert answers[0].headers["Retry-After"] == "3"
    assert management.faults.left == 1


@pytest.mark.parametrize(("moment", "happened"), [(Moment.BEFORE, 0), (Moment.AFTER, 1)])
def test_a_cut_connection_leaves_open_whether_it_happened(management, client, moment, happened):
    done: list[int] = []
    management.use([Route("POST", THINGS, lambda request: done.append(1) or Response({}))])
    management.faults.cut("POST", "/things", moment=moment)
    with pytest.raises(ServiceResponseError):
        ask(client, "POST", "/subscriptions/s/things")
    assert len(done) == happened
    assert management.requests[-1].status == 0
    assert ask(client, "POST", "/subscriptions/s/things").status_code == 200


def test_a_version_keeps_its_address_and_properties_and_its_tags_change(management, client):
    url = f"{WORKSPACE_URL}/data/tickets/versions/1?api-version=1"

    def put(**properties: Any) -> HttpResponse:
        body = {"dataType": "uri_file", "dataUri": "https://a/b", "properties": {"p": "1"}, **properties}
        return ask(client, "PUT", url, json={"properties": body})

    assert put(tags={"a": "1"}).status_code == 201
    assert put(tags={"b": "2"}).json()["properties"]["tags"] == {"b": "2"}
    refused = put(dataUri="https://a/c")
    with pytest.raises(HttpResponseError, match=r"\(UserError\) Asset paths cannot be updated"):
        refused.raise_for_status()
    assert put(properties={"p": "2"}).status_code == 400
    assert put(tags={f"t{n}": "" for n in range(51)}).status_code == 400
    assert put(tags={"long": "x" * 1001}).status_code == 400


def test_a_mistake_of_the_stand_in_is_told_and_not_taken_for_a_network_fault(management, client):
    management.use([Route("GET", THINGS, lambda request: Response(request["nothing"]))])
    answer = ask(client, "GET", "/subscriptions/s/things")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "StandInBroken")
    assert "KeyError: 'nothing'" in management.broken[0]


def test_it_runs_as_a_process_of_its_own(authority: Authority, identity: Any):
    certificate = authority.certificate()
    command = [
        sys.executable,
        "-m",
        "tests.servers.management",
        "--certificate",
        certificate.chain,
        "--key",
        certificate.key,
    ]
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
    ) as process:
        try:
            variables = dict(process.stdout.readline().strip().split("=", 1) for _ in range(3))
            open_client = ARMPipelineClient(variables["AZUREML_DEV_URL_MFE"], policies=[])
            clouds = json.loads(ask(open_client, "GET", variables["ARM_CLOUD_METADATA_URL"]).text())
            assert [cloud["name"] for cloud in clouds] == ["StandIn"]
        finally:
            process.kill()
