"""What every adapter of Pipelines does: tasks that wait, pull requests, runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.errors import BusinessFailure, NotFound
from shared.ports import CheckState
from tests.contract.pipelines_world import MemoryWorld, World, azure_devops_world, elsewhere

LINK = "https://reports.example/chains/c1"


@pytest.fixture(params=["memory", "azure_devops"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    request.getfixturevalue("identity")
    with azure_devops_world(request.getfixturevalue("azure_devops")) as world:
        yield world


def test_lines_are_shown_in_the_waiting_tasks_log_in_their_order(world: World) -> None:
    task = world.task()
    world.pipelines.tell(task, ["prepared: 4 cells", "1 of 4 cells has ended"])
    world.pipelines.tell(task, [])
    world.pipelines.tell(task, ["4 of 4 cells have ended"])
    assert world.feed(task) == ["prepared: 4 cells", "1 of 4 cells has ended", "4 of 4 cells have ended"]
    assert world.finished(task) is None


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_task_is_completed_with_its_log_and_its_summary(world: World, succeeded: bool) -> None:
    task = world.task()
    world.pipelines.finish(task, succeeded=succeeded, log="prepared\nrun\ndone\n", summary="| metric | value |")
    assert world.finished(task) == (succeeded, "prepared\nrun\ndone\n", "| metric | value |")


def test_a_task_is_completed_once_whoever_asks_again(world: World) -> None:
    task = world.task()
    world.pipelines.finish(task, succeeded=True, log="the first\n", summary="# first")
    with contextlib.suppress(NotFound):  # as the port says: nobody waits any more
        world.pipelines.finish(task, succeeded=False, log="the second\n", summary="# second")
    assert world.finished(task) == (True, "the first\n", "# first")


def test_a_task_may_be_completed_without_a_word(world: World) -> None:
    task = world.task()
    world.pipelines.finish(task, succeeded=True, log="", summary="")
    assert world.finished(task) == (True, "", "")


def test_a_pull_request_has_one_thread_of_a_name_edited_in_place(world: World) -> None:
    pull_request = world.pull_request()
    for text in ("**better** by 3 points", "**worse** by 1 point", "**worse** by 1 point"):
        world.pipelines.comment(pull_request, "word_problems", text, is_settled=False)
    assert world.threads(pull_request) == [("**worse** by 1 point", False)]
    world.pipelines.comment(pull_request, "tickets", "as good as before", is_settled=True)
    assert world.threads(pull_request) == [("**worse** by 1 point", False), ("as good as before", True)]


def test_a_thread_is_opened_and_closed_as_it_is_settled(world: World) -> None:
    pull_request = world.pull_request()
    for is_settled in (False, True, False):
        world.pipelines.comment(pull_request, "word_problems", "the same text", is_settled=is_settled)
        assert world.threads(pull_request) == [("the same text", is_settled)]


def test_the_newest_status_of_a_name_counts(world: World) -> None:
    pull_request = world.pull_request()
    assert world.status(pull_request, "word_problems") is None
    for state in (CheckState.PENDING, CheckState.PENDING, CheckState.FAILED, CheckState.SUCCEEDED):
        world.pipelines.set_status(pull_request, "word_problems", state, f"it is {state}", LINK)
        assert world.status(pull_request, "word_problems") == (state.value, f"it is {state}", LINK)
    assert world.status(pull_request, "tickets") is None


def test_tags_are_added_and_those_that_were_there_stay(world: World) -> None:
    run = world.run()
    world.pipelines.tag(run, ["genaiops", "word_problems"])
    world.pipelines.tag(run, [])
    world.pipelines.tag(run, ["word_problems", "gates-passed"])
    assert world.tags(run) == ["genaiops", "word_problems", "gates-passed"]


def test_an_address_that_the_setting_does_not_name_gets_nothing(world: World) -> None:
    task, pull_request, run = world.task(), world.pull_request(), world.run()
    assert world.pipelines.refusal(task.plan_url) == world.pipelines.refusal(pull_request.collection) == ""
    foreign = elsewhere(task).plan_url
    assert "GENAIOPS_AZURE_DEVOPS" in world.pipelines.refusal(foreign)
    calls = (
        lambda: world.pipelines.tell(elsewhere(task), ["a line"]),
        lambda: world.pipelines.finish(elsewhere(task), succeeded=True, log="a", summary="b"),
        lambda: world.pipelines.comment(replace(pull_request, collection=foreign), "n", "text", is_settled=True),
        lambda: world.pipelines.set_status(replace(pull_request, collection=foreign), "n", CheckState.FAILED, "", ""),
        lambda: world.pipelines.tag(replace(run, collection=foreign), ["a"]),
    )
    for call in calls:
        with pytest.raises(BusinessFailure, match=r"mallory.*GENAIOPS_AZURE_DEVOPS"):
            call()
    assert (world.feed(task), world.finished(task)) == ([], None)
    assert (world.threads(pull_request), world.status(pull_request, "n"), world.tags(run)) == ([], None, [])
