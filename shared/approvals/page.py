"""The approver's page: GET shows evidence and a form and never decides, since mail scanners open links; POST answers.

The link is the capability: whoever holds it may read this chain's report and give this approver's one answer; where
people sign in, only if they are that approver (`opening.py`). Every view, answer and refusal leaves a line
(`audit.py`).
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any, Final

from shared import reporting
from shared.approvals import answers, audit, links
from shared.approvals.opening import Opened, Refused, open_page, refuse_stale
from shared.chain.approving import may_approve, same_person
from shared.chain.messages import Verdict
from shared.chain.state import Chain
from shared.errors import BusinessFailure, NotFound
from shared.pages import http, page
from shared.pages.http import Request
from shared.pages.page import Page
from shared.ports import AssetKind

if TYPE_CHECKING:
    from shared.ports import Ports

_VERDICTS: Final = {"approve": Verdict.APPROVED, "reject": Verdict.REJECTED}
_NOBODY: Final = Request()


def show(ports: Ports, last: str, request: Request = _NOBODY) -> Page:
    """The evidence with a form, or, once it is decided, who decided and when. Decides nothing.

    Args:
        ports: of this process.
        last: the link's token, or a chain's id where people sign in.
        request: who asks.
    """
    try:
        opened = open_page(ports, last, request)
        if opened.approval.verdict is None:
            _refuse_if_late(ports, opened)
        shown = _page(ports, opened)
    except Refused as refused:
        return _refused(ports, request, refused)
    _note(ports, request, opened, audit.VIEWED, shown.status)
    return shown


def answer(ports: Ports, last: str, request: Request) -> Page:
    """Take the form's answer, pass it on, and send the browser back to the page."""
    try:
        opened = open_page(ports, last, request)
        _refuse_foreign_form(ports, opened, request)
        if opened.approval.verdict is not None:
            shown = _page(ports, opened, status=409)
            _note(ports, request, opened, "refused", shown.status, "It was decided before")
            return shown
        _refuse_if_late(ports, opened)
        verdict = _VERDICTS.get(request.form.get("verdict", ""))
        comment = request.form.get("comment", "").replace("\r\n", "\n").strip()
        if problem := _problem(verdict, comment):
            shown = _page(ports, opened, status=400, problem=problem, comment=comment, verdict=verdict)
            _note(ports, request, opened, "refused", shown.status, problem)
            return shown
        assert verdict is not None
        _evidence(ports, opened)
        given = _give(ports, opened, verdict, comment)
    except Refused as refused:
        return _refused(ports, request, refused)
    _note(ports, request, opened, given.value, 303, "" if given is verdict else "The first answer stays")
    return page.redirect(last)  # relative: the page is the same under every name of this host


def report(ports: Ports, last: str, request: Request = _NOBODY) -> Page:
    """The chain's full report, for whoever may open the page."""
    try:
        opened = open_page(ports, last, request)
        try:
            shown = page.report(ports.blobs.read(reporting.CONTAINER, f"{opened.chain.id}/report.html"))
        except NotFound:
            opened.refuse(404, "No report", "This chain has no report.")
    except Refused as refused:
        return _refused(ports, request, refused)
    _note(ports, request, opened, "report", shown.status)
    return shown


def _problem(verdict: Verdict | None, comment: str) -> str:
    if verdict is None:
        return "Choose whether to approve or to reject."
    if len(comment) > answers.COMMENT_LIMIT:
        return f"The comment has {len(comment):,} characters; at most {answers.COMMENT_LIMIT:,} are allowed."
    return ""


def _give(ports: Ports, opened: Opened, verdict: Verdict, comment: str) -> Verdict:
    """Pass the answer on; the verdict that counts is that of this person's first answer. Raises Refused."""
    try:
        return answers.give(
            ports, opened.chain, approver=opened.approver, signed_in=opened.signed_in, verdict=verdict, comment=comment
        ).verdict
    except answers.SelfApproval as error:
        opened.refuse(403, "Who asks for a chain may not approve it", str(error))
    except BusinessFailure as failure:
        opened.refuse(409, "This answer cannot be taken", str(failure))


def _refuse_foreign_form(ports: Ports, opened: Opened, request: Request) -> None:
    """Refuse what did not come from our page.

    Where people sign in, the browser proves by itself who sends a form, and a chain's address is no secret: there the
    form also carries what only our page for this person holds.
    """
    proof = request.form.get("proof", "")
    foreign = opened.signed_in is not None and not hmac.compare_digest(proof.encode(), _proof(ports, opened).encode())
    if foreign or http.from_elsewhere(ports.settings, request):
        opened.refuse(403, "Not from this page", "The form was not sent by this page. Open your link again.")


