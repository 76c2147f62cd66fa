"""What waits for a chain is brought up to date: lines once, a pending status once, and never after the last one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared import chain_store
from shared.chain.messages import AzureDevOps, ChainKind
from shared.chain.state import Chain, ChainStatus, LogEntry, Step, StepState
from shared.errors import BusinessFailure, NotFound, Throttled, Transient
from shared.pipeline_tasks import progress, records
from shared.pipeline_tasks.records import WaitsFor
from shared.ports import Ports
from shared.ports.pipelines import CheckState
from tests import samples
from tests.unit.people import memory_ports, store
from tests.waiting_tasks import AilingPipelines, instance, task

STEPS = tuple(StepState(step=step) for step in (Step.PREPARATION, Step.REPORT, Step.COMMENT, Step.RESULT))


@pytest.fixture
def pipelines() -> AilingPipelines:
    return AilingPipelines()


@pytest.fixture
def ports(pipelines: AilingPipelines) -> Ports:
    return replace(memory_ports(), pipelines=pipelines)


def begun(ports: Ports, step: Step = Step.PREPARATION, **changes: object) -> Chain:
    """A pull request's chain at this step."""
    chain = samples.sample_chain(ChainKind.PR)
    place = AzureDevOps(collection="https://dev.azure.com/contoso", project="shop", repository="flows")
    request = chain.request.model_copy(update={"pull_request": 42, "azure_devops": place})
    at = next(index for index, state in enumerate(STEPS) if state.step is step)
    found = {"request": request, "steps": STEPS, "current": at, **changes}
    return store(ports, chain.model_copy(update=found))


def log(ports: Ports, chain: Chain, *numbers: int) -> None:
    lines = [LogEntry(number=number, at=samples.NOW, level="info", text=f"line {number}") for number in numbers]
    chain_store.append_log(ports.blobs, chain.id, lines)


def feed(pipelines: AilingPipelines) -> list[str]:
    return [line.rpartition(" ")[2] for line in pipelines.feeds.get(instance(1), [])]


def states(pipelines: AilingPipelines) -> list[CheckState]:
    return [state for _, _, state, _, _ in pipelines.statuses]


# --------------------------------------------------------------------------------------------------------------- lines


def test_a_task_is_shown_each_line_once_in_order(ports: Ports, pipelines: AilingPipelines) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    for numbers in ((1, 2), (2, 3), ()):
        log(ports, chain, *numbers)
        progress.show(ports, chain)
        progress.show(ports, chain)
    assert feed(pipelines) == ["1", "2", "3"]


def test_a_check_is_shown_no_lines(ports: Ports, pipelines: AilingPipelines) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task(), waits_for=WaitsFor.APPROVAL)
    log(ports, chain, 1)
    progress.show(ports, chain)
    assert feed(pipelines) == []


@pytest.mark.parametrize("fault", [Transient("away"), Throttled("slow down", 5)])
def test_lines_that_could_not_be_shown_come_with_the_next(
    ports: Ports, pipelines: AilingPipelines, fault: Exception
) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    records.open_task(ports, chain.id, task(2))
    pipelines.telling = [fault]
    log(ports, chain, 1)
    progress.show(ports, chain)
    assert sum(map(len, pipelines.feeds.values())) == 1, "the other task sees it at once"
    log(ports, chain, 2)
    progress.show(ports, chain)
    assert feed(pipelines) == ["1", "2"]
    assert len(pipelines.feeds[instance(2)]) == 2


@pytest.mark.parametrize("error", [NotFound("no such record"), BusinessFailure("expired")])
def test_a_task_that_takes_no_lines_is_not_shown_more_but_completed(
    ports: Ports, pipelines: AilingPipelines, error: Exception
) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    pipelines.telling = [error]
    log(ports, chain, 1)
    progress.show(ports, chain)
    log(ports, chain, 2)
    progress.show(ports, chain)
    assert feed(pipelines) == []
    progress.show(ports, begun(ports, Step.RESULT))
    assert pipelines.completions == [instance(1)]


