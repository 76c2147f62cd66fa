"""The approver's page: GET shows evidence and a form and never decides, since mail scanners open links; POST answers.

The link is the capability: whoever holds it may read this chain's report and give this approver's one answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared import chain_store, reporting
from shared.approvals import answers, links
from shared.chain.messages import Verdict
from shared.chain.state import ApprovalState, Chain
from shared.errors import BusinessFailure, NotFound
from shared.pages import http, page
from shared.pages.page import Page
from shared.ports import AssetKind

if TYPE_CHECKING:
    from shared.ports import Ports

_VERDICTS: Final = {"approve": Verdict.APPROVED, "reject": Verdict.REJECTED}


class _Refused(Exception):
    """The link cannot be used; the page says why."""

    def __init__(self, answer: Page) -> None:
        super().__init__(answer.status)
        self.page = answer


@dataclass(frozen=True)
class _Opened:
    """A link that may be used."""

    link: links.Link
    chain: Chain
    approval: ApprovalState


def show(ports: Ports, token: str) -> Page:
    """The evidence with a form, or, once it is decided, who decided and when. Changes nothing."""
    try:
        opened = _open(ports, token)
        if opened.approval.verdict is None:
            _refuse_if_late(ports, opened)
        return _page(ports, opened)
    except _Refused as refused:
        return refused.page


def answer(ports: Ports, token: str, request: http.Request) -> Page:
    """Take the form's answer, pass it on, and send the browser back to the page."""
    try:
        opened = _open(ports, token)
        if http.from_elsewhere(ports.settings, request):
            return page.message(403, "Not from this page", "The form was sent by another site. Open your link again.")
        if opened.approval.verdict is not None:
            return _page(ports, opened, status=409)
        _refuse_if_late(ports, opened)
        verdict = _VERDICTS.get(request.form.get("verdict", ""))
        comment = request.form.get("comment", "").replace("\r\n", "\n").strip()
        if verdict is None:
            return _page(ports, opened, status=400, problem="Choose whether to approve or to reject.", comment=comment)
        if len(comment) > answers.COMMENT_LIMIT:
            problem = f"The comment has {len(comment):,} characters; at most {answers.COMMENT_LIMIT:,} are allowed."
            return _page(ports, opened, status=400, problem=problem, comment=comment, verdict=verdict)
        _evidence(ports, opened)
        answers.give(ports, opened.chain, approver=opened.link.approver, verdict=verdict, comment=comment)
    except _Refused as refused:
        return refused.page
    except BusinessFailure as failure:
        return page.message(409, "This answer cannot be taken", str(failure))
    return page.redirect(token)  # relative: the page is the same under every name of this host


def report(ports: Ports, token: str) -> Page:
    """The chain's full report, for whoever holds the link."""
    try:
        opened = _open(ports, token)
        return page.report(ports.blobs.read(reporting.CONTAINER, f"{opened.chain.id}/report.html"))
    except _Refused as refused:
        return refused.page
    except NotFound:
        return page.message(404, "No report", "This chain has no report.")


def _open(ports: Ports, token: str) -> _Opened:
    try:
        link = links.read_token(ports, token)
    except links.BadLink as error:
        text = f"{error} Use the link from the notice that you were sent."
        raise _Refused(page.message(403, "This link is not valid", text)) from error
    try:
        chain, _ = chain_store.load(ports.blobs, link.chain)
    except NotFound as error:
        raise _Refused(page.message(404, "No such chain", f"The chain {link.chain} does not exist.")) from error
    approval = chain.approval
    if approval is None:
        raise _Refused(page.message(404, "No approval", f"The chain {link.chain} has not asked for an approval."))
    if link.approver not in approval.approvers:
        raise _Refused(page.message(403, "Not an approver", f"{link.approver} is not an approver of this chain."))
    if link.evidence != approval.evidence:
        raise _Refused(_stale())
    return _Opened(link=link, chain=chain, approval=approval)


def _refuse_if_late(ports: Ports, opened: _Opened) -> None:
    if opened.chain.status.is_final:
        status = opened.chain.status.value
        raise _Refused(
            page.message(410, "No answer is needed any more", f"The chain ended: {status}. {opened.chain.reason}")
        )
    if ports.clock.now() >= min(opened.link.expires, opened.approval.deadline):
        text = "The time for an answer has passed, which counts as a rejection. Start a new chain to ask again."
        raise _Refused(page.message(410, "This link has expired", text))


def _stale() -> Page:
    text = "The results changed after this link was sent, so that it would approve what you have not seen."
    return page.message(409, "This link speaks of older results", f"{text} Use the link of the newest notice.")


def _evidence(ports: Ports, opened: _Opened) -> dict[str, Any] | None:
    """The evidence, if it still is what the link is bound to; None for a chain that has no report to approve."""
    try:
        content = answers.evidence_of(ports, opened.chain)
    except answers.StaleEvidence as error:
        raise _Refused(_stale()) from error
    if content is None:
        return None
    document: dict[str, Any] = json.loads(content)
    return document


def _page(
    ports: Ports,
    opened: _Opened,
    *,
    status: int = 200,
    problem: str = "",
    comment: str = "",
    verdict: Verdict | None = None,
) -> Page:
    undecided = opened.approval.verdict is None
    # What was decided stays readable even if a later report has replaced what it was decided on.
    try:
        document = _evidence(ports, opened)
    except _Refused:
        if undecided:
            raise
        document = None
    comparison = _comparison(document) if document else []
    return page.render(
        "approval.html",
        status,
        live=True,
        forms=True,
        chain=opened.chain,
        approval=opened.approval,
        approver=opened.link.approver,
        given=answers.given(ports, opened.link) if undecided else None,
        late=status == 409,
        evidence=document,
        comparison=comparison,
        beside=any(row["default"] is not None for _, rows in comparison for row in rows),
        release=None if document else _release(ports, opened.chain),
        report=f"{links.token_for(ports, opened.chain, opened.link.approver)}/report" if document else "",
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
