"""`decide(chain, event)`: the chain's state machine. Pure and total: no I/O, no clock, an answer for every pair.

The rules:

1. A chain begins with ChainRequested and walks the steps of its kind's plan in order. A step that is not wanted is
   skipped (`plans.wanted`).
2. Entering a step orders its command; the command's answer ends the step. Experimentation orders several RunCell, a
   bounded number at a time, and an EvaluateRun as soon as a run has ended; evaluation only waits for what is left.
3. An answer whose cause the chain does not await is stale: it changes nothing. So is every event after the end.
4. The first failure fixes the outcome and its reason. Steps that close (cancellation, report, comment, rollback,
   publishing, alert, result) still run; a failure among those is logged and changes nothing.
5. While the chain waits for approval, the answers of approvers to the evidence at hand count: one rejection decides,
   and so do as many approvals of different people as are required. A time-out is a rejection (`approving.py`).
6. A cancellation or a newer chain stops what is under way; while an endpoint is being changed, a cancellation waits for
   the answer and then rolls back. A chain is superseded only before its approval.
7. Times come from events alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from shared.chain.approving import ApprovalRules
from shared.chain.messages import (
    ANSWERS,
    COMMANDS,
    Answer,
    AnyEvent,
    ApprovalAnswered,
    ApprovalReminderDue,
    ApprovalRequested,
    ApprovalTimedOut,
    CancelRequested,
    ChainPrepared,
    ChainRequested,
    ChainSuperseded,
    CommandFailed,
    DataRegistered,
    DeploymentFailed,
    DeploymentReady,
    EndpointTested,
    EvaluateRun,
    EvaluationFinished,
    FlowRegistered,
    GatesChecked,
    IdleRemoved,
    ImportLog,
    IntegrationTested,
    Notified,
    RemindApprovers,
    ReportBuilt,
    ReportPublished,
    RolledBack,
    RunCell,
    RunFinished,
    RunsCancelled,
    TrafficShifted,
)
from shared.chain.plans import PLANS
from shared.chain.state import (
    Chain,
    ChainStatus,
    DeploymentRecord,
    Outgoing,
    Progress,
    StepState,
)
from shared.chain.walk import counted, split_in_words


@dataclass(frozen=True)
class Decision:
    """What `decide` says: the new state and what is to be sent, or why nothing changes."""

    chain: Chain | None
    messages: tuple[Outgoing, ...] = ()
    stale: str = ""
    """Why the event changes nothing; empty where it does."""


def decide(chain: Chain | None, event: AnyEvent) -> Decision:
    """Answer an event. See the rules at the head of this file."""
    if chain is None:
        if isinstance(event, ChainRequested):
            return _Answering.begin(event).decision()
        return Decision(None, stale=f"there is no chain {event.chain}")
    if isinstance(event, ChainRequested):
        return Decision(chain, stale="the chain has begun already")
    if chain.status.is_final:
        return Decision(chain, stale=f"the chain has ended as {chain.status}")
    if isinstance(event, Answer) and event.cause not in chain.awaiting:
        return Decision(chain, stale=f"the chain does not await an answer to {event.cause}")
    walk = _Answering(chain, event.at)
    refusal = walk.take(event)
    return Decision(chain, stale=refusal) if refusal else walk.decision()


class _Answering(ApprovalRules):
    """What each event means for the chain."""

    @classmethod
    def begin(cls, event: ChainRequested) -> _Answering:
        request = event.request
        chain = Chain(
            id=event.chain,
            request=request,
            status=ChainStatus.RUNNING,
            steps=tuple(StepState(step=step) for step in PLANS[request.kind]),
            created_at=event.at,
            updated_at=event.at,
        )
        walk = cls(chain, event.at)
        by = f" by {request.requester}" if request.requester else ""
        of = f" for commit {request.commit[:12]}" if request.commit else ""
        walk.log(f"A {request.kind} chain of {request.use_case} ({request.environment}) was requested{by}{of}.")
        walk.walk_on()
        return walk

    def decision(self) -> Decision:
        return Decision(self.chain, tuple(self.messages))

    # ------------------------------------------------------------------------------------------------------- events

    def take(self, event: AnyEvent) -> str:
        """Apply the event; return why it changes nothing, or an empty text."""
        ordered = ""
        if isinstance(event, Answer):
            ordered = self.chain.awaiting[event.cause]
            if type(event) not in ANSWERS[COMMANDS[ordered]]:
                return f"a {ordered} is not answered by {event.type}"
            self.answered(event.cause)
        match event:
            case ChainPrepared():
                self.set(
                    bundle=event.bundle,
                    has_gates=event.has_gates,
                    deploys=event.deploys,
                    terms=event.approval,
                    evidence=event.evidence,
                    flow=event.flow,
                    progress=Progress(cells=event.cells, cells_in_flight=event.cells_in_flight),
                )
                for note in event.notes:
                    self.log(note, "warning")
                planned = (
                    f"{event.flow.name} version {event.flow.version}"
                    if event.flow
                    else f"{counted(event.cells, 'run')} planned"
                )
                self.end_step(f"{planned}, bundle {event.bundle[:12]}")
            case DataRegistered():
                self.data_registered(event)
            case RunFinished():
                self.run_finished(event)
            case EvaluationFinished():
                self.evaluation_finished(event)
            case RunsCancelled():
                self.end_step("what ran was stopped")
            case GatesChecked():
                self.gates_checked(event)
            case ReportBuilt():
                self.set(report=event.blob, evidence=event.evidence)
                self.end_step(f"built, evidence {event.evidence[:12]}")
            case FlowRegistered():
                self.set(flow=event.flow)
                known = "registered" if event.created else "was registered before with the same content"
                self.end_step(f"{event.flow.name} version {event.flow.version} {known}")
            case ApprovalRequested():
                needed = f" {self.approval.required} approvals are needed." if self.approval.required > 1 else ""
                self.log(f"Approval was requested from {', '.join(self.approval.approvers)}.{needed}")
            case ApprovalAnswered():
                return self.approval_answered(event)
            case ApprovalReminderDue():
                return self.remind(event)
            case ApprovalTimedOut():
                return self.approval_timed_out(event)
            case DeploymentReady():
                self.deployment_ready(event)
            case DeploymentFailed():
                self.fail_step(f"The deployment failed: {event.reason}")
            case EndpointTested():
                self.tested("endpoint test", passed=event.passed, detail=event.detail)
            case TrafficShifted():
                self.traffic_is(event.traffic)
                self.end_step(split_in_words(event.traffic))
            case IntegrationTested():
                self.tested("integration test", passed=event.passed, detail=event.detail)
            case IdleRemoved():
                self.end_step("removed " + ", ".join(event.removed) if event.removed else "nothing to remove")
            case RolledBack():
                self.traffic_is(event.traffic)
                self.end_step(f"traffic is {split_in_words(event.traffic)}")
            case ReportPublished():
                self.set(report=event.blob)
                self.end_step(event.blob)
            case Notified():
                if ordered == RemindApprovers.__name__:
                    self.log("The approvers were reminded.")
                else:
                    self.end_step("")
            case CommandFailed():
                self.command_failed(ordered, event.reason)
            case CancelRequested():
                return self.cancel(event)
            case ChainSuperseded():
                return self.superseded(event)
            case ChainRequested():
                return "the chain has begun already"
            case _:
                assert_never(event)
        return ""

    def data_registered(self, event: DataRegistered) -> None:
        self.set(data=event.assets, created_data=event.created)
        created = ", ".join(f"{asset.name} version {asset.version}" for asset in event.created)
        self.end_step(f"registered {created}" if created else "all content was known", walk_on=False)
        if self.chain.request.dataset is not None and not event.created:
            known = ", ".join(f"{asset.name} version {asset.version}" for asset in event.assets)
            self.close(
                ChainStatus.SUCCEEDED, f"The uploaded content is known as {known}: nothing is registered or run."
            )
        self.walk_on()

    def run_finished(self, event: RunFinished) -> None:
        progress = self.chain.progress
        if event.succeeded:
            self.progress(runs_completed=progress.runs_completed + 1)
            for evaluator in event.evaluators:
                self.order(EvaluateRun, cell=event.cell, evaluator=evaluator)
            self.progress(evaluations_started=progress.evaluations_started + len(event.evaluators))
            if event.reason:
                self.log(f"Run {event.cell}: {event.reason}", "warning")
        else:
            self.progress(runs_failed=progress.runs_failed + 1)
            self.log(f"Run {event.cell} failed: {event.reason}", "error")
        self.order_cells()
        self.end_runs_if_done()

    def evaluation_finished(self, event: EvaluationFinished) -> None:
        progress = self.chain.progress
        if event.succeeded:
            self.progress(evaluations_completed=progress.evaluations_completed + 1)
            if event.reason:
                self.log(f"Evaluator {event.evaluator} on run {event.cell}: {event.reason}", "warning")
        else:
            self.progress(evaluations_failed=progress.evaluations_failed + 1)
            self.log(f"Evaluator {event.evaluator} failed on run {event.cell}: {event.reason}", "error")
        self.evaluation_ended()

    def gates_checked(self, event: GatesChecked) -> None:
        self.set(candidate=event.candidate, missed_gates=event.missed, regressions=event.regressions)
        if event.missed:
            for sentence in event.missed:
                self.log(f"Gate missed: {sentence}", "error")
            self.fail_step(f"{counted(len(event.missed), 'gate')} missed: {event.missed[0]}")
        else:
            chosen = f"the candidate is {event.candidate.label}" if event.candidate else "there is no candidate"
            self.end_step(f"{'all gates held' if self.chain.has_gates else 'no gates'}, {chosen}")

    def deployment_ready(self, event: DeploymentReady) -> None:
        self.set(
            deployment=DeploymentRecord(
                endpoint=event.endpoint,
                deployment=event.deployment,
                created=event.created,
                traffic_before=event.traffic_before,
                traffic=event.traffic_before,
            ),
        )
        known = "is ready at 0 % traffic" if event.created else "was there already"
        self.end_step(f"{event.deployment} on {event.endpoint} {known}")

    def tested(self, what: str, *, passed: bool, detail: str) -> None:
        if passed:
            self.end_step(detail)
        else:
            self.fail_step(f"The {what} failed: {detail}")

    def command_failed(self, command: str, reason: str) -> None:
        progress = self.chain.progress
        match command:
            case RunCell.__name__ | ImportLog.__name__:  # the other cells go on, so that the report has all there is
                self.progress(runs_failed=progress.runs_failed + 1)
                self.log(f"A run could not be made: {reason}", "error")
                self.order_cells()
                self.end_runs_if_done()
            case EvaluateRun.__name__:
                self.progress(evaluations_failed=progress.evaluations_failed + 1)
                self.log(f"An evaluation could not be made: {reason}", "error")
                self.evaluation_ended()
            case RemindApprovers.__name__:
                self.log(f"The approvers could not be reminded: {reason}", "warning")
            case _:
                self.fail_step(reason)

    def cancel(self, event: CancelRequested) -> str:
        if self.chain.outcome is not None:
            return f"the chain is ending already as {self.chain.outcome}"
        reason = f"Cancelled by {event.by}" + (f": {event.reason}" if event.reason else "")
        self.stop(ChainStatus.CANCELLED, reason)
        return ""

    def superseded(self, event: ChainSuperseded) -> str:
        if self.chain.outcome is not None:
            return f"the chain is ending already as {self.chain.outcome}"
        approval = self.chain.approval
        if approval is not None and approval.verdict is not None:
            return "the chain has passed its approval"
        self.stop(ChainStatus.SUPERSEDED, f"Superseded by {event.by}, a newer chain of the same branch.")
        return ""
