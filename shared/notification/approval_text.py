"""What an approver is told: what would be deployed where, by whose request, how good it is, how many must approve.

It holds neither link nor deadline: each approver has a link of their own, and the channel says until when it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.approvals.links import approval_of
from shared.chain.state import ApprovalState, Chain
from shared.notification import sections
from shared.notification.markdown import bounded, escaped, one_line
from shared.notification.told import Told, read
from shared.pages.words import short
from shared.ports import Ports

LIMIT: Final = 16_000
"""Characters: mail programs cut off long mails."""
_FACT: Final = 120


def approval_text(ports: Ports, chain: Chain) -> str:
    """The notice to approvers, and the reminder, in Markdown. Raises BusinessFailure where there is no approval."""
    return rendered(read(ports, chain, place=True))


def rendered(told: Told) -> str:
    """The notice from what was read. Raises BusinessFailure where nothing is to be approved."""
    approval = approval_of(told.chain)
    return bounded(_sections(told, approval), LIMIT, "The rest is left out for its length; the page has all of it.")


def approval_facts(chain: Chain) -> dict[str, str]:
    """Label → short value, for a card: plain text on one line, to be escaped by whoever renders it as Markdown.

    Raises:
        BusinessFailure: nothing is to be approved.
    """
    approval = approval_of(chain)
    request = chain.request
    found = {
        "Use case": request.use_case,
        "Version": chain.flow.version if chain.flow else "",
        "Environment": request.environment,
        "Candidate": chain.candidate.label if chain.candidate else "",
        "Gates": _gates_in_words(chain),
        "Requested by": request.requester or "",
        "Commit": request.commit[:12] if request.commit else "",
        "Branch": request.branch or "",
        "Approvals needed": _needed(approval),
        "Evidence": short(approval.evidence),
    }
    return {label: one_line(value, _FACT) for label, value in found.items() if value}


def _sections(told: Told, approval: ApprovalState) -> Iterator[str]:
    chain = told.chain
    version = f"version {escaped(chain.flow.version)}" if chain.flow else "a version"
    what = f"**{escaped(chain.request.use_case)}**, {version}"
    where = f"the endpoint **{escaped(told.endpoint)}** in " if told.endpoint else ""
    share = "" if told.traffic is None else f" Once its tests have passed, it takes {told.traffic} % of the traffic."
    yield f"You are asked to approve the deployment of {what}, to {where}{escaped(chain.request.environment)}.{share}"
    yield sections.about(told)
    yield f"Approvals needed: {_needed(approval)}. One rejection decides, and silence is a rejection, too."
    if approval.given:
        yield sections.sentences(
            f"Approved by {given.person}{f': {given.comment}' if given.comment else ''}" for given in approval.given
        )
    evidence = told.evidence
    if evidence is None:
        yield sections.registered_metrics(told) or (
            "There is no report of this version: ask whoever requested it what it was measured on."
        )
        return
    said = evidence["verdict"]
    yield f"**{escaped(said['headline'], sections.SENTENCE)}**"
    yield sections.sentences(said["reasons"], 6)
    if note := sections.stand_in(evidence):
        yield f"> {note}"
    if evidence["cells"]:
        yield from sections.metrics(evidence, few=True)
        yield sections.gates(evidence)
        yield sections.baseline(told)
    yield f"What you approve is the evidence {short(approval.evidence)}."


def _needed(approval: ApprovalState) -> str:
    """`1`, or `2, of which 1 is given`."""
    given = len(approval.given)
    text = str(approval.required)
    return f"{text}, of which {given} {'is' if given == 1 else 'are'} given" if given else text


def _gates_in_words(chain: Chain) -> str:
    if chain.missed_gates:
        return f"{len(chain.missed_gates)} missed"
    return "all met" if chain.has_gates and chain.candidate else ""
