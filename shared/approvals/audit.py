"""Proof of what was asked and answered: one line for every view, answer and refusal, in a log that only grows.

The lines lie beside the answers, `approvals/<chain>/audit.jsonl`, and in the app's log. A link that was forged names no
chain that could be trusted: it shows in the app's log alone, so that nobody fills the store. No line holds a token.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import NotFound
from shared.visible import visible

if TYPE_CHECKING:
    from shared.pages.http import Request
    from shared.ports import Ports

CONTAINER: Final = "approvals"
VIEWED: Final = "viewed"
LONGEST: Final = 200
"""Characters of a user agent that are kept."""

log = logging.getLogger("genaiops.approvals")


class AuditLine(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: datetime
    method: str
    approver: str | None = None
    """Whose link it was, or which approver the signed-in person is."""
    signed_in: str | None = None
    outcome: str
    """`viewed`, `report`, `approved`, `rejected`, `sign-in`, or `refused`."""
    status: int
    """Of the answer to the request."""
    reason: str = ""
    """Of a refusal: the page's title."""
    agent: str = ""
    """The browser, as it calls itself."""


def write(
    ports: Ports,
    chain: str | None,
    request: Request,
    *,
    outcome: str,
    status: int,
    approver: str | None = None,
    signed_in: str | None = None,
    reason: str = "",
) -> None:
    """Write one line. Without a chain it goes to the app's log alone.

    A page keeps itself up to date by fetching itself: of one person in one browser that counts as the one view.
    """
    line = AuditLine(
        at=ports.clock.now(),
        method=request.method[:10],
        approver=approver,
        signed_in=signed_in,
        outcome=outcome,
        status=status,
        reason=reason,
        agent=visible(request.user_agent[:LONGEST]),
    )
    if chain is not None and outcome == VIEWED and request.by_script and _was_viewed(ports, chain, line):
        return
    text = json.dumps(line.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    log.info("%s: approval page: %s", chain or "no chain", text)
    if chain is not None:
        ports.blobs.append(CONTAINER, f"{chain}/audit.jsonl", text.encode("utf-8", "replace") + b"\n")


def read(ports: Ports, chain: str) -> Iterator[AuditLine]:
    """The lines, the oldest first; what a crash has cut off is left out."""
    try:
        content = ports.blobs.read(CONTAINER, f"{chain}/audit.jsonl")
    except NotFound:
        return
    for text in content.splitlines():
        try:
            yield AuditLine.model_validate_json(text)
        except ValidationError:
            continue


def _was_viewed(ports: Ports, chain: str, line: AuditLine) -> bool:
    # Only written views count: who claims to be a script, but has never opened the page, gets a line all the same.
    same = (line.approver, line.signed_in, line.agent)
    return any(
        before.outcome == VIEWED and (before.approver, before.signed_in, before.agent) == same
        for before in read(ports, chain)
    )
