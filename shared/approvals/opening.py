"""Who may open an approval's page: the holder of a link that was made here, and, where sign-in is configured, only the
person that the link was made for, or whoever is signed in and is an approver.

Everything that answers a request of an approver comes through here, GET and POST alike, so that no way leads around it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Never

from shared import chain_store
from shared.approvals import links, sign_in
from shared.approvals.sign_in import NotSetUp, NotSignedIn, Person
from shared.errors import BusinessFailure, NotFound
from shared.pages import page
from shared.pages.page import Page

if TYPE_CHECKING:
    from datetime import datetime

    from shared.chain.state import ApprovalState, Chain
    from shared.pages.http import Request
    from shared.ports import Ports


class Refused(Exception):
    """The page cannot be used so; `page` says why."""

    def __init__(
        self,
        shown: Page,
        reason: str,
        *,
        chain: str | None = None,
        approver: str | None = None,
        signed_in: str | None = None,
        outcome: str = "refused",
    ) -> None:
        super().__init__(reason)
        self.page = shown
        self.reason = reason
        self.chain = chain
        """Only where whoever asks may write into its audit."""
        self.approver = approver
        self.signed_in = signed_in
        self.outcome = outcome


@dataclass(frozen=True)
class Opened:
    """An approval's page that this person may use."""

    last: str
    """The last part of the page's address: the link's token, or the chain's id."""
    chain: Chain
    approval: ApprovalState
    approver: str
    """Whose link it is, or which approver the signed-in person is."""
    expires: datetime
    signed_in: str | None = None

    @property
    def person(self) -> str:
        """Who answers."""
        return self.signed_in or self.approver

    def refuse(self, status: int, title: str, text: str) -> Never:
        """Raises Refused with a page that says one thing."""
        raise Refused(
            page.message(status, title, text),
            title,
            chain=self.chain.id,
            approver=self.approver,
            signed_in=self.signed_in,
        )


def open_page(ports: Ports, last: str, request: Request) -> Opened:
    """Check who asks for this page.

    Args:
        ports: of this process.
        last: a link's token; where people sign in also a chain's id.
        request: with what the platform says of the person.

    Raises:
        Refused: with the page that says why, or that leads to the sign-in.
    """
    if (
        ports.settings.people.sign_in and "." not in last
    ):  # a token has a dot before its signature, no chain's id has one
        return _by_chain(ports, last, request)
    try:
        link = links.read_token(ports, last)
    except links.BadLink as error:
        title = "This link is not valid"
        text = f"{error} Use the link from the notice that you were sent."
        raise Refused(page.message(403, title, text), title) from error
    chain, approval = _approval(ports, link.chain)
    opened = Opened(last, chain, approval, link.approver, min(link.expires, approval.deadline))
    if ports.settings.people.sign_in:
        person = _person(ports, last, request, link=opened)
        opened = replace(opened, signed_in=person.said_for(chain))
        if link.approver in approval.approvers and link.approver not in person.approvers(approval):
            if link.approver in approval.groups:
                _refuse_stranger(opened, person, f"no member of {link.approver}")
            opened.refuse(
                403,
                "This link is somebody else's",
                f"You are signed in as {person.name}, and this link was made for {link.approver}. {_AGAIN}",
            )
    if link.approver not in approval.approvers:
        opened.refuse(403, "Not an approver", f"{link.approver} is not an approver of this chain.")
    if link.evidence != approval.evidence:
        refuse_stale(opened)
    return opened


def refuse_stale(opened: Opened) -> Never:
    """The evidence is not what the approver was asked about. Raises Refused."""
    text = "The results changed after this link was sent, so that it would approve what you have not seen."
    opened.refuse(409, "This link speaks of older results", f"{text} Use the link of the newest notice.")


_AGAIN = "Open it again as the right person: /.auth/logout on this site signs you out."


def _by_chain(ports: Ports, chain_id: str, request: Request) -> Opened:
    person = _person(ports, chain_id, request, link=None)  # first: nobody learns here which chains there are
    chain, approval = _approval(ports, chain_id)
    approvers = person.approvers(approval)
    opened = Opened(
        chain_id, chain, approval, approvers[0] if approvers else "", approval.deadline, person.said_for(chain)
    )
    if not approvers:
        _refuse_stranger(opened, person, "no approver of this chain")
    return opened


def _person(ports: Ports, last: str, request: Request, *, link: Opened | None) -> Person:
    """Who is signed in. Raises Refused; into a chain's audit goes only what somebody with a link was told."""
    chain, approver = (link.chain.id, link.approver) if link else (None, None)
    try:
        return sign_in.person(ports.settings, request)
    except NotSignedIn as error:
        if request.method == "POST":
            shown = page.message(
                401, "You are not signed in any more", "Nothing was decided. Open your link again and sign in."
            )
            raise Refused(shown, str(error), chain=chain, approver=approver) from error
        shown = page.redirect(sign_in.sign_in_address(ports.settings, last))
        raise Refused(shown, str(error), chain=chain, approver=approver, outcome="sign-in") from error
    except NotSetUp as error:
        title = "Sign-in is not set up"
        raise Refused(page.message(503, title, str(error)), title, chain=chain, approver=approver) from error
    except BusinessFailure as error:
        title = "You cannot be recognised"
        raise Refused(page.message(403, title, str(error)), title, chain=chain, approver=approver) from error


def _refuse_stranger(opened: Opened, person: Person, what: str) -> Never:
    if opened.approval.groups and person.has_more_groups:
        opened.refuse(
            403,
            "Your groups are not known",
            f"You are signed in as {person.name}, who is in more groups than a sign-in can name. Let the app "
            "registration emit only the groups that are assigned to the application (groupMembershipClaims: "
            "ApplicationGroup) and assign the approvers' group, or name the person in `approval.approvers`.",
        )
    hint = ""
    if opened.approval.groups and not person.groups:
        hint = " The sign-in names no group at all: if you are in one, the app registration must emit the groups claim."
    opened.refuse(403, "You are no approver", f"You are signed in as {person.name}, {what}.{hint} {_AGAIN}")


def _approval(ports: Ports, chain_id: str) -> tuple[Chain, ApprovalState]:
    try:
        chain, _ = chain_store.load(ports.blobs, chain_id)
    except NotFound as error:
        title = "No such chain"
        raise Refused(page.message(404, title, f"The chain {chain_id} does not exist."), title) from error
    if chain.approval is None:
        title = "No approval"
        raise Refused(page.message(404, title, f"The chain {chain_id} has not asked for an approval."), title)
    return chain, chain.approval
