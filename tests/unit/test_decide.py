"""The chain's state machine, as a story: feed an event, look at the state and at what is ordered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.assets import AssetRef
from shared.chain.decide import decide
from shared.chain.messages import (
    ApprovalAnswered,
    ApprovalReminderDue,
    ApprovalRequested,
    ApprovalTerms,
    ApprovalTimedOut,
    CancelRequested,
    Candidate,
    ChainKind,
    ChainPrepared,
    ChainRequest,
    ChainRequested,
    ChainSuperseded,
    CommandFailed,
    DataRegistered,
    DatasetUpload,
    DeploymentFailed,
    DeploymentReady,
    EndpointTested,
    EvaluationFinished,
    FlowRegistered,
    GatesChecked,
    IdleRemoved,
    IntegrationTested,
    Notified,
    ReportBuilt,
    ReportPublished,
    RolledBack,
    RunFinished,
    RunsCancelled,
    TrafficShifted,
    Verdict,
)
from shared.chain.state import Chain, ChainStatus, Step, StepStatus

T0 = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
EVIDENCE = "e" * 64
BUNDLE = "b" * 64


class Story:
    """A chain, and everything that it was told and has ordered."""

    def __init__(self, kind: ChainKind, **request: object) -> None:
        self.now = T0
        self.ordered: list[object] = []
        self.scheduled: list[tuple[datetime, object]] = []
        self.log: list[str] = []
        self.chain: Chain | None = None
        self.stale = ""
        asked = ChainRequest(request_id="r1", kind=kind, use_case="ticket_triage", **request)
        self.tell(ChainRequested(id="c/answer", chain="c", at=self.now, request=asked))

    def tell(self, event) -> Story:
        decision = decide(self.chain, event)
        self.stale = decision.stale
        if not decision.stale:
            self.chain = decision.chain
            self.log += [entry.text for entry in decision.chain.journal]
            self.chain = self.chain.model_copy(update={"journal": ()})
            for outgoing in decision.messages:
                if outgoing.due:
                    self.scheduled.append((outgoing.due, outgoing.message))
                else:
                    self.ordered.append(outgoing.message)
        return self

    def order(self, name: str, nth: int = -1):
        return [m for m in self.ordered if type(m).__name__ == name][nth]

    def answer(self, command_name: str, event_type, nth: int = -1, **fields) -> Story:
        command = self.order(command_name, nth)
        self.now += timedelta(seconds=1)
        return self.tell(event_type(id=f"{command.id}/answer", chain="c", at=self.now, cause=command.id, **fields))

    def event(self, event_type, **fields) -> Story:
        self.now += timedelta(seconds=1)
        return self.tell(event_type(id=f"x{self.now}", chain="c", at=self.now, **fields))

    def prepared(self, cells=2, in_flight=8, deploys=True, reminder=30) -> Story:
        return self.answer(
            "PrepareChain",
            ChainPrepared,
            bundle=BUNDLE,
            cells=cells,
            cells_in_flight=in_flight,
            has_gates=True,
            deploys=deploys,
            approval=ApprovalTerms(approvers=("ada", "ben"), timeout_minutes=60, reminder_minutes=reminder),
            evidence=BUNDLE,
        )

    def all_runs_evaluated(self, evaluators=("quality",)) -> Story:
        for n, command in enumerate([m for m in self.ordered if type(m).__name__ == "RunCell"]):
            self.answer("RunCell", RunFinished, n, cell=command.cell, succeeded=True, evaluators=evaluators)
        for n, command in enumerate([m for m in self.ordered if type(m).__name__ == "EvaluateRun"]):
            self.answer(
                "EvaluateRun", EvaluationFinished, n, cell=command.cell, evaluator=command.evaluator, succeeded=True
            )
        return self

    def to_approval(self) -> Story:
        flow = AssetRef(name="ticket_triage", version="1")
        self.prepared().answer("RegisterData", DataRegistered, assets=(flow,), created=(flow,))
        self.all_runs_evaluated()
        self.answer("CheckGates", GatesChecked, candidate=Candidate(label="default", cell=0))
        self.answer("BuildReport", ReportBuilt, evidence=EVIDENCE, blob="c/report.html")
        return self.answer("RegisterFlow", FlowRegistered, flow=flow, created=True)

    def to_deployment(self) -> Story:
        self.to_approval().answer("RequestApproval", ApprovalRequested)
        return self.event(ApprovalAnswered, approver="ada", verdict=Verdict.APPROVED, evidence=EVIDENCE, comment="good")

    def to_integration_test(self) -> Story:
        self.to_deployment().answer(
            "Deploy", DeploymentReady, endpoint="e", deployment="v2", created=True, traffic_before={"v1": 100}
        )
        self.answer("RunEndpointTest", EndpointTested, passed=True, detail="200")
        return self.answer("ShiftTraffic", TrafficShifted, traffic={"v1": 90, "v2": 10})

    def step(self, step: Step):
        return next(s for s in self.chain.steps if s.step is step)


def test_a_ci_chain_walks_its_plan_from_request_to_result():
    story = Story(ChainKind.CI).to_integration_test()
    story.answer("RunIntegrationTest", IntegrationTested, passed=True, detail="5 calls")
    story.answer("RemoveIdle", IdleRemoved, removed=("v0",))
    story.answer("PublishReport", ReportPublished, blob="c/report.html")
    assert story.chain.status is ChainStatus.RUNNING
    story.answer("FinishTask", Notified)

    assert story.chain.status is ChainStatus.SUCCEEDED
    assert {s.step for s in story.chain.steps if s.status is StepStatus.SKIPPED} == {Step.CANCELLATION, Step.ROLLBACK}
    assert all(s.status in (StepStatus.DONE, StepStatus.SKIPPED) for s in story.chain.steps)
    assert story.chain.deployment.traffic == {"v1": 90, "v2": 10}
    assert story.log[-1] == "The chain ended: succeeded."
    assert story.chain.awaiting == {}


def test_only_so_many_cells_are_in_flight_and_the_next_follows_when_one_ends():
    story = Story(ChainKind.PR).prepared(cells=5, in_flight=2)
    assert [m.cell for m in story.ordered[1:]] == [0, 1]
    story.answer("RunCell", RunFinished, 1, cell=1, succeeded=True, evaluators=())
    assert story.order("RunCell").cell == 2
    assert len(story.chain.awaiting) == 2


def test_an_evaluation_is_ordered_as_soon_as_its_run_has_ended():
    story = Story(ChainKind.PR).prepared(cells=2)
    story.answer("RunCell", RunFinished, 0, cell=0, succeeded=True, evaluators=("a", "b"))
    assert [m.evaluator for m in story.ordered if type(m).__name__ == "EvaluateRun"] == ["a", "b"]
    assert story.chain.step.step is Step.EXPERIMENTATION


def test_a_failed_run_lets_the_others_end_then_fails_the_chain_with_a_report():
    story = Story(ChainKind.PR, pull_request=7).prepared(cells=2)
    story.answer("RunCell", RunFinished, 0, cell=0, succeeded=False, reason="3 of 40 lines failed")
    story.answer("RunCell", RunFinished, 1, cell=1, succeeded=True, evaluators=("a",))
    story.answer("EvaluateRun", EvaluationFinished, cell=1, evaluator="a", succeeded=True)
    assert story.chain.outcome is ChainStatus.FAILED
    assert "1 of 2 runs failed" in story.chain.reason
    story.answer("BuildReport", ReportBuilt, evidence=EVIDENCE, blob="r")
    story.answer("CommentPullRequest", Notified).answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.FAILED
    assert "Run 0 failed: 3 of 40 lines failed" in story.log
    assert story.step(Step.GATES).status is StepStatus.SKIPPED


def test_a_run_that_can_never_be_made_counts_as_failed_and_the_rest_goes_on():
    story = Story(ChainKind.PR).prepared(cells=2, in_flight=1)
    story.answer("RunCell", CommandFailed, reason="the flow imports a missing package")
    assert story.order("RunCell").cell == 1
    story.answer("RunCell", RunFinished, cell=1, succeeded=True)
    assert story.chain.outcome is ChainStatus.FAILED
    assert story.chain.progress.runs_failed == 1


def test_a_missed_gate_fails_the_chain_but_the_report_is_built_and_nothing_is_registered():
    story = Story(ChainKind.CI).prepared()
    asset = AssetRef(name="d", version="1")
    story.answer("RegisterData", DataRegistered, assets=(asset,), created=()).all_runs_evaluated()
    story.answer("CheckGates", GatesChecked, candidate=Candidate(label="x", cell=0), missed=("accuracy is 0.5",))
    assert type(story.ordered[-1]).__name__ == "BuildReport"
    story.answer("BuildReport", ReportBuilt, evidence=EVIDENCE, blob="r")
    assert type(story.ordered[-1]).__name__ == "PublishReport"
    story.answer("PublishReport", ReportPublished, blob="r").answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.FAILED
    assert story.chain.reason == "1 gate missed: accuracy is 0.5"
    assert not [m for m in story.ordered if type(m).__name__ in {"RegisterFlow", "RequestApproval", "Deploy"}]


def test_a_ci_chain_whose_use_case_does_not_deploy_stops_after_registration():
    story = Story(ChainKind.CI).prepared(deploys=False)
    asset = AssetRef(name="d", version="1")
    story.answer("RegisterData", DataRegistered, assets=(asset,), created=()).all_runs_evaluated()
    story.answer("CheckGates", GatesChecked, candidate=Candidate(label="x", cell=0))
    story.answer("BuildReport", ReportBuilt, evidence=EVIDENCE, blob="r")
    story.answer("RegisterFlow", FlowRegistered, flow=asset, created=True)
    assert type(story.ordered[-1]).__name__ == "PublishReport"
    assert story.chain.approval is None


def test_known_content_ends_a_dataset_chain_before_anything_is_run():
    upload = DatasetUpload(name="web", blob="ticket_triage/web/x.jsonl")
    story = Story(ChainKind.DATASET, dataset=upload).prepared()
    asset = AssetRef(name="web", version="3")
    story.answer("RegisterData", DataRegistered, assets=(asset,), created=())
    assert type(story.ordered[-1]).__name__ == "FinishTask"
    story.answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.SUCCEEDED
    assert "known as web version 3" in story.chain.reason
    assert not [m for m in story.ordered if type(m).__name__ == "RunCell"]


def test_a_regression_on_a_new_dataset_fails_the_chain_and_alerts():
    upload = DatasetUpload(name="web", blob="ticket_triage/web/x.jsonl")
    story = Story(ChainKind.DATASET, dataset=upload).prepared(cells=1)
    asset = AssetRef(name="web", version="3")
    story.answer("RegisterData", DataRegistered, assets=(asset,), created=(asset,)).all_runs_evaluated()
    story.answer("CheckGates", GatesChecked, candidate=None, missed=("f1 fell",), regressions=("f1 fell",))
    story.answer("BuildReport", ReportBuilt, evidence=EVIDENCE, blob="r").answer("SendAlert", Notified)
    story.answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.FAILED


def test_approval_is_asked_for_with_a_reminder_and_a_deadline():
    story = Story(ChainKind.CI).to_approval()
    assert story.chain.status is ChainStatus.AWAITING_APPROVAL
    assert story.chain.approval.deadline == story.now + timedelta(minutes=60)
    (reminder_due, reminder), (timeout_due, timeout) = story.scheduled
    assert isinstance(reminder, ApprovalReminderDue)
    assert reminder_due == story.now + timedelta(minutes=30)
    assert isinstance(timeout, ApprovalTimedOut)
    assert timeout_due == story.chain.approval.deadline == timeout.at
    story.tell(reminder)
    assert type(story.ordered[-1]).__name__ == "RemindApprovers"
    assert story.tell(reminder).stale == "the approvers were reminded already"


def test_the_first_answer_decides_and_a_later_one_changes_nothing():
    story = Story(ChainKind.CI).to_deployment()
    story.event(ApprovalAnswered, approver="ben", verdict=Verdict.REJECTED, evidence=EVIDENCE)
    assert story.stale == "ada has decided already: approved"
    assert story.chain.approval.decided_by == "ada"
    assert story.chain.approval.comment == "good"
    assert type(story.ordered[-1]).__name__ == "Deploy"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"approver": "eve", "evidence": EVIDENCE}, "eve is not an approver of this chain"),
        ({"approver": "ada", "evidence": "0" * 64}, "the answer speaks of other evidence"),
    ],
)
def test_an_answer_that_does_not_count_is_refused(fields, why):
    story = Story(ChainKind.CI).to_approval()
    story.event(ApprovalAnswered, verdict=Verdict.APPROVED, **fields)
    assert story.stale == why
    assert story.chain.status is ChainStatus.AWAITING_APPROVAL


def test_an_answer_after_a_cancellation_changes_nothing_and_the_pipeline_is_told():
    story = Story(ChainKind.CI).to_approval().event(CancelRequested, by="ada")
    assert type(story.ordered[-1]).__name__ == "FinishTask"
    for event, fields in (
        (ApprovalAnswered, {"approver": "ben", "verdict": Verdict.APPROVED}),
        (ApprovalReminderDue, {}),
        (ApprovalTimedOut, {}),
    ):
        story.event(event, evidence=EVIDENCE, **fields)
        assert story.stale == "the chain no longer waits for approval: it is ending as cancelled"
    story.answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.CANCELLED


def test_slow_evaluations_hold_further_cells_back():
    story = Story(ChainKind.PR).prepared(cells=100, in_flight=2)
    for n in range(100):
        if len([m for m in story.ordered if type(m).__name__ == "RunCell"]) <= n:
            break
        story.answer("RunCell", RunFinished, n, cell=n, succeeded=True, evaluators=("a", "b", "c"))
    assert len(story.chain.awaiting) <= 2 * 4 + 2 * 3
    ordered = len([m for m in story.ordered if type(m).__name__ == "RunCell"])
    assert ordered < 100
    for n, command in enumerate([m for m in story.ordered if type(m).__name__ == "EvaluateRun"]):
        fields = {"cell": command.cell, "evaluator": command.evaluator, "succeeded": True}
        story.answer("EvaluateRun", EvaluationFinished, n, **fields)
    assert len([m for m in story.ordered if type(m).__name__ == "RunCell"]) > ordered


def test_no_answer_in_time_is_a_rejection():
    story = Story(ChainKind.CI).to_approval()
    timeout = story.scheduled[-1][1]
    early = timeout.model_copy(update={"at": timeout.at - timedelta(minutes=1)})
    assert story.tell(early).stale
    story.tell(timeout)
    assert story.chain.approval.decided_by == "timeout"
    assert story.chain.outcome is ChainStatus.REJECTED
    assert "Nobody answered within 60 minutes" in story.chain.reason
    story.answer("PublishReport", ReportPublished, blob="r").answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.REJECTED


def test_a_failed_integration_test_rolls_back():
    story = Story(ChainKind.CI).to_integration_test()
    story.answer("RunIntegrationTest", IntegrationTested, passed=False, detail="call 3 answered 500")
    assert type(story.ordered[-1]).__name__ == "RollBack"
    story.answer("RollBack", RolledBack, traffic={"v1": 100})
    story.answer("PublishReport", ReportPublished, blob="r").answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.FAILED
    assert story.chain.reason == "The integration test failed: call 3 answered 500"
    assert story.chain.deployment.traffic == {"v1": 100}


def test_a_failed_deployment_is_rolled_back_too_since_something_may_be_left():
    story = Story(ChainKind.CI).to_deployment().answer("Deploy", DeploymentFailed, reason="the flow does not load")
    assert type(story.ordered[-1]).__name__ == "RollBack"


def test_cancelling_a_run_stops_it_at_once_and_late_answers_are_stale():
    story = Story(ChainKind.CI).prepared()
    asset = AssetRef(name="d", version="1")
    story.answer("RegisterData", DataRegistered, assets=(asset,), created=())
    story.event(CancelRequested, by="ada", reason="wrong branch")
    assert type(story.ordered[-1]).__name__ == "CancelRuns"
    story.answer("RunCell", RunFinished, 0, cell=0, succeeded=True)
    assert "does not await" in story.stale
    story.answer("CancelRuns", RunsCancelled).answer("FinishTask", Notified)
    assert story.chain.status is ChainStatus.CANCELLED
    assert story.event(CancelRequested, by="ada").stale == "the chain has ended as cancelled"


def test_cancelling_while_an_endpoint_changes_waits_for_the_answer_and_rolls_back():
    story = Story(ChainKind.CI).to_deployment().event(CancelRequested, by="ada")
    assert type(story.ordered[-1]).__name__ == "Deploy"
    story.answer("Deploy", DeploymentReady, endpoint="e", deployment="v2", created=True, traffic_before={})
    assert type(story.ordered[-1]).__name__ == "RollBack"


def test_a_newer_commit_supersedes_a_chain_that_waits_for_approval_but_none_that_has_passed_it():
    waiting = Story(ChainKind.CI).to_approval().event(ChainSuperseded, by="newer")
    waiting.answer("FinishTask", Notified)
    assert waiting.chain.status is ChainStatus.SUPERSEDED
    passed = Story(ChainKind.CI).to_deployment().event(ChainSuperseded, by="newer")
    assert passed.stale == "the chain has passed its approval"


def test_an_invalid_use_case_fails_the_chain_with_its_problems_and_still_tells_the_pipeline():
    story = Story(ChainKind.CI).answer("PrepareChain", CommandFailed, reason="experiment.yaml:3: flow: no such folder")
    assert type(story.ordered[-1]).__name__ == "FinishTask"
    story.answer("FinishTask", CommandFailed, reason="the notifier is down")
    assert story.chain.status is ChainStatus.FAILED
    assert story.chain.reason == "experiment.yaml:3: flow: no such folder"


def test_an_answer_of_the_wrong_type_changes_nothing():
    story = Story(ChainKind.CI).answer("PrepareChain", Notified)
    assert story.stale == "a PrepareChain is not answered by Notified"
    assert story.chain.step.step is Step.PREPARATION


def test_a_report_that_cannot_be_built_fails_a_chain_that_needs_its_evidence():
    story = Story(ChainKind.CI).prepared()
    asset = AssetRef(name="d", version="1")
    story.answer("RegisterData", DataRegistered, assets=(asset,), created=()).all_runs_evaluated()
    story.answer("CheckGates", GatesChecked, candidate=Candidate(label="x", cell=0))
    story.answer("BuildReport", CommandFailed, reason="disk full")
    assert story.chain.outcome is ChainStatus.FAILED
    assert not [m for m in story.ordered if type(m).__name__ == "RegisterFlow"]


def test_an_answer_after_the_deadline_does_not_count_even_if_the_time_out_comes_later():
    story = Story(ChainKind.CI).to_approval()
    story.now = story.chain.approval.deadline
    story.event(ApprovalAnswered, approver="ada", verdict=Verdict.APPROVED, evidence=EVIDENCE)
    assert "after the deadline" in story.stale
    story.tell(story.scheduled[-1][1])
    assert story.chain.outcome is ChainStatus.REJECTED
