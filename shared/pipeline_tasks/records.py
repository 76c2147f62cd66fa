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
from shared.errors import Conflict, NotFound
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


class WaitsFor(StrEnum):
    """What a task waits for."""

    RESULT = "result"
    APPROVAL = "approval"
    """An environment's check: it wants to know what the approvers say, not how the chain ends."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
    """Of the task's plan, job and instance: the same task is the same record."""
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
    identifier = hashlib.sha256(f"{task.plan}\n{task.job}\n{task.instance}".lower().encode()).hexdigest()[:24]
    try:
        ports.blobs.info(CONTAINER, f"{_ENDED}/{chain}/{identifier}.json")
    except NotFound:
        pass
    else:
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
    return identifier


def opened(ports: Ports, chain: str | None = None) -> Iterator[tuple[OpenTask, str]]:
    """The tasks that wait for the chain (None: for any), each with the ETag of its record."""
    for info in ports.blobs.list(CONTAINER, f"{_OPEN}/{chain}/" if chain else f"{_OPEN}/"):
        try:
            content, etag = ports.blobs.read_with_etag(CONTAINER, info.name)
            yield OpenTask.model_validate_json(content), etag
        except NotFound:
            continue  # ended since it was listed
        except ValidationError as error:
            log.warning("left out: the record %s/%s cannot be read: %s", CONTAINER, info.name, problems(error))


def task(ports: Ports, record: OpenTask) -> PipelineTask:
    """The task with its token. Raises BusinessFailure where the token was sealed with another key."""
    return PipelineTask(
        plan_url=record.plan_url,
        project=record.project,
        hub=record.hub,
        plan=record.plan,
        job=record.job,
        timeline=record.timeline,
        instance=record.instance,
        token=unseal(ports.keys.key(TASK_TOKENS), record.sealed_token, context=_context(record.chain, record.id)),
    )


def change(ports: Ports, record: OpenTask, etag: str) -> str:
    """Replace the record that `etag` belongs to; returns the new ETag. Raises Conflict."""
    return ports.blobs.write(CONTAINER, record.blob, _json(record), if_match=etag)


def claim(ports: Ports, record: OpenTask, etag: str) -> tuple[OpenTask, str] | None:
    """Take the completion of the task over; None where somebody else is at it."""
    now = ports.clock.now()
    if record.claimed_at is not None and now - record.claimed_at < CLAIMED_FOR:
        return None
    claimed = record.model_copy(update={"claimed_at": now})
    try:
        return claimed, change(ports, claimed, etag)
    except Conflict:
        return None


def release(ports: Ports, record: OpenTask, etag: str) -> None:
    """Give a claim back: the completion failed and is tried again later."""
    try:
        change(ports, record.model_copy(update={"claimed_at": None}), etag)
    except Conflict:
        log.info("%s: the claim on the pipeline task %s was taken over", record.chain, record.id)


def end(ports: Ports, record: OpenTask, outcome: str) -> None:
    """Note how the task ended and remove its token for good."""
    ended = EndedTask(
        id=record.id, chain=record.chain, opened_at=record.opened_at, ended_at=ports.clock.now(), outcome=outcome
    )
    ports.blobs.write(CONTAINER, f"{_ENDED}/{record.chain}/{record.id}.json", _json(ended))
    ports.blobs.delete(CONTAINER, record.blob)


def _context(chain: str, identifier: str) -> str:
    return f"pipeline task {chain}/{identifier}"


def _json(record: _Record) -> bytes:
    return record.model_dump_json().encode()
