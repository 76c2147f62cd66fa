"""Who is signed in, as App Service authentication tells it, and which of a chain's approvers that person is.

The platform puts the person's claims into headers that it lets nobody else send. Where it does not stand before the app
anybody could send them: they are read only where the setting asks for sign-in and the platform says that it is on.

Sources: https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities (headers and claims),
https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference (claims, groups overage),
https://learn.microsoft.com/azure/app-service/configure-authentication-customize-sign-in-out (the sign-in's address).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from shared.chain.approving import is_requester, same_person
from shared.chain.state import ApprovalState, Chain
from shared.errors import BusinessFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.pages.http import Request
    from shared.settings import Settings

ENTRA_ID: Final = "aad"
_LIMIT: Final = 64 * 1024
_LONGEST_NAME: Final = 200
# The platform renames some claims to those of WS-Federation; tokens of version 2.0 keep their own names.
_NAMES: Final = (
    "preferred_username",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "upn",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "email",
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "oid",
)
"""Claims that name a person, the best for people to read first. The display name is none: anybody may bear it."""
_MAILS: Final = frozenset({"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "email"})
_PROVIDERS: Final = ("http://schemas.microsoft.com/identity/claims/identityprovider", "idp")
_GROUPS: Final = ("groups", "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups")


class NotSignedIn(BusinessFailure):
    """Nobody is signed in."""


class NotSetUp(BusinessFailure):
    """The setting asks for sign-in, and the platform does not do it."""


@dataclass(frozen=True)
class Person:
    """Who is signed in."""

    names: tuple[str, ...]
    """Sign-in name, mail address and object id, as far as they are known; the first is for people to read."""
    groups: frozenset[str] = frozenset()
    """Object ids of the groups, in lower case."""
    has_more_groups: bool = False
    """Whether the token had no room for the groups."""
    unproven: tuple[str, ...] = ()
    """Mail addresses that another organisation says are theirs: good for no approval, and enough to refuse one."""

    @property
    def name(self) -> str:
        """For people to read."""
        return self.names[0]

    def is_called(self, name: str) -> bool:
        """Whether this is one of the person's names."""
        return any(same_person(name, own) for own in self.names)

    def approvers(self, approval: ApprovalState) -> tuple[str, ...]:
        """Which of the approvers this person is: themselves first, then the groups."""
        own = [name for name in approval.approvers if name not in approval.groups and self.is_called(name)]
        groups = [name for name, group in approval.groups.items() if group.lower() in self.groups]
        return (*own, *groups)

    def said_for(self, chain: Chain) -> str:
        """The one name under which this person answers for a chain, whichever link was used.

        It is the requester's, where this is the requester, else the approver's: so the chain, which knows names alone,
        sees that one person has answered twice, or asked for the chain.
        """
        requester = chain.request.requester
        if requester is not None and is_requester(chain, *self.names, *self.unproven):
            return requester
        approval = chain.approval
        own = [] if approval is None else [name for name in self.approvers(approval) if name not in approval.groups]
        return own[0] if own else self.name


def person(settings: Settings, request: Request) -> Person:
    """Who is signed in.

    Raises:
        NotSignedIn: nobody is.
        NotSetUp: the platform does not sign people in.
        BusinessFailure: what it says of them cannot be read.
    """
    if not settings.people.platform_signs_in:
        raise NotSetUp(
            "GENAIOPS_SIGN_IN asks for sign-in, but App Service authentication is off (WEBSITE_AUTH_ENABLED is not "
            "true), so that anybody could say who they are. Turn it on, or take GENAIOPS_SIGN_IN away."
        )
    if not request.principal:
        raise NotSignedIn("Nobody is signed in.")
    claims = _claims(request.principal)
    names: list[str] = []
    unproven: list[str] = []
    trusts_mail = not _is_guest(claims)
    for known in _NAMES:
        found = names if trusts_mail or known not in _MAILS else unproven
        for name in claims.get(known, []):
            if name.isprintable() and 0 < len(name.strip()) <= _LONGEST_NAME and name.strip() not in found:
                found.append(name.strip())
    if not names:
        raise BusinessFailure("The sign-in names nobody: its token has neither preferred_username nor oid.")
    groups = frozenset(group.strip().lower() for known in _GROUPS for group in claims.get(known, []))
    overage = any("groups" in text for text in claims.get("_claim_names", []))
    overage = overage or any(text.lower() == "true" for text in claims.get("hasgroups", []))
    return Person(tuple(names), groups, overage and not groups, tuple(unproven))


def sign_in_address(settings: Settings, last: str) -> str:
    """Where a person signs in, and comes back from to the approval page that `last` names, never to another site."""
    prefix = urlsplit(settings.functions_url).path.rstrip("/")
    back = f"{prefix}/api/approvals/{quote(last, safe='')}"
    return f"{prefix}/.auth/login/{ENTRA_ID}?post_login_redirect_uri={quote(back, safe='')}"


def _is_guest(claims: Mapping[str, Sequence[str]]) -> bool:
    """Whether another organisation has signed the person in: its administrator may have given them any mail address.

    https://learn.microsoft.com/entra/identity-platform/migrate-off-email-claim-authorization, and for `idp`, which
    names another issuer for guests, https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference.
    """
    own = claims.get("iss", [])
    return any(provider not in own for known in _PROVIDERS for provider in claims.get(known, []))


def _claims(principal: str) -> Mapping[str, Sequence[str]]:
    """Claim type → values. Raises BusinessFailure."""
    unreadable = BusinessFailure("What the sign-in says cannot be read. Sign out at /.auth/logout and try again.")
    if len(principal) > _LIMIT:
        raise unreadable
    try:
        said = json.loads(base64.b64decode(principal, validate=True))
        found: dict[str, list[str]] = {}
        for claim in said["claims"]:
            if claim["val"] is not None:
                found.setdefault(str(claim["typ"]), []).append(str(claim["val"]))
        provider = said["auth_typ"]
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable from error
    if provider != ENTRA_ID:
        raise BusinessFailure("This page takes people who are signed in with Entra ID alone.")
    return found
