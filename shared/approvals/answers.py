"""An approver's answer: recorded once for each person, then put on chain-events.

The record comes first, by a conditional write, so that one person answers once whatever happens later; sending the same
record again is harmless, because the message has the same id. A person is whoever is signed in, else whose link it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared import reporting
from shared.approvals import links
from shared.chain.approving import may_approve
from shared.chain.messages import ApprovalAnswered, Verdict
from shared.chain.state import Chain, ChainStatus
from shared.envelopes import send_event
from shared.errors import BusinessFailure, Conflict, NotFound
from shared.reporting import evidence

if TYPE_CHECKING:
    from shared.ports import Ports

CONTAINER: Final = "approvals"
COMMENT_LIMIT: Final = 2_000
"""Characters."""


def give(
    ports: Ports, chain: Chain, *, approver: str, verdict: Verdict, comment: str = "", signed_in: str | None = None
) -> ApprovalAnswered:
    """Pass an answer on to the chain and return it, or the one that this person gave before, which stays.

    Raises:
        BusinessFailure: the chain awaits no answer, or not this approver's, or not any more.
        SelfApproval: who asked for the chain wants to approve it.
        StaleEvidence: the evidence is not what the approver was asked about.
    """
    approval = links.approval_of(chain)
    if approval.verdict is not None:
        raise BusinessFailure(f"It was decided already: {approval.verdict.value} by {approval.decided_by}.")
    if chain.status is not ChainStatus.AWAITING_APPROVAL:
        ending = chain.outcome or chain.status
        raise BusinessFailure(f"The chain {chain.id} no longer waits for an answer: it ends as {ending.value}.")
    if approver not in approval.approvers:
        raise BusinessFailure(
            f"{approver} is not an approver of this chain; they are: {', '.join(approval.approvers)}."
        )
    if verdict is Verdict.APPROVED and not may_approve(chain, approver, signed_in):
        raise SelfApproval(
            f"{signed_in or approver} asked for this chain and may not approve it: somebody else must. "
            "You may still reject it."
        )
    now = ports.clock.now()
    if now >= approval.deadline:
        raise BusinessFailure(
            f"The time for an answer passed at {approval.deadline:%Y-%m-%d %H:%M} UTC, which counts as a rejection. "
            "Start a new chain to ask again."
        )
    evidence_of(ports, chain)
    name = _name(ports, chain, approver, signed_in)
    answer = ApprovalAnswered(
        id=f"{chain.id}/approval/{name}",
        chain=chain.id,
        at=now,
        approver=approver,
        signed_in=signed_in,
        verdict=verdict,
        comment=comment[:COMMENT_LIMIT],
        evidence=approval.evidence,
    )
    try:
        ports.blobs.write(CONTAINER, f"{chain.id}/{name}.json", answer.model_dump_json().encode(), if_absent=True)
    except Conflict:
        answer = _stored(ports, chain.id, name)
    # Also where the record was there: a crash may have come between its write and its message.
    send_event(ports, answer)
    return answer


class SelfApproval(BusinessFailure):
    """Who asked for a chain may not approve it."""


class StaleEvidence(BusinessFailure):
    """The stored evidence is not what the approval was asked for."""


def evidence_of(ports: Ports, chain: Chain) -> bytes | None:
    """The evidence that is to be approved; None for a chain that has no report.

    Raises:
        StaleEvidence: the results changed after the approval was asked for.
    """
    try:
        content = ports.blobs.read(reporting.CONTAINER, f"{chain.id}/{evidence.BLOB}")
    except NotFound:
        return None
    if evidence.digest(content) != links.approval_of(chain).evidence:
        raise StaleEvidence("The results changed after the approval was asked for, so that you would approve others.")
    return content


def given(ports: Ports, chain: Chain, approver: str, signed_in: str | None = None) -> ApprovalAnswered | None:
    """The answer that this person gave, if any."""
    try:
        return _stored(ports, chain.id, _name(ports, chain, approver, signed_in))
    except NotFound:
        return None


def _name(ports: Ports, chain: Chain, approver: str, signed_in: str | None) -> str:
    """Names the one answer of this person."""
    person = approver if signed_in is None else f"signed in\n{signed_in.strip().casefold()}"
    return links.nonce(links.signing_key(ports), chain.id, person, links.approval_of(chain).evidence)


def _stored(ports: Ports, chain: str, name: str) -> ApprovalAnswered:
    return ApprovalAnswered.model_validate_json(ports.blobs.read(CONTAINER, f"{chain}/{name}.json"))
