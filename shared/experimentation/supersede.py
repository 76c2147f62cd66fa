"""A newer commit of the same use case, kind and branch supersedes the older chain.

One pointer per branch names the latest chain and the few before it. Taking the pointer is a conditional write; the
event to the older chain follows it, and is sent again by a redelivery, which finds the pointer taken and the older
chain in it.
"""

from __future__ import annotations

import hashlib
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.chain.messages import ChainSuperseded
from shared.chain.state import Chain
from shared.envelopes import send_event
from shared.errors import NotFound
from shared.names import ChainId
from shared.ports import Ports

CONTAINER: Final = "branches"
TOLD: Final = 5
"""So many chains before the latest are told; those that have ended do not mind."""


class _Latest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    chain: ChainId
    created_at: AwareDatetime
    before: tuple[ChainId, ...] = ()
    """The chains before it, the last first: a crash may have kept them from being told."""


def supersede_older(ports: Ports, chain: Chain) -> None:
    """Tell the older chain of this branch that it is superseded, or this one, if a newer chain was faster.

    Raises:
        Conflict: another chain of the branch took the pointer at the same time; try again.
    """
    request = chain.request
    if request.branch is None or request.commit is None:
        return
    branch = hashlib.sha256(request.branch.encode()).hexdigest()[:16]
    blob = f"{request.use_case}/{request.kind}/{request.environment}/{branch}.json"
    mine = _Latest(chain=chain.id, created_at=chain.created_at)
    try:
        content, etag = ports.blobs.read_with_etag(CONTAINER, blob)
    except NotFound:
        ports.blobs.write(CONTAINER, blob, mine.model_dump_json().encode(), if_absent=True)
        return
    latest = _Latest.model_validate_json(content)
    if latest.chain == chain.id:
        older = latest.before
    elif (latest.created_at, latest.chain) < (chain.created_at, chain.id):
        older = (latest.chain, *latest.before)[:TOLD]
        taken = mine.model_copy(update={"before": older})
        ports.blobs.write(CONTAINER, blob, taken.model_dump_json().encode(), if_match=etag)
    else:
        _tell(ports, chain.id, by=latest.chain)
        return
    for each in older:
        _tell(ports, each, by=chain.id)


def _tell(ports: Ports, older: str, by: str) -> None:
    send_event(ports, ChainSuperseded(id=f"{older}/superseded-by/{by}", chain=older, at=ports.clock.now(), by=by))
