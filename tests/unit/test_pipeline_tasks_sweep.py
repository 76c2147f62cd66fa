"""Nobody waits for a message that was lost or refused: the timer asks again, a refused request's task is told why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import dead_letters
from shared.chain.messages import ChainKind, Queue
from shared.chain.state import Chain, Step, StepState
from shared.delivery import Delivery
from shared.errors import Throttled, Transient
from shared.pipeline_tasks import progress, records, sweep
from shared.pipeline_tasks.records import CLAIMED_FOR
from shared.ports import Ports
from tests import samples
from tests.unit.people import clock_of, memory_ports, store
from tests.waiting_tasks import AilingPipelines, blobs_with, instance, properties, task, token

STEPS = tuple(StepState(step=step) for step in (Step.PREPARATION, Step.RESULT))


@pytest.fixture
def pipelines() -> AilingPipelines:
    return AilingPipelines()


@pytest.fixture
def ports(pipelines: AilingPipelines) -> Ports:
    return replace(memory_ports(), pipelines=pipelines)


def begun(ports: Ports, step: Step = Step.PREPARATION, **changes: object) -> Chain:
    """A chain at this step."""
    at = next(index for index, state in enumerate(STEPS) if state.step is step)
    found = {"steps": STEPS, "current": at, **changes}
    return store(ports, samples.sample_chain(ChainKind.PR).model_copy(update=found))


# --------------------------------------------------------------------------------------------------------------- sweep


def swept(ports: Ports) -> int:
    """How many messages the timer sends; the clock stands where a minute later it will."""
    queue = ports.settings.queues[Queue.NOTIFICATION]
    before = ports.bus.counts(queue).active
    sweep.remind(ports, ports.clock.now())
    return ports.bus.counts(queue).active - before


def test_the_timer_asks_for_tasks_whose_end_is_known_and_lets_the_others_wait(ports: Ports) -> None:
    clock_of(ports).advance(3600)
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    clock_of(ports).advance(3600)
    assert swept(ports) == 0
    begun(ports, Step.RESULT, updated_at=ports.clock.now())
    assert swept(ports) == 0, "the chain's own step is at it"
    clock_of(ports).advance(sweep.GRACE.total_seconds() + 1)
    assert swept(ports) == 1
    assert swept(ports) == 0, "one message a minute"


@pytest.mark.parametrize("number", [1, 2])
def test_one_tasks_trouble_keeps_the_timer_from_no_other(ports: Ports, pipelines: AilingPipelines, number: int) -> None:
    for each in (1, 2):
        records.open_task(ports, f"small-ci-{each}", task(each))
    pipelines.finishing = [Transient("away")] * number
    clock_of(ports).advance(sweep.NEVER_BEGAN.total_seconds() + 1)
    for _ in range(2):
        swept(ports)
    assert sorted(pipelines.completions) == [instance(1), instance(2)]
    assert [done.succeeded for done in pipelines.finished.values()] == [False, False]
    assert "The chain never began." in pipelines.finished[instance(1)].log
    assert list(records.opened(ports)) == []


def test_a_token_is_not_kept_longer_than_any_pipeline_waits(ports: Ports, pipelines: AilingPipelines) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    clock_of(ports).advance(timedelta(days=3, hours=23).total_seconds())
    swept(ports)
    assert len(list(records.opened(ports))) == 1
    clock_of(ports).advance(timedelta(hours=2).total_seconds())
    swept(ports)
    assert list(records.opened(ports)) == []
    assert pipelines.completions == []


# ------------------------------------------------------------------------------------------------------------- refusal


def request(ports: Ports, count: int = 1, body: bytes | None = None) -> Delivery:
    asked = samples.sample_chain(ChainKind.PR).request.model_dump_json().encode() if body is None else body
    return Delivery(Queue.CHAIN_REQUESTS, asked, "m", count, ports.clock.now(), properties())


def test_a_request_that_was_given_up_fails_its_task_once_though_it_was_recorded(
    ports: Ports, pipelines: AilingPipelines
) -> None:
    records.open_task(ports, samples.sample_chain(ChainKind.PR).id, task())
    for _ in range(2):
        dead_letters.record(ports, request(ports, 11))
    assert pipelines.completions == [instance(1)]
    assert not pipelines.finished[instance(1)].succeeded
    assert list(records.opened(ports)) == []
    assert blobs_with(ports.blobs, token(1), "tasks", dead_letters.CONTAINER) == []


def test_a_request_that_was_given_up_after_its_chain_began_leaves_its_task_to_the_chain(
    ports: Ports, pipelines: AilingPipelines
) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    dead_letters.record(ports, request(ports, 11))
    assert pipelines.completions == []
    progress.show(ports, begun(ports, Step.RESULT))
    assert pipelines.finished[instance(1)].succeeded


def test_a_reason_that_quotes_the_request_gives_no_command_and_no_markup(
    ports: Ports, pipelines: AilingPipelines
) -> None:
    sly = json.dumps({"use_case": "small", "##vso[task.complete]<img src=x>[here](https://evil.example)": 1})
    dead_letters.reject(ports, request(ports, body=sly.encode()), f"The request is not valid: {sly}\n##[error]x")
    told = pipelines.finished[instance(1)]
    assert told.log.count("\n") == 1
    assert "##" not in told.log.removeprefix("##[error]")
    assert "<img" not in told.summary
    assert "[here](" not in told.summary


@pytest.mark.parametrize("fault", [Transient("away"), Throttled("slow down", 5)])
@pytest.mark.parametrize("handler", [dead_letters.record, lambda ports, one: dead_letters.reject(ports, one, "wrong")])
def test_a_service_that_is_away_brings_the_message_back_but_not_for_ever(
    ports: Ports, pipelines: AilingPipelines, fault: Exception, handler: Callable[[Ports, Delivery], None]
) -> None:
    last = ports.settings.max_delivery_count + dead_letters.REFUSALS
    pipelines.finishing = [fault] * 3
    for delivery in (1, last - 1):
        with pytest.raises(type(fault)):
            handler(ports, request(ports, delivery, b"{}"))
    handler(ports, request(ports, last, b"{}"))
    assert pipelines.completions == []
    assert len(dead_letters.listed(ports)) == 1


def test_a_refusal_that_crashed_is_told_by_the_timer(ports: Ports, pipelines: AilingPipelines) -> None:
    records.open_task(ports, "small-ci-1", task())
    ((record, etag),) = records.opened(ports)
    assert records.claim(ports, record, etag) is not None
    clock_of(ports).advance(max(sweep.NEVER_BEGAN, CLAIMED_FOR).total_seconds() + 1)
    swept(ports)
    assert pipelines.completions == [instance(1)]
