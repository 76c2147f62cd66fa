"""Where tokens go, and where they never are: logs, errors, representations, other addresses."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.adapters.azure_devops.answers import task as as_task
from shared.errors import BusinessFailure, GenAIOpsError
from shared.ports import CheckState, PipelineRun, PipelineTask
from tests.contract.pipelines_world import AzureDevOpsWorld, azure_devops_world, pull_request_of, task_of
from tests.servers.azure_devops import AzureDevOps
from tests.servers.identity import IdentityEndpoint


@pytest.fixture
def world(azure_devops: AzureDevOps, identity: IdentityEndpoint) -> Iterator[AzureDevOpsWorld]:
    with azure_devops_world(azure_devops) as world:
        yield world


def story(world: AzureDevOpsWorld, task: PipelineTask) -> Iterator[Callable[[], None]]:
    """Every call there is."""
    page = world.server.pull_request("1" * 40)
    pipelines = world.pipelines
    yield lambda: pipelines.tell(task, ["a line"])
    yield lambda: pipelines.comment(pull_request_of(page), "problems", "text", is_settled=False)
    yield lambda: pipelines.set_status(
        pull_request_of(page), "problems", CheckState.PENDING, "text", "https://x.example"
    )
    yield lambda: pipelines.tag(PipelineRun(world.server.collection, "shop", world.server.build(1).number), ["a"])
    yield lambda: pipelines.finish(task, succeeded=True, log="log", summary="summary")


@pytest.mark.parametrize("fault", [None, "cut", 203, 302, 400, 401, 403, 404, 429, 500])
def test_no_token_is_in_any_log_error_or_representation(world, identity, fault, caplog):
    caplog.set_level(logging.DEBUG)
    waiting = world.server.waiting_task()
    if fault == "cut":
        world.server.faults.cut(times=50)
    elif fault:
        world.server.faults.add(status=fault, times=50)
    said = [repr(task_of(waiting)), repr(as_task(waiting.token)), repr(world.pipelines)]
    failed = 0
    for call in story(world, task_of(waiting)):
        try:
            call()
        except GenAIOpsError as error:
            failed += 1
            said += [str(error), repr(error), *traceback.format_exception(error)]
    assert (failed == 0) == (fault is None)
    text = "\n".join([*said, caplog.text, *(str(record.__dict__) for record in caplog.records)])
    for secret in (
        waiting.token,
        *(token for token in identity.issued if token in {s.bearer for s in world.server.requests}),
    ):
        assert secret not in text
        assert secret.split(".")[1] not in text


def test_a_service_that_repeats_the_token_in_its_answer_has_it_removed(world):
    waiting = world.server.waiting_task()
    for token in (waiting.token, "a plain secret"):
        waiting.token = token
        for said in (json.dumps({"message": f"{token} is no token"}), f"no JSON, but {token}", f"<html>{token}"):
            world.server.answer_with(said.encode(), "POST", "/feed$", status=400)
            with pytest.raises(BusinessFailure, match="refused the request") as caught:
                world.pipelines.tell(task_of(waiting), ["a"])
            assert token not in str(caught.value)


def test_what_git_keeps_in_netrc_never_replaces_a_token(world, tmp_path: Path, monkeypatch):
    """requests puts it in place of a header that it did not make itself."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login git password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    waiting = world.server.waiting_task()
    for call in story(world, task_of(waiting)):
        call()
    assert waiting.results == ["succeeded"]
    assert all(seen.headers["authorization"].startswith("Bearer ") for seen in world.server.requests)


def test_a_cookie_that_one_task_was_given_never_signs_another_one_in(world):
    cookie = {"Set-Cookie": "UserAuthentication=of-the-first-task; Path=/; Secure; HttpOnly"}
    world.server.answer_with(b"{}", "POST", "/feed$", headers=cookie)
    for _ in range(2):
        world.pipelines.tell(task_of(world.server.waiting_task()), ["a line"])
    assert [seen.headers.get("cookie") for seen in world.server.seen("POST", "/feed$")] == [None, None]


def test_the_app_is_never_asked_for_a_token_where_the_address_is_foreign(world, identity):
    task, page = task_of(world.server.waiting_task()), world.server.pull_request("1" * 40)
    before = identity.asked
    pipelines = world.process("https://dev.azure.com/contoso")
    for call in (
        lambda: pipelines.tell(task, ["a"]),
        lambda: pipelines.finish(task, succeeded=True, log="a", summary="b"),
        lambda: pipelines.comment(pull_request_of(page), "n", "text", is_settled=True),
        lambda: pipelines.set_status(pull_request_of(page), "n", CheckState.FAILED, "", ""),
        lambda: pipelines.tag(PipelineRun(world.server.collection, "shop", 1), ["a"]),
    ):
        with pytest.raises(BusinessFailure, match="GENAIOPS_AZURE_DEVOPS"):
            call()
    assert (world.server.requests, identity.asked) == ([], before)


def test_an_identity_that_gives_no_token_is_told_apart_from_a_right_that_is_missing(world, identity):
    page = world.server.pull_request("1" * 40)
    identity.fail(400, message="Identity not found")
    with pytest.raises(BusinessFailure, match="got no token"):
        world.pipelines.comment(pull_request_of(page), "n", "text", is_settled=True)
    assert world.server.requests == []
