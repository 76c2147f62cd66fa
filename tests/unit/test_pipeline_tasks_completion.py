"""Tasks that wait are completed once, as the chain went, whatever fails meanwhile."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from shared import chain_store
from shared.chain.messages import Verdict
from shared.chain.state import ChainStatus, Step, StepState
from shared.errors import BusinessFailure, NotFound, Transient
from shared.pipeline_tasks import completion, records
from shared.pipeline_tasks.completion import Answer, answer_for
from shared.pipeline_tasks.records import CLAIMED_FOR, WaitsFor
from shared.ports import Ports
from shared.ports.keys import TASK_TOKENS
from tests import samples
from tests.unit.people import clock_of, memory_ports, store
from tests.waiting_tasks import AilingPipelines, instance, task

CHAIN = samples.sample_chain().id


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def ended(ports: Ports, chain: str = CHAIN) -> list[str]:
    """How the chain's tasks have ended."""
    found = ports.blobs.list("tasks", f"ended/{chain}/")
    return [json.loads(ports.blobs.read("tasks", info.name))["outcome"] for info in found]


@pytest.mark.parametrize("status", ChainStatus)
def test_a_task_that_waits_for_the_result_is_told_at_the_last_step_or_after_it(status: ChainStatus) -> None:
    chain = samples.sample_chain().model_copy(update={"reason": "why"})
    succeeded = Answer(status is ChainStatus.SUCCEEDED, "why")
    under_way = chain.model_copy(update={"status": status})
    assert answer_for(under_way, WaitsFor.RESULT) == (succeeded if status.is_final else None)
    if not status.is_final:
        return
    known = chain.model_copy(update={"outcome": status})
    assert answer_for(known, WaitsFor.RESULT) is None, "rolling back and reporting belong to the result"
    at_the_last = known.model_copy(update={"steps": (StepState(step=Step.RESULT),), "current": 0})
    assert answer_for(at_the_last, WaitsFor.RESULT) == succeeded


@pytest.mark.parametrize("status", ChainStatus)
def test_a_check_is_told_of_the_approval_however_the_chain_goes_on(status: ChainStatus) -> None:
    waiting = samples.awaiting_approval(samples.sample_chain(), samples.sha("evidence"))
    for verdict in Verdict:
        chain = samples.decided(waiting, verdict, "maria").model_copy(update={"status": status})
        expected = Answer(verdict is Verdict.APPROVED, f"{verdict} by maria")
        assert answer_for(chain, WaitsFor.APPROVAL) == expected

    undecided = waiting.model_copy(update={"status": status, "reason": "Cancelled by ada"})
    answer = answer_for(undecided, WaitsFor.APPROVAL)
    if not status.is_final:
        assert answer is None
        return
    reason = f"The chain ends as {status} without an approval. Cancelled by ada"
    assert answer == Answer(succeeded=False, reason=reason)
    ending = waiting.model_copy(update={"outcome": status, "reason": "Cancelled by ada"})
    assert answer_for(ending, WaitsFor.APPROVAL) == answer, "as soon as it is known that nobody will be asked"


def at_its_end(ports: Ports) -> str:
    """A chain at its end for which two tasks wait, and a check."""
    waiting = samples.awaiting_approval(samples.sample_chain(), samples.sha("evidence"))
    chain = store(ports, samples.deployed(waiting))
    for number, waits_for in ((1, WaitsFor.RESULT), (2, WaitsFor.RESULT), (3, WaitsFor.APPROVAL)):
        records.open_task(ports, chain.id, task(number), waits_for=waits_for)
    return chain.id


def complete(ports: Ports, *, last: bool = False) -> None:
    completion.complete(ports, chain_store.load(ports.blobs, CHAIN)[0], last=last)


