"""An approver's answer: recorded once under the name of its link, then put on chain-events.

The record comes first, by a conditional write, so that one link answers once whatever happens later; sending the same
record again is harmless, because the message has the same id. The first answer that reaches the chain wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared import reporting
from shared.approvals import links
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


def give(ports: Ports, chain: Chain, *, approver: str, verdict: Verdict, comment: str = "") -> ApprovalAnswered:
    """Pass an answer on to the chain and return it, or the one that this approver gave before, which stays.

    Raises:
        BusinessFailure: the chain awaits no answer, or not this approver's, or not any more.
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
    now = ports.clock.now()
    if now >= approval.deadline:
        raise BusinessFailure(
            f"The time for an answer passed at {approval.deadline:%Y-%m-%d %H:%M} UTC, which counts as a rejection. "
            "Start a new chain to ask again."
        )
    evidence_of(ports, chain)
    name = links.nonce(links.signing_key(ports), chain.id, approver, approval.evidence)
    answer = ApprovalAnswered(
        id=f"{chain.id}/approval/{name}",
        chain=chain.id,
        at=now,
        approver=approver,
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


def given(ports: Ports, link: links.Link) -> ApprovalAnswered | None:
    """The answer that this link gave, if any."""
    try:
        return _stored(ports, link.chain, link.nonce)
    except NotFound:
        return None


def _stored(ports: Ports, chain: str, name: str) -> ApprovalAnswered:
    return ApprovalAnswered.model_validate_json(ports.blobs.read(CONTAINER, f"{chain}/{name}.json"))
