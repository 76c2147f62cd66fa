"""A whole chain whose runs run on Azure ML, while the clock stands still: no scheduled look ever comes due.

So what moves the chain is Event Grid's message about each run's end or, where all of them are lost, the timer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from shared.chain.messages import Queue
from shared.chain.state import Chain, ChainStatus
from shared.delivery import Delivery
from shared.housekeeping import sweep
from shared.run_events import run_changed
from tests.contract.azure_runs import CloudRuns, cloud_runs
from tests.memory_world import World


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> CloudRuns:
    runs = cloud_runs(request)
    runs.management.reset()
    return runs


@pytest.fixture
def world(tmp_path, cloud: CloudRuns) -> World:
    return World(tmp_path, runner=cloud.runner)


def ended(world: World, chain: str, between: Callable[[], None]) -> Chain:
    """Deliver what is there, and do `between` what the world does meanwhile, until the chain has ended."""
    deadline = time.monotonic() + 120
    before = world.clock.now()
    while not any(c.id == chain and c.status.is_final for c in world.chains()) and time.monotonic() < deadline:
        if not world._deliver_one():
            between()
            time.sleep(0.05)
    assert world.clock.now() == before, "no time had to pass"
    return world.chain(chain)


def assert_that_everything_ran_once(cloud: CloudRuns, chain: Chain) -> None:
    assert chain.status is ChainStatus.SUCCEEDED, chain.reason
    assert chain.progress.runs_completed > 0
    submitted = cloud.management.seen("POST", "BulkRuns/submit")
    assert len(submitted) == len(cloud.service.runs) == chain.progress.runs_completed + evaluations(cloud)
    assert list(cloud.runner.ended_unnoticed()) == []


def evaluations(cloud: CloudRuns) -> int:
    return sum("genaiops_evaluator" in run.body["tags"] for run in cloud.service.runs.values())


@pytest.mark.parametrize("times", [1, 2])
def test_events_move_the_chain_also_if_they_come_twice(times, world, cloud):
    events: SimpleQueue[dict[str, Any]] = SimpleQueue()
    cloud.service.on_run_event = events.put

    def deliver() -> None:
        while not events.empty():
            event = events.get()
            for _ in range(times):
                body = json.dumps(event).encode()
                run_changed(world.ports, Delivery(Queue.RUN_EVENTS, body, event["id"], 1, world.clock.now()))

    chain = ended(world, world.request("pr"), deliver)
    assert_that_everything_ran_once(cloud, chain)
    assert world.dead_letters() == []


def test_where_every_event_is_lost_the_timer_moves_the_chain(world, cloud):
    def tick() -> None:
        sweep(world.ports)

    chain = ended(world, world.request("pr"), tick)
    assert_that_everything_ran_once(cloud, chain)


def test_a_later_chain_submits_only_the_lines_that_changed(world, cloud):
    def tick() -> None:
        sweep(world.ports)

    rows = ('{"question": "one", "answer": "ONE"}\n', '{"question": "two", "answer": "TWO"}\n')
    first = world.publish_use_case({"data/questions.jsonl": "".join(rows)})
    assert ended(world, world.request("pr", bundle=first), tick).status is ChainStatus.SUCCEEDED
    before = set(cloud.service.runs)

    changed = world.publish_use_case({"data/questions.jsonl": rows[0] + rows[1].replace("two", "three")})
    chain = ended(world, world.request("pr", request_id="r2", bundle=changed), tick)
    assert chain.status is ChainStatus.SUCCEEDED
    runs = [run for name, run in cloud.service.runs.items() if name not in before]
    storage = cloud.management.storage
    assert runs
    assert all([row["genaiops_line"] for row in run.submitted_rows(storage)] == [1] for run in runs)
    assert all(run.metrics.get("accuracy") is not None for run in runs if "genaiops_evaluator" in run.body["tags"])
