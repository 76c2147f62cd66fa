"""Completes tasks: what a task waits for, whether that is known, and telling the service once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.chain.messages import Verdict
from shared.chain.state import Chain, ChainStatus, Step
from shared.errors import BusinessFailure, GenAIOpsError, NotFound, Throttled, Transient, raised_for
from shared.pipeline_tasks import records
from shared.pipeline_tasks.records import OpenTask, WaitsFor

if TYPE_CHECKING:
    from shared.ports import Ports

log = logging.getLogger("genaiops.tasks")


@dataclass(frozen=True)
class Answer:
    """What the task is told in the end."""

    succeeded: bool
    reason: str = ""


def answer_for(chain: Chain, waits_for: WaitsFor) -> Answer | None:
    """What a task is to be told of this chain; None: that is not known yet. Pure."""
    outcome = chain.outcome or (chain.status if chain.status.is_final else None)
    is_over = chain.status.is_final or (chain.step is not None and chain.step.step is Step.RESULT)
    match waits_for:
        case WaitsFor.RESULT:
            return (
                Answer((outcome or ChainStatus.SUCCEEDED) is ChainStatus.SUCCEEDED, chain.reason) if is_over else None
            )
        case WaitsFor.APPROVAL:
            approval = chain.approval
            if approval is not None and approval.verdict is not None:
                said = f"{approval.verdict.value} by {approval.decided_by}"
                return Answer(approval.verdict is Verdict.APPROVED, said)
            if is_over or outcome is not None:
                word = (outcome or ChainStatus.SUCCEEDED).value
                return Answer(succeeded=False, reason=f"The chain ends as {word} without an approval. {chain.reason}")
            return None


def complete(ports: Ports, chain: Chain, *, last: bool = False) -> None:
    """Complete every task that waits for what is known of this chain.

    Args:
        ports: of this process.
        chain: as it is now.
        last: whether the log and the summary are left out: they, and not the completion, may be what fails.

    Raises:
        GenAIOpsError: a passing fault, or the key of the tokens cannot be had; all other tasks were completed, and this
            one's record stays for the next time.
    """
    faults: list[GenAIOpsError] = []
    for record, etag in records.opened(ports, chain.id):
        answer = answer_for(chain, record.waits_for)
        if answer is None:
            continue
        claimed = records.claim(ports, record, etag)
        if claimed is None:
            log.info("%s: the pipeline task %s is being completed by somebody else", chain.id, record.id)
            continue
        try:
            _tell(ports, chain, claimed[0], answer, bare=last)
        except GenAIOpsError as fault:
            records.release(ports, *claimed)
            faults.append(fault)
    if faults:
        raise raised_for(faults)


def _tell(ports: Ports, chain: Chain, record: OpenTask, answer: Answer, *, bare: bool) -> None:
    log_text, summary = ("", "") if bare else _texts(ports, chain, record, answer)
    finish(ports, record, succeeded=answer.succeeded, log_text=log_text, summary=summary)


def finish(ports: Ports, record: OpenTask, *, succeeded: bool, log_text: str, summary: str) -> None:
    """Complete a task that was claimed, and end its record. Raises Throttled or Transient, and as `Keys.key` does."""
    outcome = "succeeded" if succeeded else "failed"
    try:
        task = records.task(ports, record)
    except NotFound as error:
        outcome = _gone(record, error)
    else:
        try:
            ports.pipelines.finish(task, succeeded=succeeded, log=log_text, summary=summary)
            log.info("%s: the pipeline task %s was completed as %s", record.chain, record.id, outcome)
        except (NotFound, BusinessFailure) as error:
            # It was completed before, its pipeline was cancelled, or its token has expired.
            outcome = _gone(record, error)
    records.end(ports, record, outcome)


def _gone(record: OpenTask, error: GenAIOpsError) -> str:
    log.warning("%s: the pipeline task %s cannot be completed: %s", record.chain, record.id, error)
    return "gone"


def _texts(ports: Ports, chain: Chain, record: OpenTask, answer: Answer) -> tuple[str, str]:
    """Log and summary. Raises Throttled or Transient."""
    from shared.notification.final_log import final_log, plain
    from shared.notification.run_page import run_summary

    if record.waits_for is WaitsFor.RESULT:
        try:
            return final_log(ports, chain), run_summary(ports, chain)
        except (Throttled, Transient):
            raise
        except Exception:  # a pipeline must not wait for texts that can never be made
            log.exception("%s: the pipeline task %s is completed without its log", chain.id, record.id)
    return f"{plain(answer.reason, 2_000)}\n{ports.settings.functions_url}/api/chains/{chain.id}\n", ""
