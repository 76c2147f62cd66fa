"""Tasks that wait in Azure DevOps: who is let in, what comes first, and what happens when something fails on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.errors import BusinessFailure, GenAIOpsError, NotFound, Throttled, Transient
from shared.ports import PipelineTask
from tests.contract.pipelines_world import AzureDevOpsWorld, azure_devops_world, task_of
from tests.servers.azure_devops import AzureDevOps, Moment, WaitingTask
from tests.servers.identity import IdentityEndpoint

STEPS = {
    "create the log": ("POST", r"/logs$"),
    "fill the log": ("POST", r"/logs/1$"),
    "name the log": ("PATCH", r"/records$"),
    "attach the summary": ("PUT", r"/attachments/"),
    "complete": ("POST", r"/events$"),
}
step = pytest.mark.parametrize("step", STEPS)


@pytest.fixture
def world(azure_devops: AzureDevOps, identity: IdentityEndpoint) -> Iterator[AzureDevOpsWorld]:
    with azure_devops_world(azure_devops) as world:
        yield world


@pytest.fixture
def waiting(world: AzureDevOpsWorld) -> WaitingTask:
    return world.server.waiting_task()


@pytest.fixture
def task(waiting: WaitingTask) -> PipelineTask:
    return task_of(waiting)


def finish(world: AzureDevOpsWorld, task: PipelineTask, *, succeeded: bool = True) -> None:
    world.pipelines.finish(task, succeeded=succeeded, log="all of it\n", summary="# Result")


def test_log_and_summary_are_there_before_the_task_is_completed(world, waiting, task):
    finish(world, task)
    asked = [(seen.method, seen.path.rsplit(f"/plans/{task.plan}", 1)[1]) for seen in world.server.requests]
    record = f"/timelines/{task.timeline}/records"
    assert asked == [
        ("POST", "/logs"),
        ("POST", "/logs/1"),
        ("PATCH", record),
        ("PUT", f"{record}/{task.instance}/attachments/Distributedtask.Core.Summary/GenAIOps"),
        ("POST", "/events"),
    ]
    assert waiting.summaries == {"GenAIOps": "# Result"}


def test_a_task_is_answered_with_its_own_token_and_never_as_the_app(world, waiting, task, identity):
    before = identity.asked
    world.pipelines.tell(task, ["a line"])
    finish(world, task)
    assert {seen.bearer for seen in world.server.requests} == {waiting.token}
    assert identity.asked == before


def test_many_and_long_lines_come_in_batches_that_the_service_takes(world, waiting, task):
    world.pipelines.tell(task, [f"line {n}" for n in range(250)])
    assert waiting.batches == [100, 100, 50]
    assert waiting.feed == [f"line {n}" for n in range(250)]
    world.pipelines.tell(task, ["a" * 3_000, "one\ntwo\r\nthree", "", "\x1b[31mred\x07"])
    assert waiting.feed[250:] == ["a" * 1_023 + "…", "one", "two", "three", "", "[31mred"]


def test_a_log_without_end_is_cut_and_says_so(world, waiting, task):
    world.pipelines.finish(task, succeeded=True, log="ä" * 3_000_000, summary="s" * 2_000_000)
    assert len(waiting.log.encode()) <= 4 * 1024 * 1024
    assert waiting.log.endswith("ä\n… cut: 6,000,000 bytes in all.\n")
    assert waiting.summaries["GenAIOps"].endswith("s\n… cut: 2,000,000 bytes in all.\n")


@pytest.mark.parametrize("call", ["tell", "finish"])
@pytest.mark.parametrize(
    "answer", [{"has_expired": True}, {"status": 403}, {"status": 401}, {"status": 203}, {"status": 302}]
)
def test_an_expired_token_is_a_refusal_that_says_what_it_means(world, waiting, task, call, answer):
    if "status" in answer:
        world.server.faults.add(path="/distributedtask/", times=9, **answer)
    else:
        waiting.has_expired = True
    with pytest.raises(BusinessFailure, match=r"token has expired or was revoked: its job waits no longer") as refused:
        world.pipelines.tell(task, ["a"]) if call == "tell" else finish(world, task)
    assert waiting.token not in str(refused.value)
    assert waiting.results == []


@pytest.mark.parametrize("call", ["tell", "finish"])
def test_a_task_whose_run_is_gone_is_not_found(world, waiting, task, call):
    waiting.is_gone = True
    with pytest.raises(NotFound, match="Nobody waits for the task any more"):
        world.pipelines.tell(task, ["a"]) if call == "tell" else finish(world, task)


def test_a_task_that_was_completed_already_stays_as_it_is(world, waiting, task):
    finish(world, task)
    for again in (lambda: finish(world, task, succeeded=False), lambda: world.pipelines.tell(task, ["late"])):
        with pytest.raises(NotFound, match="Nobody waits for the task any more"):
            again()
    assert (waiting.results, waiting.feed, waiting.log) == (["succeeded"], [], "all of it\n")


@step
def test_a_service_that_asks_for_a_pause_gets_exactly_that_pause(world, waiting, task, step):
    world.server.faults.add(*STEPS[step], status=429, retry_after=17)
    with pytest.raises(Throttled) as throttled:
        finish(world, task)
    assert (throttled.value.retry_after, waiting.results) == (17, [])
    finish(world, task)
    assert (waiting.results, waiting.log, waiting.summaries) == (["succeeded"], "all of it\n", {"GenAIOps": "# Result"})


@step
@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("fault", [500, 503, "cut"])
def test_whatever_passes_the_same_again_completes_the_task_once(world, waiting, task, step, moment, fault):
    method, path = STEPS[step]
    if fault == "cut":
        world.server.faults.cut(method, path, moment=moment)
    else:
        world.server.faults.add(method, path, status=fault, moment=moment)
    for _ in range(3):  # as the queue delivers it
        try:
            finish(world, task)
        except Transient:
            continue
        except NotFound:  # completed; only the answer had been lost
            assert (step, moment) == ("complete", Moment.AFTER)
        break
    assert world.server.faults.left == 0
    assert waiting.results == ["succeeded"]
    assert (waiting.log, waiting.summaries) == ("all of it\n", {"GenAIOps": "# Result"})


@pytest.mark.parametrize("step", [name for name in STEPS if name != "complete"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413])
def test_a_log_or_summary_that_is_refused_keeps_nobody_waiting(world, waiting, task, step, status, caplog):
    world.server.faults.add(*STEPS[step], status=status)
    if status == 409:  # somebody else was faster: the same again works
        with pytest.raises(Transient):
            finish(world, task)
    finish(world, task)
    assert waiting.results == ["succeeded"]
    assert ("is completed without its" in caplog.text) == (status != 409)


@pytest.mark.parametrize("status", [500, 503])
def test_lines_come_again_where_the_service_was_not_well(world, waiting, task, status):
    world.server.faults.add("POST", r"/feed$", status=status)
    with pytest.raises(Transient, match="not well"):
        world.pipelines.tell(task, ["a line"])
    world.pipelines.tell(task, ["a line"])
    assert waiting.feed == ["a line"]


def test_an_answer_that_is_no_json_is_a_passing_fault(world, task):
    world.server.answer_with(b"{", "POST", r"/logs$")
    with pytest.raises(Transient, match="no JSON"):
        finish(world, task)


@pytest.mark.parametrize("part", ["project", "hub", "plan", "timeline", "job"])
@pytest.mark.parametrize("forged", ["..", ".", "", "../..", "a/b", "..%2f..", "a\\b", "a?b", "a#b", "%2e%2e"])
def test_a_forged_name_leads_nowhere_else(world, task, part, forged):
    with pytest.raises((BusinessFailure, NotFound)):
        world.pipelines.tell(replace(task, **{part: forged}), ["a"])
    assert all(seen.path.startswith("/contoso/") for seen in world.server.requests)
    for seen in world.server.requests:
        assert "/_apis/distributedtask/hubs/" in seen.path
    world.server.unknown.clear()
    world.server.refused.clear()


def test_a_task_of_another_organisation_on_the_same_host_gets_nothing(world, task):
    for plan_url in (f"{world.server.url}/mallory/", f"{world.server.url}/", f"{world.server.collection}-two/"):
        with pytest.raises(BusinessFailure, match="GENAIOPS_AZURE_DEVOPS"):
            finish(world, replace(task, plan_url=plan_url))
    assert world.server.requests == []


def test_a_redirect_is_not_followed(world, task):
    world.server.faults.add("POST", r"/feed$", status=307)
    with pytest.raises(BusinessFailure):
        world.pipelines.tell(task, ["a line"])
    assert len(world.server.requests) == 1


def test_a_service_that_cannot_be_reached_is_a_passing_fault(world, task):
    nowhere = "https://127.0.0.1:1/contoso"
    pipelines = world.process(nowhere, retries=0)
    with pytest.raises(Transient, match="cannot be reached"):
        pipelines.tell(replace(task, plan_url=nowhere), ["a line"])


def test_an_answer_that_never_ends_and_one_that_never_begins_are_given_up(world, task):
    world.server.answer_with(b" " * (17 * 1024 * 1024), "POST", r"/feed$")
    with pytest.raises(GenAIOpsError, match="more than 16 MB"):
        world.pipelines.tell(task, ["a line"])
    world.server.faults.slow(1.0, "POST", r"/feed$")
    with pytest.raises(Transient):
        world.process(timeout_s=0.2, retries=0).tell(task, ["a line"])
