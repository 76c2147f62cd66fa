"""What an approval event means for a chain: who may answer, which answer counts, what silence means. Pure.

Approvals of different people are counted until there are as many as are required; one rejection decides at once.
Whoever asked for the chain may reject it, and approve it only where the use case says so. Only a chain that waits for
an approval takes an answer: after a decision, a time-out, a cancellation or a failure every answer is too late, and
says so.
"""

from __future__ import annotations

from shared.chain.messages import (
    ApprovalAnswered,
    ApprovalReminderDue,
    ApprovalTimedOut,
    RemindApprovers,
    Verdict,
)
from shared.chain.state import ApprovalState, Chain, ChainStatus, GivenApproval
from shared.chain.walk import Walk, counted


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: mail addresses and sign-in names are written in any case."""
    return one.strip().casefold() == other.strip().casefold()


def is_requester(chain: Chain, *names: str | None) -> bool:
    """Whether one of these names is that of whoever asked for the chain."""
    requester = chain.request.requester
    return requester is not None and any(name is not None and same_person(name, requester) for name in names)


def may_approve(chain: Chain, *names: str | None) -> bool:
    """Whether the person with these names may approve, beside reject."""
    approval = chain.approval
    return (approval is not None and approval.requester_may_approve) or not is_requester(chain, *names)


def refuses_everybody(
    approvers: tuple[str, ...], groups: int, required: int, requester: str | None, *, requester_may_approve: bool
) -> str:
    """Why these approvers could never approve a chain of this requester; empty where they could.

    Args:
        approvers: the people, without groups.
        groups: the number of groups, where their members sign in; a group of which only the address is known is one of
            the people.
        required: the number of approvals.
        requester: who asked for the chain.
        requester_may_approve: whether that person counts.
    """
    others = {person.strip().casefold() for person in approvers}
    if requester is not None and not requester_may_approve:
        others.discard(requester.strip().casefold())
    if groups or len(others) >= required:
        return ""
    needed = f"it needs {counted(required, 'approval')}" + (" of different people" if required > 1 else "")
    if len(others) == len({person.strip().casefold() for person in approvers}):
        return f"{needed}, and only {len(others)} can give one"
    return f"{needed}, and {requester}, who asked for it, may not give one: {len(others) or 'nobody'} else can"


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
        person = event.signed_in or event.approver
        if event.verdict is Verdict.REJECTED:
            self.decided(Verdict.REJECTED, person, event.comment)
            return ""
        if not may_approve(self.chain, event.approver, event.signed_in):
            return f"{person} asked for this chain and may not approve it"
        if any(same_person(person, given.person) for given in approval.given):
            return f"{person} has approved already; approvals of {approval.required} different people are needed"
        self.approved(GivenApproval(person=person, at=event.at, comment=event.comment))
        return ""

    def approved(self, given: GivenApproval) -> None:
        """One more approval: the last one decides."""
        approval = self.approval.model_copy(update={"given": (*self.approval.given, given)})
        self.set(approval=approval)
        if approval.required > 1:
            said = f": {given.comment}" if given.comment else ""
            self.log(f"{len(approval.given)} of {approval.required} approvals: {given.person}{said}")
        if len(approval.given) >= approval.required:
            self.decided(Verdict.APPROVED, " and ".join(one.person for one in approval.given), given.comment)

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
            given = len(self.approval.given)
            came = f"Only {given} of {self.approval.required} approvals came" if given else "Nobody answered"
            self.fail_step(f"{came} within {minutes:g} minutes, which counts as a rejection.", ChainStatus.REJECTED)
        else:
            self.fail_step(f"Rejected by {by}{said}", ChainStatus.REJECTED)
