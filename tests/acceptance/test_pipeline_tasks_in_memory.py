"""Pipelines wait for chains, and each is told once how its chain went, whatever comes twice, is forged, or dies."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from shared import chain_index, chain_store, claim_check, dead_letters, reporting
from shared.chain.messages import AzureDevOps, ChainKind, ChainRequest, Queue
from shared.chain.state import ChainStatus
from shared.housekeeping import sweep
from shared.names import chain_id
from shared.pipeline_tasks import records
from shared.ports.pipelines import CheckState
from tests.memory_world import Crash, World
from tests.waiting_tasks import blobs_with, instance, properties, token

COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
PLACE = AzureDevOps(collection="https://dev.azure.com/contoso", project="shop", repository="flows", run=4711)
CONTAINERS = (
    records.CONTAINER,
    chain_store.CONTAINER,
    chain_index.CONTAINER,
    claim_check.CONTAINER,
    dead_letters.CONTAINER,
    reporting.CONTAINER,
    "secrets",
)
SHARES = 2
"""The steps of a scenario are shared out over so many tests, so that they run side by side."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def publish(world: World, kind: str, number: int = 1, *, message: str = "m", request: str = "r1") -> str:
    """A task publishes the request and waits; returns the chain's id."""
    page = {"pull_request": 42, "branch": "feature/one"} if kind == "pr" else {"branch": "main"}
    asked = ChainRequest(
        request_id=request, kind=ChainKind(kind), use_case="small", commit=COMMIT, azure_devops=PLACE, **page
    )
    world.publish(
        Queue.CHAIN_REQUESTS, asked.model_dump_json().encode(), f"{message}-{number}", None, **properties(number)
    )
    return chain_id("small", kind, request)


def settle(world: World, *, approve: bool = True) -> None:
    """Go on until nobody waits: messages, and the timer every minute."""
    world.pump(approve=approve)
    for _ in range(6):
        if not open_tasks(world):
            return
        world.clock.advance(61)
        try:
            sweep(world.ports)
        except Crash:
            continue
        world.pump(approve=approve)


def open_tasks(world: World) -> list[str]:
    return [info.name for info in world.blobs.list(records.CONTAINER, "open/")]


def ended_tasks(world: World) -> list[str]:
    return [info.name.split("/")[1] for info in world.blobs.list(records.CONTAINER, "ended/")]


def no_token_is_left(world: World, *numbers: int) -> None:
    assert open_tasks(world) == []
    for number in numbers:
        assert blobs_with(world.blobs, token(number), *CONTAINERS) == []
    assert blobs_with(world.blobs, "sealed_token", records.CONTAINER) == []


def test_a_pull_requests_pipeline_sees_each_line_once_and_then_the_result(world: World) -> None:
    chain = publish(world, "pr")
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED
    assert world.pipelines.completions == [instance(1)]
    done = world.pipelines.finished[instance(1)]
    assert done.succeeded
    assert "accuracy" in done.log
    assert f"/api/chains/{chain}" in done.log

    feed = world.pipelines.feeds[instance(1)]
    assert len(feed) == len(set(feed))
    assert set(feed) <= set(done.log.splitlines())
    states = [state for _, _, state, _, _ in world.pipelines.statuses]
    assert states == [CheckState.PENDING, CheckState.SUCCEEDED]
    assert list(world.pipelines.threads) == [("flows", 42, "small")]
    assert "genaiops-succeeded" in world.pipelines.tags[4711]
    no_token_is_left(world, 1)


def test_a_merges_pipeline_waits_for_the_approver_and_no_pull_request_hears_of_it(world: World) -> None:
    chain = publish(world, "ci")
    world.pump(approve=False)
    assert world.chain(chain).status is ChainStatus.AWAITING_APPROVAL
    assert world.pipelines.completions == []
    assert any("Approval was requested" in line for line in world.pipelines.feeds[instance(1)])
    for _ in range(5):
        world.clock.advance(600)
        sweep(world.ports)
        world.pump(approve=False)
    assert world.pipelines.completions == [], "it waits as long as people think"
    world.pump()
    assert world.pipelines.completions == [instance(1)]
    assert world.pipelines.statuses == []
    no_token_is_left(world, 1)


@pytest.mark.parametrize("kind", ["pr", "ci"])
def test_a_message_published_twice_and_notifications_delivered_twice_leave_one_of_each(
    tmp_path: Path, kind: str
) -> None:
    world = World(tmp_path, duplicates=True)
    publish(world, kind, message="first")
    publish(world, kind, message="second")
    settle(world)
    assert len(world.chains()) == 1
    assert world.pipelines.completions == [instance(1)]
    assert len(ended_tasks(world)) == 1
    feed = world.pipelines.feeds[instance(1)]
    assert len(feed) == len(set(feed))
    assert len(world.pipelines.threads) == (1 if kind == "pr" else 0)
    assert [state for _, _, state, _, _ in world.pipelines.statuses].count(CheckState.PENDING) == (kind == "pr")
    no_token_is_left(world, 1)


