"""Statuses of pull requests and tags of runs: on the commit's iteration, not repeated, refused with what to add."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.errors import BusinessFailure, NotFound, Throttled, Transient
from shared.ports import CheckState, PipelineRun
from tests.contract.pipelines_world import AzureDevOpsWorld, azure_devops_world, pull_request_of
from tests.servers.azure_devops import AzureDevOps, Moment, Page
from tests.servers.identity import IdentityEndpoint

FIRST, SECOND = "1" * 40, "2" * 40
LINK = "https://reports.example/chains/c1"
STEPS = {
    "look at the pull request": ("GET", r"/pullRequests/\d+$"),
    "list iterations": ("GET", r"/iterations$"),
    "list statuses": ("GET", r"/statuses$"),
    "post the status": ("POST", r"/statuses$"),
}
step = pytest.mark.parametrize("step", STEPS)


@pytest.fixture
def world(azure_devops: AzureDevOps, identity: IdentityEndpoint) -> Iterator[AzureDevOpsWorld]:
    with azure_devops_world(azure_devops) as world:
        yield world


@pytest.fixture
def page(world: AzureDevOpsWorld) -> Page:
    return world.server.pull_request(FIRST, SECOND)


def set_status(
    world: AzureDevOpsWorld, page: Page, commit: str | None, state: CheckState = CheckState.PENDING, link: str = LINK
) -> None:
    world.pipelines.set_status(pull_request_of(page, commit), "problems", state, "2 of 4\n cells", link)


def test_a_status_belongs_to_the_iteration_of_its_commit_and_a_policy_can_require_it(world, page):
    set_status(world, page, FIRST)
    assert page.statuses == [
        {
            "id": 1,
            "state": "pending",
            "description": "2 of 4 cells",
            "context": {"genre": "genaiops", "name": "problems"},
            "iterationId": 1,
            "targetUrl": LINK,
        }
    ]
    set_status(world, page, SECOND[:12].upper())
    assert page.statuses[-1]["iterationId"] == 2


@pytest.mark.parametrize("commit", [None, "3" * 40])
def test_without_a_known_commit_it_belongs_to_the_pull_request(world, page, commit):
    set_status(world, page, commit, link="")
    assert page.statuses[0].keys() == {"id", "state", "description", "context"}


def test_a_commit_that_was_pushed_twice_counts_where_it_came_last(world, page):
    page.commits = (FIRST, SECOND, FIRST)
    set_status(world, page, FIRST)
    assert page.statuses[0]["iterationId"] == 3


def test_what_the_newest_status_says_already_is_not_posted_again(world, page):
    for state in (
        CheckState.PENDING,
        CheckState.PENDING,
        CheckState.SUCCEEDED,
        CheckState.SUCCEEDED,
        CheckState.PENDING,
    ):
        set_status(world, page, FIRST, state)
    assert [status["state"] for status in page.statuses] == ["pending", "succeeded", "pending"]
    set_status(world, page, SECOND)
    set_status(world, page, SECOND, link=LINK + "/2")
    assert len(page.statuses) == 5


def test_a_status_of_the_same_name_of_another_service_is_not_ours(world, page):
    page.statuses.append({"id": 1, "state": "pending", "description": "2 of 4 cells", "context": {"name": "problems"}})
    set_status(world, page, None, link="")
    assert len(page.statuses) == 2


def test_a_long_description_is_cut(world, page):
    world.pipelines.set_status(pull_request_of(page), "problems", CheckState.FAILED, "x" * 5_000, "")
    assert page.statuses[0]["description"] == "x" * 400


@step
@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("fault", ["cut", 500, 503, 429])
def test_whatever_passes_there_is_one_status_in_the_end(world, page, step, moment, fault):
    method, path = STEPS[step]
    if fault == "cut":
        world.server.faults.cut(method, path, moment=moment)
    else:
        world.server.faults.add(method, path, status=fault, moment=moment, retry_after=3 if fault == 429 else None)
    for _ in range(3):
        try:
            set_status(world, page, SECOND)
        except (Transient, Throttled):
            continue
        break
    assert world.server.faults.left == 0
    assert len(page.statuses) == 1


@step
@pytest.mark.parametrize("status", [203, 302, 401, 403])
def test_a_refusal_says_what_to_add(world, page, step, status):
    world.server.faults.add(*STEPS[step], status=status)
    with pytest.raises(BusinessFailure, match=r"user of the organisation .*'Contribute to pull requests'"):
        set_status(world, page, SECOND)


def test_nobody_sees_the_status_of_a_pull_request_that_is_gone(world, page):
    page.status = "abandoned"
    with pytest.raises(NotFound, match="abandoned"):
        set_status(world, page, FIRST)
    del world.server.pull_requests[page.number]
    with pytest.raises(NotFound, match="deleted"):
        set_status(world, page, FIRST)
    assert page.statuses == []


# Tags


def test_tags_are_what_the_service_takes(world):
    build = world.server.build(4711)
    world.pipelines.tag(
        PipelineRun(world.server.collection, "Web Shop", 4711),
        ["gate:f1", "  two\nwords ", "", ":", "gate:f1", "x" * 500],
    )
    assert build.tags == ["gate-f1", "two words", "-", "x" * 256]


@pytest.mark.parametrize(
    ("fault", "family"),
    [({"status": 429, "retry_after": 4}, Throttled), ({"status": 503}, Transient), ({"status": 404}, NotFound),
     ({"status": 400}, BusinessFailure), ({"status": 203}, BusinessFailure)],
)  # fmt: skip
def test_tags_fail_as_everything_else_does_and_come_with_the_next_try(world, fault, family):
    build, run = world.server.build(4711), PipelineRun(world.server.collection, "shop", 4711)
    world.server.faults.add("POST", r"/tags$", **fault)
    with pytest.raises(family):
        world.pipelines.tag(run, ["genaiops"])
    world.pipelines.tag(run, ["genaiops"])
    assert build.tags == ["genaiops"]


def test_a_run_that_was_deleted_is_not_found(world):
    with pytest.raises(NotFound, match="4711"):
        world.pipelines.tag(PipelineRun(world.server.collection, "shop", 4711), ["genaiops"])


def test_who_may_not_tag_is_told_the_right(world):
    world.server.missing_rights.add("EditBuildQuality")
    world.server.build(4711)
    with pytest.raises(BusinessFailure, match="'Edit build quality'"):
        world.pipelines.tag(PipelineRun(world.server.collection, "shop", 4711), ["genaiops"])
