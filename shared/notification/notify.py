"""Telling people and pipelines: approvers, the pull request, the owners, and whoever asked for the chain.

Every notice has a key of its own, so that a repeated command repeats a notice instead of adding one. People are told
through the notifier, Azure DevOps through `pull_request.py` and `shared/pipeline_tasks`.
"""

from __future__ import annotations

from typing import Final, assert_never

from shared.answers import answer_to
from shared.approvals.links import approval_of, link_for, open_link_for
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
from shared.errors import Throttled, Transient
from shared.notification import pull_request
from shared.notification.alert_text import alert_text, alert_title
from shared.notification.approval_text import approval_facts, approval_text
from shared.notification.comment import comment
from shared.notification.run_page import run_summary
from shared.notification.told import ending
from shared.pages.words import step_word
from shared.pipeline_tasks import completion
from shared.ports import Notice, NoticeKind, Ports

PAUSE_S: Final = 30.0
"""Seconds between two tries while mail, or Azure DevOps, is away."""
LOOKS: Final = 120
"""So many tries, an hour in all: then the fault counts as every command's. Silence decides an approval before that."""
BARE_FROM: Final = 4
"""From this try on tasks are completed without log and summary: they may be what fails."""

NotificationCommand = RequestApproval | RemindApprovers | CommentPullRequest | SendAlert | FinishTask


def perform(ports: Ports, chain: Chain, command: NotificationCommand) -> Answer:
    """Tell those whom the command names. An outage of what tells them costs time, and not the chain.

    Raises Throttled to be called again; Transient where that has been going on for an hour.
    """
    try:
        _tell(ports, chain, command)
    except Transient as fault:
        if command.look >= LOOKS:
            raise
        raise Throttled(str(fault), PAUSE_S) from fault
    answer = ApprovalRequested if isinstance(command, RequestApproval) else Notified
    return answer(**answer_to(ports, command))


def _tell(ports: Ports, chain: Chain, command: NotificationCommand) -> None:
    match command:
        case RequestApproval():
            ports.notifier.send(_approval(ports, chain, NoticeKind.APPROVAL))
        case RemindApprovers():
            ports.notifier.send(_approval(ports, chain, NoticeKind.REMINDER))
        case CommentPullRequest():
            text = comment(ports, chain)
            pull_request.each_way(
                lambda: pull_request.tell(ports, chain, text),
                lambda: ports.notifier.send(_notice(ports, chain, NoticeKind.COMMENT, _title(chain), text)),
            )
        case SendAlert():
            ports.notifier.send(_notice(ports, chain, NoticeKind.ALERT, alert_title(chain), alert_text(ports, chain)))
        case FinishTask():
            _finish(ports, chain, command)
        case _:
            assert_never(command)


def steps_taken(chain: Chain) -> str:
    """The chain in a few lines: why it ended so, and each step with what came of it."""
    lines = [chain.reason] if chain.reason else []
    lines.extend(
        f"- {step_word(step.step)}: {step.status.value}. {step.detail}".rstrip()
        for step in chain.steps
        if step.status in (StepStatus.DONE, StepStatus.FAILED)
    )
    return "\n".join(lines)


def _finish(ports: Ports, chain: Chain, command: FinishTask) -> None:
    """Give the result back: first of all to who waits for it."""
    title = f"{chain.request.kind} chain of {_title(chain)}"
    pull_request.each_way(
        lambda: completion.complete(ports, chain, last=command.look >= BARE_FROM),
        lambda: pull_request.tag_run(ports, chain),
        lambda: ports.notifier.send(_notice(ports, chain, NoticeKind.RESULT, title, run_summary(ports, chain))),
    )


def _approval(ports: Ports, chain: Chain, kind: NoticeKind) -> Notice:
    approval = approval_of(chain)
    what = f"version {chain.flow.version}" if chain.flow else "a version"
    approved = {given.person for given in approval.given}  # of a group, others may still be wanted
    asked = tuple(name for name in approval.approvers if name not in approved or name in approval.groups)
    return Notice(
        key=f"{chain.id}/{kind}",
        kind=kind,
        chain=chain.id,
        title=f"Approve the deployment of {chain.request.use_case} {what}",
        text=approval_text(ports, chain),
        brief=steps_taken(chain),
        recipients=asked,
        deadline=approval.deadline,
        links={approver: link_for(ports, chain, approver) for approver in asked},
        open_link=open_link_for(ports, chain),
        facts=approval_facts(chain),
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
        brief=steps_taken(chain) if kind is not NoticeKind.ALERT else "",
        links=links,
        succeeded=ending(chain).outcome is ChainStatus.SUCCEEDED,
    )


def _title(chain: Chain) -> str:
    return f"{chain.request.use_case}: {(chain.outcome or ChainStatus.SUCCEEDED).value}"