def test_a_job_that_runs_again_for_a_chain_that_has_ended_is_told_the_same(world: World) -> None:
    chain = publish(world, "pr")
    world.pump()
    commands = world.chain(chain).commands
    publish(world, "pr", 2)
    world.pump()
    assert world.pipelines.completions == [instance(1), instance(2)]
    first, second = (world.pipelines.finished[instance(number)] for number in (1, 2))
    assert second.succeeded
    assert "accuracy" in second.log
    assert len(second.log) > len(first.log), "the last lines came after the first task was told"
    assert world.chain(chain).commands == commands
    assert world.pipelines.statuses[-1][2] is CheckState.SUCCEEDED
    no_token_is_left(world, 1, 2)


def test_a_second_pipeline_that_joins_a_chain_under_way_sees_all_its_lines(world: World) -> None:
    publish(world, "ci")
    world.pump(approve=False)
    publish(world, "ci", 2)
    world.pump(approve=False)
    assert world.pipelines.feeds[instance(2)] == world.pipelines.feeds[instance(1)]
    world.pump()
    assert sorted(world.pipelines.completions) == [instance(1), instance(2)]
    no_token_is_left(world, 1, 2)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"use_case": "small", "knid": "pr"}', "unknown key 'knid'"),
        (b"<!doctype html>", "The request is not valid"),
        (
            b"""{"use_case": "small", "kind": "pr", "request_id": "r1",
                 "azure_devops": {"collection": "https://dev.azure.com/fabrikam", "project": "shop"}}""",
            "azure_devops.collection: https://dev.azure.com/fabrikam is not answered",
        ),
    ],
)
def test_a_request_that_no_chain_comes_of_fails_its_task_with_the_reason(world: World, body: bytes, why: str) -> None:
    for message in ("once", "twice"):
        world.publish(Queue.CHAIN_REQUESTS, body, message, None, **properties())
    world.pump()
    assert world.chains() == []
    told = world.pipelines.finished[instance(1)]
    assert not told.succeeded
    assert told.log.startswith("##[error]")
    assert why in told.log
    assert len(world.dead_letters()) == 2
    no_token_is_left(world, 1)


def test_a_forged_message_for_a_chain_under_way_is_refused_and_the_chains_own_task_waits_on(world: World) -> None:
    chain = publish(world, "ci")
    world.pump(approve=False)
    forged = ChainRequest(
        request_id="r1",
        kind=ChainKind.CI,
        use_case="small",
        azure_devops=PLACE.model_copy(update={"collection": "https://dev.azure.com/fabrikam"}),
    )
    world.publish(Queue.CHAIN_REQUESTS, forged.model_dump_json().encode(), "forged", None, **properties(2))
    world.pump(approve=False)
    assert world.pipelines.completions == [instance(2)]
    assert not world.pipelines.finished[instance(2)].succeeded
    assert world.chain(chain).status is ChainStatus.AWAITING_APPROVAL
    world.pump()
    assert world.pipelines.finished[instance(1)].succeeded
    no_token_is_left(world, 1, 2)


def test_a_message_that_names_a_foreign_address_is_kept_without_its_token(world: World) -> None:
    said = properties() | {"PlanUrl": "https://evil.example/contoso/"}
    world.publish(Queue.CHAIN_REQUESTS, b'{"use_case": "small"}', "m", None, **said)
    world.pump()
    assert world.pipelines.completions == []
    assert len(world.dead_letters()) == 1
    no_token_is_left(world, 1)


# ------------------------------------------------------------------------------------------------ death at every step


def played(home: Path, kind: str, crash_after: int | None = None) -> World:
    """A chain from its message to its end. Of kind cd it fails at once, for nothing is registered."""
    world = World(home)
    world.steps.crash_at, world.steps.after = crash_after, True
    publish(world, kind)
    settle(world)
    return world


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize(("kind", "succeeds"), [("pr", True), ("cd", False)])
def test_dying_after_any_step_tells_the_task_once_and_leaves_no_token(
    kind: str, succeeds: bool, share: int, tmp_path: Path
) -> None:
    died = 0
    for step in count(share + 1, SHARES):
        world = played(tmp_path, kind, crash_after=step)
        if world.steps.count < step:
            break  # it has ended before
        died += 1
        last = world.steps.names[step - 1]
        where = f"died after step {step} ({last})"
        assert open_tasks(world) == [], where
        assert len(ended_tasks(world)) == 1, where
        assert world.pipelines.finished[instance(1)].succeeded is succeeds, where
        # Only where the process died between the completion and its note is it repeated; the service knows that one.
        assert len(world.pipelines.completions) == (2 if last == "pipelines.finish" else 1), where
        feed = world.pipelines.feeds.get(instance(1), [])
        assert len(feed) == len(set(feed)), where
        assert blobs_with(world.blobs, token(1), *CONTAINERS) == [], where
        assert blobs_with(world.blobs, "sealed_token", records.CONTAINER) == [], where
        states = [state for _, _, state, _, _ in world.pipelines.statuses]
        assert states.count(CheckState.PENDING) <= 1, where
        assert states[-1:] == ([CheckState.SUCCEEDED] if kind == "pr" else []), where
    assert died > 25
