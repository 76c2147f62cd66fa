"""The comment thread of a pull request: one, whoever asks at once, whatever is lost, and whatever people do to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from shared.adapters.azure_devops.thread_records import CLAIM, CONTAINER, UNSURE, ThreadRecords
from shared.adapters.azure_devops.threads import LONGEST, PROPERTY
from shared.errors import BusinessFailure, NotFound, Throttled, Transient
from shared.ports import Pipelines, PullRequest
from tests.contract.pipelines_world import AzureDevOpsWorld, azure_devops_world, pull_request_of
from tests.servers.azure_devops import AzureDevOps, Moment, Page
from tests.servers.azure_devops.server import user_id
from tests.servers.identity import PRINCIPAL, IdentityEndpoint

STEPS = {
    "look at the pull request": ("GET", r"/pullRequests/\d+$"),
    "list threads": ("GET", r"/threads$"),
    "create the thread": ("POST", r"/threads$"),
    "look at the thread": ("GET", r"/threads/\d+$"),
    "edit the comment": ("PATCH", r"/comments/1$"),
    "close the thread": ("PATCH", r"/threads/\d+$"),
}
step = pytest.mark.parametrize("step", STEPS)


@pytest.fixture
def world(azure_devops: AzureDevOps, identity: IdentityEndpoint) -> Iterator[AzureDevOpsWorld]:
    with azure_devops_world(azure_devops) as world:
        yield world


@pytest.fixture
def page(world: AzureDevOpsWorld) -> Page:
    return world.server.pull_request("f" * 40)


@pytest.fixture
def pull_request(page: Page) -> PullRequest:
    return pull_request_of(page)


def comment(world: AzureDevOpsWorld, page: Page, text: str = "better", *, by: Pipelines | None = None) -> None:
    (by or world.pipelines).comment(pull_request_of(page), "problems", text, is_settled=False)


def texts(page: Page) -> list[str]:
    return [thread.text for thread in page.shown]


def records(world: AzureDevOpsWorld) -> list[str]:
    return [info.name for info in world.blobs.list(CONTAINER)]


# What it takes


def test_a_text_that_is_there_already_is_not_sent_again(world, page):
    for _ in range(3):
        comment(world, page)
    assert page.threads[0].edits == 0
    assert world.server.seen("PATCH") == []
    assert len(world.server.seen("POST", r"/threads$")) == 1


def test_a_text_over_the_services_limit_is_cut_and_says_so(world, page):
    comment(world, page, "x" * 200_000)
    assert len(page.threads[0].text) == LONGEST
    assert page.threads[0].text.endswith(
        "x\n\n… This comment was cut: Azure DevOps takes no longer one. The report has it all."
    )
    comment(world, page, "x" * LONGEST)
    assert page.threads[0].text == "x" * LONGEST


def test_another_process_edits_the_same_thread(world, page):
    comment(world, page)
    comment(world, page, "worse", by=world.process())
    assert texts(page) == ["worse"]
    assert world.server.seen("GET", r"/threads$")[1:] == [], "the record says which thread it is"


def test_a_thread_is_found_again_when_its_record_was_lost(world, page):
    comment(world, page)
    for name in records(world):
        world.blobs.delete(CONTAINER, name)
    comment(world, page, "worse")
    assert texts(page) == ["worse"]


def test_a_repository_or_project_under_its_name_or_its_id_has_one_record(world, page):
    comment(world, page)
    page.project, page.repository = "Web Shop", "flows"
    comment(world, page, "worse")
    assert (texts(page), len(records(world))) == (["worse"], 1)


# What people do


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_thread_that_was_deleted_comes_back_as_one_new_one(world, page, is_recorded):
    comment(world, page)
    page.threads[0].is_deleted = True
    if not is_recorded:
        world.blobs.delete(CONTAINER, *records(world))
    for text in ("worse", "better again"):
        comment(world, page, text)
    assert texts(page) == ["better again"]
    assert len(page.threads) == 2


def test_a_thread_that_is_gone_without_a_trace_is_created_anew(world, page):
    comment(world, page)
    page.threads.clear()
    comment(world, page, "worse")
    assert texts(page) == ["worse"]


def test_a_thread_that_is_deleted_just_before_the_edit_is_created_anew(world, page):
    comment(world, page)

    def delete() -> None:
        page.threads[0].is_deleted = True

    world.server.faults.meanwhile(delete, "PATCH", r"/comments/1$")
    comment(world, page, "worse")
    assert texts(page) == ["worse"]


def test_a_colleague_who_closes_the_thread_finds_it_open_after_the_next_commit(world, page):
    comment(world, page)
    page.threads[0].status = "fixed"
    comment(world, page, "worse")
    assert (texts(page), len(page.open)) == (["worse"], 1)


def test_what_others_write_is_never_touched_even_with_our_property(world, page):
    page.write("looks good")
    page.write("forged", **{PROPERTY: "problems"})
    for text in ("better", "worse"):
        comment(world, page, text)
    assert texts(page) == ["looks good", "forged", "worse"]


def test_an_app_with_another_identity_than_before_writes_a_thread_of_its_own(world, page):
    comment(world, page)
    page.threads[0].author = user_id("the identity of an earlier installation")
    comment(world, page, "worse")
    comment(world, page, "better again")
    assert texts(page) == ["better", "better again"]


def test_an_abandoned_or_deleted_pull_request_is_not_found(world, page):
    comment(world, page)
    page.status = "abandoned"
    with pytest.raises(NotFound, match=r"Pull request 42 .* was abandoned"):
        comment(world, page, "late")
    del world.server.pull_requests[page.number]
    with pytest.raises(NotFound, match="It was deleted, or the app's identity may not see it"):
        comment(world, page, "late")
    assert texts(page) == ["better"]


def test_a_completed_pull_request_can_still_be_written_to(world, page):
    page.status = "completed"
    comment(world, page)
    assert texts(page) == ["better"]


# Rights


@pytest.mark.parametrize("is_there", [True, False])
def test_a_missing_right_is_named_and_the_thread_is_written_once_it_is_given(world, page, is_there):
    if is_there:
        comment(world, page)
    world.server.missing_rights.add("PullRequestContribute")
    with pytest.raises(BusinessFailure, match=r"user of the organisation .*'Contribute to pull requests'.*TF401027"):
        comment(world, page, "worse")
    world.server.missing_rights.clear()
    comment(world, page, "worse")
    assert texts(page) == ["worse"]


def test_an_identity_that_is_no_user_of_the_organisation_is_told_how_to_become_one(world, page):
    world.server.is_member = False
    with pytest.raises(BusinessFailure, match=r"managed identity .*Organization settings, Users.*TF400813"):
        comment(world, page)


@step
@pytest.mark.parametrize("status", [203, 302, 401, 403])
def test_the_sign_in_page_is_a_refusal_and_leaves_no_claim_behind(world, page, step, status):
    if step not in ("list threads", "create the thread"):
        comment(world, page, "first")
        page.threads[0].status = "closed"
    world.server.faults.add(*STEPS[step], status=status)
    with pytest.raises(BusinessFailure, match="Contribute to pull requests"):
        comment(world, page)
    assert world.server.faults.left == 0
    comment(world, page)
    assert texts(page) == ["better"]


# Faults


def until_written(world: AzureDevOpsWorld, page: Page) -> int:
    """As the queue delivers it; how often it took."""
    for attempt in range(1, 9):
        try:
            comment(world, page)
        except Throttled as throttled:
            world.clock.advance(throttled.retry_after)
        except Transient:
            world.clock.advance(1)
        else:
            return attempt
    raise AssertionError("it was never written")


@step
@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("fault", ["cut", 500, 503, 409])
def test_whatever_passes_there_is_one_thread_in_the_end(world, page, step, moment, fault):
    if step not in ("list threads", "create the thread"):
        comment(world, page, "first")
        page.threads[0].status = "closed"
    method, path = STEPS[step]
    if fault == "cut":
        world.server.faults.cut(method, path, moment=moment)
    else:
        world.server.faults.add(method, path, status=fault, moment=moment)
    until_written(world, page)
    assert world.server.faults.left == 0
    assert [(thread.text, thread.status) for thread in page.shown] == [("better", "active")]


@step
def test_a_pause_that_the_service_asks_for_is_kept(world, page, step):
    if step not in ("list threads", "create the thread"):
        comment(world, page, "first")
        page.threads[0].status = "closed"
    world.server.faults.add(*STEPS[step], status=429, retry_after=17)
    with pytest.raises(Throttled) as throttled:
        comment(world, page)
    assert throttled.value.retry_after == 17
    comment(world, page)
    assert texts(page) == ["better"]


def test_a_creation_whose_answer_was_lost_for_good_is_found_by_the_same_call(world, page):
    world.server.faults.add("POST", r"/threads$", status=503, moment=Moment.AFTER)
    comment(world, page)
    assert texts(page) == ["better"]
    comment(world, page, "worse")
    assert texts(page) == ["worse"]


def test_a_creation_that_may_still_be_under_way_is_waited_for(world, page):
    world.server.faults.cut("POST", r"/threads$")
    with pytest.raises(Transient):
        comment(world, page)
    with pytest.raises(Throttled, match="being created"):
        comment(world, page)
    world.clock.advance(UNSURE.total_seconds() + 1)
    comment(world, page)
    assert texts(page) == ["better"]


@step
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"message": "odd"}'])
def test_an_answer_that_says_nothing_is_a_passing_fault(world, page, step, body):
    if step not in ("list threads", "create the thread"):
        comment(world, page, "first")
        page.threads[0].status = "closed"
    world.server.answer_with(body, *STEPS[step])
    if step in ("edit the comment", "close the thread"):  # nothing of the answer is needed; looking again is
        comment(world, page)
    elif step != "create the thread":
        with pytest.raises(Transient, match="an answer without"):
            comment(world, page)
    until_written(world, page)
    assert [(thread.text, thread.status) for thread in page.shown] == [("better", "active")]


# Several callers


def test_callers_at_once_make_one_thread(world, page):
    barrier = threading.Barrier(6)
    outcomes: list[str] = []

    def call() -> None:
        process = world.process()
        barrier.wait()
        try:
            comment(world, page, by=process)
            outcomes.append("written")
        except Throttled as throttled:
            outcomes.append("later" if 0 < throttled.retry_after <= 5 else "too late")

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6
    assert {"written"} <= set(outcomes) <= {"written", "later"}
    assert texts(page) == ["better"]


def test_who_comes_while_another_creates_the_thread_comes_later_and_edits_it(world, page):
    second = world.process()

    def come_too_early() -> None:
        with pytest.raises(Throttled, match="being created by another"):
            comment(world, page, "second", by=second)

    world.server.faults.meanwhile(come_too_early, "POST", r"/threads$")
    comment(world, page, "first")
    comment(world, page, "second", by=second)
    assert texts(page) == ["second"]


def test_a_claim_whose_holder_died_ends_by_itself(world, page):
    records = ThreadRecords(world.blobs, world.clock)
    records.claim(records.read(pull_request_of(page), "problems"))
    with pytest.raises(Throttled):
        comment(world, page)
    world.clock.advance(CLAIM.total_seconds() + 1)
    comment(world, page)
    assert texts(page) == ["better"]


def test_nothing_but_the_organisation_is_ever_asked_and_as_the_app_alone(world, page, identity):
    until_written(world, page)
    assert {seen.path.split("/")[1] for seen in world.server.requests} == {"contoso"}
    assert {seen.bearer for seen in world.server.requests} <= set(identity.issued)
    assert ("499b84ac-1321-427f-aa17-267ca6975798", "") in identity.requests
    assert page.threads[0].author == user_id(PRINCIPAL)
