"""Telling people: approvers, the pull request, the owners, and whoever asked for the chain.

Every notice has a key of its own, so that a repeated command repeats a notice instead of adding one.
"""

from __future__ import annotations

from typing import assert_never

from shared.answers import answer_to
from shared.approvals.links import link_for
from shared.chain.messages import (
    Answer,
    ApprovalRequested,
    CommentPullRequest,
    FinishTask,
    Notified,
    RemindApprovers,
    RequestApproval,
    SendAlert,
)
from shared.chain.state import Chain, ChainStatus, StepStatus
from shared.errors import BusinessFailure
from shared.ports import Notice, NoticeKind, Ports

NotificationCommand = RequestApproval | RemindApprovers | CommentPullRequest | SendAlert | FinishTask


def perform(ports: Ports, chain: Chain, command: NotificationCommand) -> Answer:
    """Send one notice."""
    match command:
        case RequestApproval():
            ports.notifier.send(_approval(ports, chain, NoticeKind.APPROVAL))
            return ApprovalRequested(**answer_to(ports, command))
        case RemindApprovers():
            ports.notifier.send(_approval(ports, chain, NoticeKind.REMINDER))
        case CommentPullRequest():
            title = f"{chain.request.use_case}: {_outcome(chain)}"
            ports.notifier.send(_notice(ports, chain, NoticeKind.COMMENT, title, summary(chain)))
        case SendAlert():
            dataset = chain.request.dataset.name if chain.request.dataset else "a dataset"
            what = "is worse on" if chain.regressions else "misses its gates on"
            title = f"{chain.request.use_case} {what} the new version of {dataset}"
            text = "\n".join(f"- {sentence}" for sentence in chain.missed_gates)
            ports.notifier.send(_notice(ports, chain, NoticeKind.ALERT, title, text))
        case FinishTask():
            title = f"{chain.request.kind} chain of {chain.request.use_case}: {_outcome(chain)}"
            ports.notifier.send(_notice(ports, chain, NoticeKind.RESULT, title, summary(chain)))
        case _:
            assert_never(command)
    return Notified(**answer_to(ports, command))


def summary(chain: Chain) -> str:
    """The chain in a few lines of Markdown: why it ended so, and each step with what came of it."""
    lines = [chain.reason] if chain.reason else []
    lines.extend(
        f"- {step.step.value.replace('_', ' ')}: {step.status.value}. {step.detail}".rstrip()
        for step in chain.steps
        if step.status in (StepStatus.DONE, StepStatus.FAILED)
    )
    return "\n".join(lines)


def _approval(ports: Ports, chain: Chain, kind: NoticeKind) -> Notice:
    approval = chain.approval
    if approval is None:
        raise BusinessFailure("The chain does not wait for an approval.")
    what = f"version {chain.flow.version}" if chain.flow else "a version"
    return Notice(
        key=f"{chain.id}/{kind}",
        kind=kind,
        chain=chain.id,
        title=f"Approve the deployment of {chain.request.use_case} {what}",
        text=summary(chain),
        recipients=approval.approvers,
        deadline=approval.deadline,
        links={approver: link_for(ports, chain, approver) for approver in approval.approvers},
    )


def _notice(ports: Ports, chain: Chain, kind: NoticeKind, title: str, text: str) -> Notice:
    links = {"Chain": f"{ports.settings.functions_url}/api/chains/{chain.id}"}
    if chain.report:
        links["Report"] = f"{ports.settings.functions_url}/api/chains/{chain.id}/files/report.html"
    return Notice(
        key=f"{chain.id}/{kind}",
        kind=kind,
        chain=chain.id,
        title=title,
        text=text,
        links=links,
        succeeded=(chain.outcome or ChainStatus.SUCCEEDED) is ChainStatus.SUCCEEDED,
    )


def _outcome(chain: Chain) -> str:
    return (chain.outcome or ChainStatus.SUCCEEDED).value