def test_a_task_that_is_being_completed_is_shown_no_further_lines(ports: Ports, pipelines: AilingPipelines) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    assert records.claim(ports, *next(records.opened(ports))) is not None
    log(ports, chain, 1)
    progress.show(ports, chain)
    assert feed(pipelines) == []


def test_a_task_that_ends_while_it_is_shown_lines_stays_ended(ports: Ports, pipelines: AilingPipelines) -> None:
    chain = begun(ports)
    records.open_task(ports, chain.id, task())
    log(ports, chain, 1)

    class EndsIt(AilingPipelines):
        def tell(self, _task: object, _lines: object) -> None:
            ((record, _),) = records.opened(ports)
            records.end(ports, record, "succeeded")
            raise NotFound("nobody waits")

    progress.show(replace(ports, pipelines=EndsIt()), chain)
    assert list(records.opened(ports)) == []
    assert pipelines.completions == []


# ------------------------------------------------------------------------------------------------------------- status


def test_the_pull_request_hears_once_that_its_chain_has_begun(ports: Ports, pipelines: AilingPipelines) -> None:
    chain = begun(ports)
    for _ in range(3):
        progress.show(ports, chain)
    ((number, name, state, _, link),) = pipelines.statuses
    assert (number, name, state) == (42, "ticket_triage", CheckState.PENDING)
    assert link.endswith(f"/api/chains/{chain.id}")


def test_a_service_that_is_away_is_told_with_the_next_line(ports: Ports, pipelines: AilingPipelines) -> None:
    pipelines.status = [Transient("away"), Transient("away")]
    for _ in range(4):
        progress.show(ports, begun(ports))
    assert states(pipelines) == [CheckState.PENDING]


@pytest.mark.parametrize("error", [NotFound("deleted"), BusinessFailure("no right")])
def test_a_pull_request_that_cannot_be_told_is_not_asked_again(
    ports: Ports, pipelines: AilingPipelines, error: Exception
) -> None:
    pipelines.status = [error]
    for _ in range(3):
        progress.show(ports, begun(ports))
    assert states(pipelines) == []


@pytest.mark.parametrize(
    ("step", "changes"),
    [
        (Step.COMMENT, {}),
        (Step.RESULT, {}),
        (Step.REPORT, {"outcome": ChainStatus.FAILED}),
        (Step.RESULT, {"status": ChainStatus.CANCELLED}),
    ],
)
def test_no_status_is_pending_once_the_last_one_is_said(
    ports: Ports, pipelines: AilingPipelines, step: Step, changes: dict[str, object]
) -> None:
    progress.show(ports, begun(ports, step, **changes))
    assert states(pipelines) == []


@pytest.mark.parametrize("step", [Step.COMMENT, Step.RESULT])
def test_a_pending_status_that_came_after_the_last_one_is_mended(
    ports: Ports, pipelines: AilingPipelines, step: Step
) -> None:
    chain = begun(ports)
    ended = begun(ports, step)  # while the message with the earlier state was still on its way
    progress.show(ports, chain)
    assert states(pipelines) == [CheckState.PENDING, CheckState.SUCCEEDED]
    progress.show(ports, ended)
    assert len(pipelines.statuses) == 2


def test_a_pending_status_of_a_process_that_died_after_it_is_mended(ports: Ports, pipelines: AilingPipelines) -> None:
    ended = begun(ports, Step.RESULT, outcome=ChainStatus.FAILED)
    ports.blobs.write(records.CONTAINER, f"{progress.PENDING}/{ended.id}", b"saying")
    progress.show(ports, ended)
    progress.show(ports, ended)
    assert states(pipelines) == [CheckState.FAILED]


def test_an_older_commits_chain_does_not_speak_for_the_newer_one(ports: Ports, pipelines: AilingPipelines) -> None:
    chain = begun(ports)
    begun(ports, Step.RESULT, outcome=ChainStatus.SUPERSEDED)
    progress.show(ports, chain)
    assert states(pipelines) == [CheckState.PENDING]


def test_a_chain_that_comments_on_nothing_sets_no_status_that_nobody_would_end(
    ports: Ports, pipelines: AilingPipelines
) -> None:
    progress.show(ports, begun(ports, steps=tuple(state for state in STEPS if state.step is not Step.COMMENT)))
    assert states(pipelines) == []
