"""What an approval event means for a chain: who may answer, which answer counts, what silence means. Pure.

Only a chain that waits for an approval takes one: after a decision, a time-out, a cancellation or a failure every
answer is too late, and says so.
"""

from __future__ import annotations

from shared.chain.messages import (
    ApprovalAnswered,
    ApprovalReminderDue,
    ApprovalTimedOut,
    RemindApprovers,
    Verdict,
)
from shared.chain.state import ApprovalState, ChainStatus
from shared.chain.walk import Walk


class ApprovalRules(Walk):
    """The approval's part of a decision. Each rule returns why the event changes nothing, or an empty text."""

    @property
    def approval(self) -> ApprovalState:
        """The approval that the chain asked for."""
        assert self.chain.approval is not None  # set on entering the approval step
        return self.chain.approval

    def waits_for_nobody(self) -> str:
        """Why no approval event counts now; empty while the chain waits for an answer."""
        approval = self.chain.approval
        if approval is None:
            return "the chain has not asked for approval"
        if approval.verdict is not None:
            return f"{approval.decided_by} has decided already: {approval.verdict}"
        if self.chain.status is not ChainStatus.AWAITING_APPROVAL:
            return f"the chain no longer waits for approval: it is ending as {self.chain.outcome}"
        return ""

    def approval_answered(self, event: ApprovalAnswered) -> str:
        if refusal := self.waits_for_nobody():
            return refusal
        approval = self.approval
        if event.evidence != approval.evidence:
            return "the answer speaks of other evidence"
        if event.at >= approval.deadline:
            return f"the answer came after the deadline, {approval.deadline:%Y-%m-%d %H:%M} UTC"
        if event.approver not in approval.approvers:
            return f"{event.approver} is not an approver of this chain"
        self.decided(event.verdict, event.approver, event.comment)
        return ""

    def remind(self, event: ApprovalReminderDue) -> str:
        if refusal := self.waits_for_nobody():
            return refusal
        approval = self.approval
        if event.evidence != approval.evidence:
            return "the reminder speaks of other evidence"
        if approval.reminded:
            return "the approvers were reminded already"
        self.set(approval=approval.model_copy(update={"reminded": True}))
        self.order(RemindApprovers)
        return ""

    def approval_timed_out(self, event: ApprovalTimedOut) -> str:
        if refusal := self.waits_for_nobody():
            return refusal
        approval = self.approval
        if event.evidence != approval.evidence:
            return "the time-out speaks of other evidence"
        if event.at < approval.deadline:
            return f"there is time until {approval.deadline:%H:%M:%S} UTC"
        self.decided(Verdict.REJECTED, "timeout", "")
        return ""

    def decided(self, verdict: Verdict, by: str, comment: str) -> None:
        decision = {"verdict": verdict, "decided_by": by, "decided_at": self.at, "comment": comment}
        self.set(approval=self.approval.model_copy(update=decision), status=ChainStatus.RUNNING, awaiting={})
        said = f": {comment}" if comment else ""
        if verdict is Verdict.APPROVED:
            self.end_step(f"approved by {by}{said}")
        elif by == "timeout":
            minutes = (self.approval.deadline - self.approval.requested_at).total_seconds() / 60
            self.fail_step(
                f"Nobody answered within {minutes:g} minutes, which counts as a rejection.", ChainStatus.REJECTED
            )
        else:
            self.fail_step(f"Rejected by {by}{said}", ChainStatus.REJECTED)
