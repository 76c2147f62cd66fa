"""Records of tasks that wait: `tasks/open/<chain>/<id>.json` with the token sealed, `tasks/ended/…` without any token.

A record is opened before its chain begins and ended after the task was completed, so that a crash in between repeats
the completion instead of forgetting it. Who completes claims the record first: two that come at once complete once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.chain.messages import problems
from shared.errors import BusinessFailure, Conflict, NotFound
from shared.names import ChainId
from shared.ports import PipelineTask, Ports
from shared.ports.keys import TASK_TOKENS
from shared.sealing import seal, unseal

log = logging.getLogger("genaiops.tasks")

CONTAINER: Final = "tasks"
_OPEN: Final = "open"
_ENDED: Final = "ended"
CLAIMED_FOR: Final = timedelta(minutes=3)
"""How long a completion may take; whoever claimed it longer ago has crashed."""
_CLAIM_ATTEMPTS: Final = 5


class WaitsFor(StrEnum):
    """What a task waits for."""

    RESULT = "result"
    APPROVAL = "approval"
    """An environment's check: it wants to know what the approvers say, not how the chain ends."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
    """Of the task's plan, job, instance and token: the same message is the same record."""
    chain: ChainId
    opened_at: AwareDatetime


class OpenTask(_Record):
    """A task that waits."""

    waits_for: WaitsFor
    plan_url: str
    project: str
    hub: str
    plan: str
    job: str
    timeline: str
    instance: str
    sealed_token: str
    shown: Annotated[int, Field(ge=0)] = 0
    """The last line of the chain's log that it was shown."""
    deaf: bool = False
    """Whether it could not be shown lines: only its completion is tried from then on."""
    claimed_at: AwareDatetime | None = None
    """Since when somebody is completing it."""

    @property
    def blob(self) -> str:
        """Its name in the container."""
        return f"{_OPEN}/{self.chain}/{self.id}.json"


class EndedTask(_Record):
    """A task that waits no more."""

    ended_at: AwareDatetime
    outcome: str
    """`succeeded`, `failed`, or `gone` where the service knows it no more."""


def open_task(ports: Ports, chain: str, task: PipelineTask, *, waits_for: WaitsFor = WaitsFor.RESULT) -> str:
    """Record that the task waits for the chain; one that is recorded, or ended, stays so. Returns its id."""
    identifier = identifier_of(task)
    if _wipe_ended(ports, chain, identifier):
        return identifier
    record = OpenTask(
        id=identifier,
        chain=chain,
        opened_at=ports.clock.now(),
        waits_for=waits_for,
        plan_url=task.plan_url,
        project=task.project,
        hub=task.hub,
        plan=task.plan,
        job=task.job,
        timeline=task.timeline,
        instance=task.instance,
        sealed_token=seal(ports.keys.key(TASK_TOKENS), task.token, context=_context(chain, identifier)),
    )
    try:
        ports.blobs.write(CONTAINER, record.blob, _json(record), if_absent=True)
    except Conflict:
        log.info("%s: the pipeline task %s waits already", chain, identifier)
    # It may have ended between the look and the write: the record that was just written would complete it again.
    _wipe_ended(ports, chain, identifier)
    return identifier


def identifier_of(task: PipelineTask) -> str:
    """Names the task's record.

    The token belongs to it: whether a check that is evaluated again keeps its ids is documented nowhere, and a forged
    message with a job's ids must not keep the job's own message out.
    """
    ids = f"{task.plan}\n{task.job}\n{task.instance}".lower()
    return hashlib.sha256(f"{ids}\n{task.token}".encode()).hexdigest()[:24]


def opened(ports: Ports, chain: str | None = None) -> Iterator[tuple[OpenTask, str]]:
    """The tasks that wait for the chain (None: for any), each with the ETag of its record."""
    for info in ports.blobs.list(CONTAINER, f"{_OPEN}/{chain}/" if chain else f"{_OPEN}/"):
        found = _read(ports, info.name)
        if found is not None:
            yield found