def _proof(ports: Ports, opened: Opened) -> str:
    key = links.signing_key(ports)
    return links.nonce(key, opened.chain.id, f"form\n{opened.signed_in}", opened.approval.evidence)


def _refused(ports: Ports, request: Request, refused: Refused) -> Page:
    audit.write(
        ports,
        refused.chain,
        request,
        outcome=refused.outcome,
        status=refused.page.status,
        approver=refused.approver,
        signed_in=refused.signed_in,
        reason=refused.reason,
    )
    return refused.page


def _note(ports: Ports, request: Request, opened: Opened, outcome: str, status: int, reason: str = "") -> None:
    audit.write(
        ports,
        opened.chain.id,
        request,
        outcome=outcome,
        status=status,
        approver=opened.approver,
        signed_in=opened.signed_in,
        reason=reason,
    )


def _refuse_if_late(ports: Ports, opened: Opened) -> None:
    if opened.chain.status.is_final:
        status = opened.chain.status.value
        opened.refuse(410, "No answer is needed any more", f"The chain ended: {status}. {opened.chain.reason}")
    if ports.clock.now() >= opened.expires:
        text = "The time for an answer has passed, which counts as a rejection. Start a new chain to ask again."
        opened.refuse(410, "This link has expired", text)


def _evidence(ports: Ports, opened: Opened) -> dict[str, Any] | None:
    """The evidence, if it still is what the link is bound to; None for a chain that has no report to approve."""
    try:
        content = answers.evidence_of(ports, opened.chain)
    except answers.StaleEvidence:
        refuse_stale(opened)
    if content is None:
        return None
    document: dict[str, Any] = json.loads(content)
    return document


def _page(
    ports: Ports,
    opened: Opened,
    *,
    status: int = 200,
    problem: str = "",
    comment: str = "",
    verdict: Verdict | None = None,
) -> Page:
    chain, approval = opened.chain, opened.approval
    undecided = approval.verdict is None
    # What was decided stays readable even if a later report has replaced what it was decided on.
    try:
        document = _evidence(ports, opened)
    except Refused:
        if undecided:
            raise
        document = None
    comparison = _comparison(document) if document else []
    return page.render(
        "approval.html",
        status,
        live=True,
        forms=True,
        # App Service authentication refuses a form without Origin: https://learn.microsoft.com/azure/app-service/
        # overview-authentication-authorization#cross-site-request-forgery-mitigation
        referrer="same-origin" if opened.signed_in is not None else "no-referrer",
        chain=chain,
        approval=approval,
        approver=opened.person,
        given=answers.given(ports, chain, opened.approver, opened.signed_in) if undecided else None,
        counted=next((one for one in approval.given if same_person(one.person, opened.person)), None),
        others=[name for name in approval.approvers if name != opened.approver],
        may_approve=may_approve(chain, opened.approver, opened.signed_in),
        proof=_proof(ports, opened) if opened.signed_in is not None else "",
        late=status == 409,
        evidence=document,
        comparison=comparison,
        beside=any(row["default"] is not None for _, rows in comparison for row in rows),
        release=None if document else _release(ports, chain),
        report=f"{opened.last}/report" if document else "",
        problem=problem,
        comment=comment,
        chosen=verdict.value if verdict else "",
        limit=answers.COMMENT_LIMIT,
    )


def _comparison(document: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """For each dataset, every metric of the candidate beside the default's."""
    cells = document["cells"]
    default = next((str(cell["label"]) for cell in cells if cell["is_default"]), "")
    candidate = document["candidate"] or default
    found: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for cell in cells:
        metrics = found.setdefault(cell["dataset"], {})
        for evaluator, run in cell["evaluations"].items():
            for metric, value in (run["metrics"] if run else {}).items():
                metrics.setdefault((evaluator, metric), {})[cell["label"]] = value
    return [
        (
            dataset,
            [
                {
                    "evaluator": evaluator,
                    "metric": metric,
                    "value": by_label.get(candidate),
                    "default": by_label.get(default) if default != candidate else None,
                }
                for (evaluator, metric), by_label in metrics.items()
            ],
        )
        for dataset, metrics in found.items()
    ]


def _release(ports: Ports, chain: Chain) -> dict[str, str] | None:
    """What the registry knows of the version that a release would deploy."""
    name = chain.flow.name if chain.flow else chain.request.use_case
    version = chain.flow.version if chain.flow else chain.request.flow_version
    try:
        model = ports.registry.get(AssetKind.MODEL, name, version)
    except NotFound:
        return None
    return {"flow": f"{model.name} version {model.version}", "content": model.content_hash, **model.tags}
