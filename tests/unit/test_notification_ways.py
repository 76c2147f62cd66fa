"""Pull requests, pipelines and people are told on ways of their own: one that is closed keeps none of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.adapters.memory.notifier import RecordingNotifier
from shared.chain.messages import AzureDevOps, ChainKind, CommentPullRequest, FinishTask
from shared.chain.state import Chain, Step, StepState
from shared.errors import BusinessFailure, GenAIOpsError, Throttled, Transient
from shared.notification import notify
from shared.notification.pull_request import each_way
from shared.pipeline_tasks import records
from shared.ports import Notice, Ports
from shared.ports.pipelines import CheckState
from tests import samples
from tests.unit.people import memory_ports, store
from tests.waiting_tasks import AilingPipelines, instance, task


class Closed(RecordingNotifier):
    """A notifier that never gets through."""

    def send(self, notice: Notice) -> None:
        """Refuse."""
        raise BusinessFailure(f"nobody takes {notice.kind}")


@pytest.fixture
def pipelines() -> AilingPipelines:
    return AilingPipelines()


@pytest.fixture
def ports(pipelines: AilingPipelines) -> Ports:
    return replace(memory_ports(), pipelines=pipelines)


def at(ports: Ports, step: Step) -> Chain:
    """A pull request's chain at one of its last steps."""
    chain = samples.sample_chain(ChainKind.PR)
    place = AzureDevOps(collection="https://dev.azure.com/contoso", project="shop", repository="flows", run=4711)
    request = chain.request.model_copy(update={"pull_request": 42, "azure_devops": place})
    steps = (StepState(step=Step.COMMENT), StepState(step=Step.RESULT))
    current = [state.step for state in steps].index(step)
    return store(ports, chain.model_copy(update={"request": request, "steps": steps, "current": current}))


def comment(ports: Ports) -> None:
    chain = at(ports, Step.COMMENT)
    notify.perform(ports, chain, CommentPullRequest(id=f"{chain.id}/7", chain=chain.id, issued_at=samples.NOW))


def finish(ports: Ports) -> None:
    chain = at(ports, Step.RESULT)
    records.open_task(ports, chain.id, task())
    notify.perform(ports, chain, FinishTask(id=f"{chain.id}/8", chain=chain.id, issued_at=samples.NOW))


def test_a_policy_is_told_though_no_mail_goes_out(ports: Ports, pipelines: AilingPipelines) -> None:
    with pytest.raises(BusinessFailure, match="nobody takes comment"):
        comment(replace(ports, notifier=Closed()))
    assert [state for _, _, state, _, _ in pipelines.statuses] == [CheckState.SUCCEEDED]
    assert list(pipelines.threads) == [("flows", 42, "ticket_triage")]


@pytest.mark.parametrize("error", [BusinessFailure("no right to set a status"), Transient("away")])
def test_the_thread_is_written_though_the_status_is_refused(
    ports: Ports, pipelines: AilingPipelines, error: GenAIOpsError
) -> None:
    pipelines.status = [error]
    with pytest.raises(GenAIOpsError, match=str(error)):
        comment(ports)
    assert list(pipelines.threads) == [("flows", 42, "ticket_triage")]
    comment(ports)
    assert [state for _, _, state, _, _ in pipelines.statuses] == [CheckState.SUCCEEDED]


def test_a_pipeline_is_told_though_no_mail_goes_out(ports: Ports, pipelines: AilingPipelines) -> None:
    with pytest.raises(BusinessFailure, match="nobody takes result"):
        finish(replace(ports, notifier=Closed()))
    assert pipelines.finished[instance(1)].succeeded
    assert "genaiops-succeeded" in pipelines.tags[4711]


def test_people_are_told_though_a_pipeline_cannot_be(ports: Ports, pipelines: AilingPipelines) -> None:
    pipelines.finishing = [Transient("away")]
    with pytest.raises(Throttled, match="away"):
        finish(ports)
    assert isinstance(ports.notifier, RecordingNotifier)
    assert len(ports.notifier.sent) == 1
    finish(ports)
    assert pipelines.completions == [instance(1)]


def test_of_several_faults_the_one_that_passes_counts() -> None:
    def fails(fault: GenAIOpsError) -> None:
        raise fault

    with pytest.raises(Transient):
        each_way(lambda: fails(BusinessFailure("never")), lambda: fails(Transient("now")))
    with pytest.raises(BusinessFailure):
        each_way(lambda: fails(BusinessFailure("never")), lambda: None)
    each_way(lambda: None)