def find(ports: Ports, chain: str, identifier: str) -> tuple[OpenTask, str] | None:
    """The record of this task, if it waits for the chain."""
    return _read(ports, f"{_OPEN}/{chain}/{identifier}.json")


def task(ports: Ports, record: OpenTask) -> PipelineTask:
    """The task with its token.

    Raises:
        NotFound: the token was sealed with a key that is gone: it can never be opened.
        Throttled, Transient, BusinessFailure: the key cannot be had, for now or until somebody gives the right.
    """
    key = ports.keys.key(TASK_TOKENS)
    try:
        token = unseal(key, record.sealed_token, context=_context(record.chain, record.id))
    except BusinessFailure as error:
        raise NotFound(str(error)) from error
    return PipelineTask(
        plan_url=record.plan_url,
        project=record.project,
        hub=record.hub,
        plan=record.plan,
        job=record.job,
        timeline=record.timeline,
        instance=record.instance,
        token=token,
    )


def change(ports: Ports, record: OpenTask, etag: str) -> str:
    """Replace the record that `etag` belongs to; returns the new ETag. Raises Conflict."""
    return ports.blobs.write(CONTAINER, record.blob, _json(record), if_match=etag)


def claim(ports: Ports, record: OpenTask, etag: str) -> tuple[OpenTask, str] | None:
    """Take the completion of the task over; None where somebody else is at it, or it has ended."""
    if _wipe_ended(ports, record.chain, record.id):
        return None  # a crash came after its completion was noted and before its record was removed
    for _ in range(_CLAIM_ATTEMPTS):
        now = ports.clock.now()
        if record.claimed_at is not None and now - record.claimed_at < CLAIMED_FOR:
            return None
        claimed = record.model_copy(update={"claimed_at": now})
        try:
            return claimed, change(ports, claimed, etag)
        except Conflict:
            # Perhaps only lines were shown meanwhile: then nobody else would complete it.
            found = _read(ports, record.blob)
            if found is None:
                return None
            record, etag = found
    return None


def release(ports: Ports, record: OpenTask, etag: str) -> None:
    """Give a claim back: the completion failed and is tried again later."""
    try:
        change(ports, record.model_copy(update={"claimed_at": None}), etag)
    except Conflict:
        log.info("%s: the claim on the pipeline task %s was taken over", record.chain, record.id)


def end(ports: Ports, record: OpenTask, outcome: str) -> None:
    """Note how the task ended and remove its token for good. How it was noted first stays."""
    ended = EndedTask(
        id=record.id, chain=record.chain, opened_at=record.opened_at, ended_at=ports.clock.now(), outcome=outcome
    )
    try:
        ports.blobs.write(CONTAINER, _ended_blob(record.chain, record.id), _json(ended), if_absent=True)
    except Conflict:  # who took a slow completion over is told `gone` by the service: it was not
        log.info("%s: the end of the pipeline task %s was noted before", record.chain, record.id)
    ports.blobs.delete(CONTAINER, record.blob)


def _wipe_ended(ports: Ports, chain: str, identifier: str) -> bool:
    """Whether the task has ended; then nothing of it stays open."""
    try:
        ports.blobs.info(CONTAINER, _ended_blob(chain, identifier))
    except NotFound:
        return False
    ports.blobs.delete(CONTAINER, f"{_OPEN}/{chain}/{identifier}.json")
    return True


def _read(ports: Ports, blob: str) -> tuple[OpenTask, str] | None:
    try:
        content, etag = ports.blobs.read_with_etag(CONTAINER, blob)
        return OpenTask.model_validate_json(content), etag
    except NotFound:
        return None  # ended since it was listed
    except ValidationError as error:
        log.warning("left out: the record %s/%s cannot be read: %s", CONTAINER, blob, problems(error))
        return None


def _ended_blob(chain: str, identifier: str) -> str:
    return f"{_ENDED}/{chain}/{identifier}.json"


def _context(chain: str, identifier: str) -> str:
    return f"pipeline task {chain}/{identifier}"


def _json(record: _Record) -> bytes:
    return record.model_dump_json().encode()
