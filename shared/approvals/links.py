"""Approval links: signed, expiring, bound to one chain, one approver and the digest of what is approved.

The same approval always gives the same link, so that a repeated notice or a reminder repeats it. The key is one of the
installation's (`ports/keys.py`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shared.chain.state import ApprovalState, Chain
from shared.errors import BusinessFailure, Malformed
from shared.ports.keys import APPROVAL_LINKS

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer

    from shared.ports import Ports

_TOKEN_LIMIT: Final = 2_000


class BadLink(Malformed):
    """The link was not made here, or was changed."""


@dataclass(frozen=True)
class Link:
    """What a link says."""

    chain: str
    approver: str
    evidence: str
    expires: datetime
    nonce: str
    """Names the link: one link answers once."""


def signing_key(ports: Ports) -> bytes:
    """The key of this installation that signs links. Raises as `Keys.key` does."""
    return ports.keys.key(APPROVAL_LINKS)


def link_for(ports: Ports, chain: Chain, approver: str) -> str:
    """The address under which this approver answers.

    Raises:
        BusinessFailure: the chain has no approval.
    """
    return f"{ports.settings.functions_url}/api/approvals/{token_for(ports, chain, approver)}"


def open_link_for(ports: Ports, chain: Chain) -> str:
    """The page for whoever is signed in and is an approver, which many may see; empty where nobody signs in."""
    return f"{ports.settings.functions_url}/api/approvals/{chain.id}" if ports.settings.people.sign_in else ""


def token_for(ports: Ports, chain: Chain, approver: str) -> str:
    """The link's last part. Raises BusinessFailure as `link_for` does."""
    approval = approval_of(chain)
    key = signing_key(ports)
    token: str = _serializer(key).dumps(
        {
            "c": chain.id,
            "a": approver,
            "e": approval.evidence,
            "x": int(approval.deadline.timestamp()),
            "n": nonce(key, chain.id, approver, approval.evidence),
        }
    )
    return token


def read_token(ports: Ports, token: str) -> Link:
    """What the link says, if it was made here. Whether it has expired is for the reader to say.

    Raises:
        BadLink: it was forged or changed.
    """
    from itsdangerous import BadData

    if len(token) > _TOKEN_LIMIT:
        raise BadLink("This link is too long to be one of ours.")
    try:
        said = _serializer(signing_key(ports)).loads(token)
    except BadData as error:
        raise BadLink("This link was not made here, or was changed on its way.") from error
    return Link(
        chain=said["c"],
        approver=said["a"],
        evidence=said["e"],
        expires=datetime.fromtimestamp(said["x"], UTC),
        nonce=said["n"],
    )


def nonce(key: bytes, chain: str, approver: str, evidence: str) -> str:
    """Names one approver's answer about one evidence."""
    return hmac.new(key, f"{chain}\n{approver}\n{evidence}".encode(), hashlib.sha256).hexdigest()[:24]


def approval_of(chain: Chain) -> ApprovalState:
    """The chain's approval. Raises BusinessFailure where it has none."""
    if chain.approval is None:
        raise BusinessFailure(f"The chain {chain.id} has asked for no approval (it is {chain.status.value}).")
    return chain.approval


def _serializer(key: bytes) -> URLSafeSerializer:
    from itsdangerous import URLSafeSerializer

    return URLSafeSerializer(
        key, salt="genaiops-approval-1", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )
