"""`approve`, `reject` and `cancel`: what a person decides about a chain, sent as an event like every other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.outcome import Refused, TimedOut
from genaiops.cli.output import print_json, say, when

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.chain.messages import Verdict
    from shared.chain.state import ApprovalState, Chain
    from shared.ports import Ports

ChainArgument = Annotated[
    str, typer.Argument(metavar="CHAIN", help="The chain's id, or its unmistakable beginning or end.")
]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Stored with the decision.")]
AsOption = Annotated[str | None, typer.Option("--as", help="Who decides (default: you, or the chain's only approver).")]
WaitOption = Annotated[float, typer.Option("--wait", help="Seconds to wait for the chain to take it; 0: do not wait.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the chain's state as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(approve)
    app.command()(reject)
    app.command()(cancel)


def approve(
    chain: ChainArgument,
    comment: CommentOption = "",
    by: AsOption = None,
    *,
    wait: WaitOption = 15.0,
    as_json: JsonOption = False,
) -> None:
    """Approve what a chain wants to deploy."""
    from shared.chain.messages import Verdict

    _answer(chain, Verdict.APPROVED, comment, by, wait=wait, as_json=as_json)


def reject(
    chain: ChainArgument,
    comment: CommentOption = "",
    by: AsOption = None,
    *,
    wait: WaitOption = 15.0,
    as_json: JsonOption = False,
) -> None:
    """Reject what a chain wants to deploy."""
    from shared.chain.messages import Verdict

    _answer(chain, Verdict.REJECTED, comment, by, wait=wait, as_json=as_json)


def cancel(
    chain: ChainArgument,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Stored with the chain.")] = "",
    by: Annotated[str | None, typer.Option("--as", help="Who cancels (default: you).")] = None,
    *,
    wait: WaitOption = 15.0,
    as_json: JsonOption = False,
) -> None:
    """Stop a chain. While it changes an endpoint, it rolls back first."""
    from shared.chain.messages import CancelRequested
    from shared.envelopes import send_event

    wired = wiring.ports()
    current = wiring.chain_named(wired, chain)
    if current.status.is_final or current.outcome is not None:
        raise Refused(f"The chain {current.id} cannot be cancelled: it ends as {current.outcome or current.status}.")
    now = wired.clock.now()
    person = by or wiring.user()
    event = CancelRequested(
        id=f"{current.id}/cancel/{now:%Y%m%dT%H%M%S%f}", chain=current.id, at=now, by=person, reason=reason
    )
    send_event(wired, event)
    after = _wait(wired, current.id, wait, lambda c: c.outcome is not None or c.status.is_final)
    if as_json:
        print_json(after.model_dump(mode="json"))
    elif after.outcome is not None or after.status.is_final:
        say(f"The chain {after.id} ends as {after.outcome or after.status}: {after.reason}")
    else:
        say(f"The cancellation of {after.id} is on its way.")


def _answer(identifier: str, verdict: Verdict, comment: str, by: str | None, *, wait: float, as_json: bool) -> None:
    from shared.approvals import answers

    wired = wiring.ports()
    chain = wiring.chain_named(wired, identifier)
    approver = _approver(chain, _open_approval(chain), by)
    answers.give(wired, chain, approver=approver, verdict=verdict, comment=comment)
    after = _wait(wired, chain.id, wait, lambda c: c.approval is None or _has_taken(c.approval, approver))
    decided = after.approval
    if as_json:
        print_json(after.model_dump(mode="json"))
    if decided is None or decided.verdict is None:
        if not as_json and decided is not None and _has_taken(decided, approver):
            say(f"{len(decided.given)} of {decided.required} approvals: the chain {chain.id} waits for more.")
        elif not as_json:
            say(f"The answer to {chain.id} is on its way; `python -m genaiops status {chain.id}` shows it.")
        return
    if decided.verdict is not verdict:
        raise Refused(f"{_decision(decided)}: your answer came later and changes nothing.")
    if not as_json:
        say(f"{_decision(decided)}.", style="green" if verdict == "approved" else "yellow")


def _has_taken(approval: ApprovalState, approver: str) -> bool:
    """Whether the chain has been decided, or has counted this approver's approval."""
    return approval.verdict is not None or any(one.person == approver for one in approval.given)


def _open_approval(chain: Chain) -> ApprovalState:
    approval = chain.approval
    if approval is None:
        raise Refused(f"The chain {chain.id} does not wait for an approval: it is {chain.status.replace('_', ' ')}.")
    if approval.verdict is not None:
        raise Refused(f"{_decision(approval)}: the chain {chain.id} is {chain.status.replace('_', ' ')}.")
    return approval


def _decision(approval: ApprovalState) -> str:
    said = f" ({approval.comment})" if approval.comment else ""
    has = "have" if len(approval.given) > 1 and approval.verdict == "approved" else "has"
    return f"{approval.decided_by} {has} {approval.verdict} it at {when(approval.decided_at)}{said}"


def _approver(chain: Chain, approval: ApprovalState, by: str | None) -> str:
    from shared.chain.approving import same_person

    name = by or wiring.user()
    if mine := [approver for approver in approval.approvers if same_person(approver, name)]:
        return mine[0]
    if by is None and len(approval.approvers) == 1:
        return approval.approvers[0]
    raise Refused(
        f"{name} is not an approver of {chain.id}. Approvers: {', '.join(approval.approvers)}; choose one with --as."
    )


def _wait(wired: Ports, identifier: str, seconds: float, is_there: Callable[[Chain], bool]) -> Chain:
    """The chain once `is_there` holds. Raises TimedOut where a wait was asked for and was in vain."""
    from shared import chain_store

    deadline = time.monotonic() + seconds
    while True:
        chain = chain_store.load(wired.blobs, identifier)[0]
        if is_there(chain) or seconds <= 0:
            return chain
        if time.monotonic() >= deadline:
            raise TimedOut(
                f"It was sent, but the chain {identifier} has not taken it within {seconds:g} s. "
                "Is the host running? `python -m genaiops start` runs it here."
            )
        time.sleep(0.1)
