"""An environment's check waits for what the approvers say: it is recorded, answered at once, and called back later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from functions import approvals
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.approvals import checks
from shared.bootstrap import use
from shared.chain.messages import AzureDevOps, Queue, Verdict
from shared.chain.state import Chain, ChainStatus
from shared.names import chain_id
from shared.pipeline_tasks import progress, records
from shared.pipeline_tasks.records import WaitsFor
from shared.ports import Ports
from tests import samples
from tests.unit.people import memory_ports, store

ID = "3f2a9c41-0000-4000-8000-00000000aa0{}"
TOKEN = "eyJhbGciOi.a-secret-of-the-run"
HEADERS = {
    "Content-Type": "application/json",
    "planurl": "https://dev.azure.com/contoso/",
    "projectid": ID.format(1),
    "hubname": "Checks",
    "planid": ID.format(2),
    "jobid": ID.format(3),
    "timelineid": ID.format(4),
    "taskinstanceid": ID.format(5),
    "authtoken": TOKEN,
}
"""As a check sends them by default; the platform writes names of headers in lower case."""


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def waiting(ports: Ports, build: str = "4711", request_id: str = "one", project: str = ID.format(1)) -> Chain:
    chain = samples.awaiting_approval(samples.sample_chain(request_id=request_id), samples.sha("evidence"))
    place = AzureDevOps(collection="https://dev.azure.com/contoso", project=project)
    return store(
        ports,
        chain.model_copy(
            update={"request": chain.request.model_copy(update={"build_id": build, "azure_devops": place})}
        ),
    )


def ask(ports: Ports, body: object, headers: Mapping[str, str] = HEADERS) -> tuple[int, dict[str, Any]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = checks.register(ports, headers, content)
    assert TOKEN.encode() not in answer.body
    return answer.status, json.loads(answer.body)


def waits(ports: Ports) -> list[tuple[str, WaitsFor]]:
    return [(record.chain, record.waits_for) for record, _ in records.opened(ports)]


def finished(ports: Ports) -> list[bool]:
    assert isinstance(ports.pipelines, RecordingPipelines)
    return [ports.pipelines.finished[instance].succeeded for instance in ports.pipelines.completions]


BODIES = {
    "the chain's id": lambda chain: {"chain": chain.id},
    "the build": lambda chain: {"use_case": "ticket_triage", "kind": "ci", "build": "4711"},
    "the request's id": lambda chain: {
        "use_case": "ticket_triage", "kind": "ci", "request_id": chain.request.request_id,
    },
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
def test_a_check_that_names_its_chain_is_recorded_and_answered_at_once(ports: Ports, what: str) -> None:
    chain = waiting(ports)
    waiting(ports, build="4711", request_id="elsewhere", project="another project")
    waiting(ports, build="4712", request_id="later")
    assert ask(ports, BODIES[what](chain)) == (200, {"chain": chain.id})
    assert waits(ports) == [(chain.id, WaitsFor.APPROVAL)]
    assert finished(ports) == [], "nobody has answered yet"
    assert isinstance(ports.bus, MemoryBus)
    (message,) = ports.bus.peek(ports.settings.queues[Queue.NOTIFICATION])
    assert json.loads(message.body)["type"] == "ShowProgress"
    assert TOKEN.encode() not in message.body


def test_the_same_check_twice_waits_once(ports: Ports) -> None:
    chain = waiting(ports)
    assert ask(ports, {"chain": chain.id}) == ask(ports, {"chain": chain.id})
    assert len(waits(ports)) == 1
    assert isinstance(ports.bus, MemoryBus)
    assert len(list(ports.bus.peek(ports.settings.queues[Queue.NOTIFICATION]))) == 1


@pytest.mark.parametrize(
    ("chain_after", "succeeded"),
    [
        (lambda chain: samples.decided(chain, Verdict.APPROVED, "maria@example.org"), True),
        (lambda chain: samples.decided(chain, Verdict.REJECTED, "maria@example.org"), False),
        (lambda chain: samples.decided(chain, Verdict.REJECTED, "timeout"), False),
        (lambda chain: chain.model_copy(update={"status": ChainStatus.CANCELLED, "reason": "Wrong data."}), False),
    ],
    ids=["approved", "rejected", "timed out", "cancelled"],
)
def test_the_check_is_completed_once_the_approval_is_decided_or_the_chain_ends(
    ports: Ports, chain_after: Any, succeeded: bool
) -> None:
    chain = waiting(ports)
    ask(ports, {"chain": chain.id})
    progress.show(ports, chain)
    assert finished(ports) == []
    decided = store(ports, chain_after(chain))
    progress.show(ports, decided)
    progress.show(ports, decided)
    assert finished(ports) == [succeeded]
    assert waits(ports) == []


def test_a_check_may_come_before_its_chain_if_it_names_the_request(ports: Ports) -> None:
    body = {"use_case": "ticket_triage", "kind": "ci", "request_id": "r-1"}
    expected = chain_id("ticket_triage", "ci", "r-1")
    assert ask(ports, body) == (200, {"chain": expected})
    assert waits(ports) == [(expected, WaitsFor.APPROVAL)]
    assert isinstance(ports.bus, MemoryBus)
    assert list(ports.bus.peek(ports.settings.queues[Queue.NOTIFICATION])) == []


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"", 400, "must be JSON"),
        (b"[]", 400, "must be a JSON object"),
        (b"[" * 60_000, 400, "must be JSON"),
        (b"x" * 70_000, 400, "at most 65,536"),
        ({}, 400, "must name the chain"),
        ({"use_case": "ticket_triage", "kind": "ci"}, 400, "$(Build.BuildId)"),
        ({"use_case": "ticket_triage", "kind": "merge", "build": "1"}, 400, "kind"),
        ({"chain": "../../secrets"}, 400, "chain"),
        ({"chain": "no-such-chain"}, 404, "no-such-chain"),
        ({"use_case": "ticket_triage", "kind": "ci", "build": "1"}, 404, "has asked for no ci chain"),
    ],
)
def test_a_check_that_names_no_chain_is_told_what_to_write(ports: Ports, body: object, status: int, why: str) -> None:
    waiting(ports)
    got, said = ask(ports, body)
    assert (got, why in said["error"]) == (status, True), said
    assert waits(ports) == []


def test_a_check_that_names_no_task_is_told_to_call_back(ports: Ports) -> None:
    chain = waiting(ports)
    status, said = ask(ports, {"chain": chain.id}, {"Content-Type": "application/json"})
    assert status == 400
    assert "Choose Callback" in said["error"]
    status, said = ask(ports, {"chain": chain.id}, {**HEADERS, "jobid": "x"})
    assert status == 400
    assert "JobId" in said["error"]
    assert waits(ports) == []


def test_the_task_may_stand_in_the_body_too(ports: Ports) -> None:
    chain = waiting(ports)
    task = {name: value for name, value in HEADERS.items() if name != "Content-Type"}
    assert ask(ports, {"chain": chain.id, **task}, {})[0] == 200


def test_a_token_goes_to_no_address_that_the_settings_do_not_allow(ports: Ports) -> None:
    chain = waiting(ports)
    elsewhere = replace(ports, pipelines=RecordingPipelines(allowed="https://dev.azure.com/fabrikam"))
    status, said = ask(elsewhere, {"chain": chain.id})
    assert status == 400
    assert "GENAIOPS_AZURE_DEVOPS" in said["error"]
    assert waits(ports) == []


def test_the_function_takes_json_and_is_behind_the_function_key(ports: Ports) -> None:
    chain = waiting(ports)
    use(ports)
    (function,) = [
        builder._function
        for builder in approvals.blueprint._function_builders
        if builder._function.get_function_name() in (None, "approval_checks")
        and builder._function.get_user_function().__name__ == "approval_checks"
    ]
    assert function.get_trigger().auth_level is func.AuthLevel.FUNCTION
    body = json.dumps({"chain": chain.id, "note": "a=1&b=2&" * 30}).encode()
    request = func.HttpRequest("POST", "https://app/api/approval-checks", headers=HEADERS, body=body)
    answer = function.get_user_function()(request)
    assert (answer.status_code, json.loads(answer.get_body())) == (200, {"chain": chain.id})