def test_everybody_who_waits_is_told_once(ports: Ports) -> None:
    chain = at_its_end(ports)
    complete(ports)
    complete(ports)
    pipelines = ports.pipelines
    assert isinstance(pipelines, type(memory_ports().pipelines))
    assert sorted(pipelines.completions) == [instance(1), instance(2), instance(3)]
    assert all(finished.succeeded for finished in pipelines.finished.values())
    assert f"/api/chains/{chain}" in pipelines.finished[instance(1)].log
    assert pipelines.finished[instance(1)].summary
    assert pipelines.finished[instance(3)].log.startswith("approved by maria@example.org\n")
    assert ended(ports) == ["succeeded"] * 3


def test_a_service_that_is_away_keeps_one_waiting_and_nobody_else() -> None:
    pipelines = AilingPipelines(finishing=[Transient("away")])
    ports = replace(memory_ports(), pipelines=pipelines)
    at_its_end(ports)
    with pytest.raises(Transient, match="away"):
        complete(ports)
    assert len(pipelines.completions) == 2
    ((record, _),) = records.opened(ports)
    assert record.claimed_at is None, "whoever comes next need not wait"
    complete(ports)
    assert sorted(pipelines.completions) == [instance(1), instance(2), instance(3)]


@pytest.mark.parametrize("error", [NotFound("it was cancelled"), BusinessFailure("its token has expired")])
def test_a_task_that_nobody_can_tell_any_more_is_gone_and_its_token_too(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ports = replace(memory_ports(), pipelines=AilingPipelines(finishing=[error]))
    at_its_end(ports)
    complete(ports)
    assert sorted(ended(ports)) == ["gone", "succeeded", "succeeded"]
    assert list(records.opened(ports)) == []
    assert str(error) in caplog.text


def test_how_a_task_ended_first_stays_when_a_second_one_took_it_for_gone(ports: Ports) -> None:
    at_its_end(ports)
    found = next(records.opened(ports))
    slow = records.claim(ports, *found)
    assert slow is not None
    clock_of(ports).advance(CLAIMED_FOR.total_seconds())
    complete(ports)
    records.end(ports, slow[0], "gone")
    assert ended(ports) == ["succeeded"] * 3


def test_a_token_that_no_key_opens_is_gone_but_a_key_that_cannot_be_had_is_waited_for(ports: Ports) -> None:
    at_its_end(ports)

    class Refused:
        def key(self, name: str) -> bytes:
            raise BusinessFailure(f"The key {name} cannot be opened.")

    with pytest.raises(BusinessFailure, match="cannot be opened"):
        complete(replace(ports, keys=Refused()))
    assert len(list(records.opened(ports))) == 3
    ports.blobs.write("secrets", TASK_TOKENS, b"another key, of thirty-two bytes")
    complete(ports)
    assert ended(ports) == ["gone"] * 3


def test_texts_that_cannot_be_made_keep_nobody_waiting(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    chain = at_its_end(ports)
    ports.blobs.append("chains", f"{chain}/log.jsonl", b"no line of a log\n")
    with caplog.at_level(logging.ERROR):
        complete(ports)
    assert ended(ports) == ["succeeded"] * 3
    assert f"/api/chains/{chain}" in ports.pipelines.finished[instance(1)].log  # type: ignore[attr-defined]
    assert "is completed without its log" in caplog.text


def test_texts_that_cannot_be_made_for_now_are_waited_for(ports: Ports) -> None:
    at_its_end(ports)

    class Away:
        """The container of the reports cannot be reached."""

        def __getattr__(self, name: str) -> object:
            return getattr(ports.blobs, name)

        def read(self, container: str, name: str) -> bytes:
            if container == "reports":
                raise Transient("the storage account is away")
            return ports.blobs.read(container, name)

    with pytest.raises(Transient, match="is away"):
        complete(replace(ports, blobs=Away()))  # type: ignore[arg-type]
    assert ended(ports) == ["succeeded"], "the check needs no texts"
    complete(ports)
    assert ended(ports) == ["succeeded"] * 3


def test_at_the_last_attempt_nothing_but_the_completion_is_sent(ports: Ports) -> None:
    at_its_end(ports)
    complete(ports, last=True)
    told = ports.pipelines.finished[instance(1)]  # type: ignore[attr-defined]
    assert (told.succeeded, told.log, told.summary) == (True, "", "")
