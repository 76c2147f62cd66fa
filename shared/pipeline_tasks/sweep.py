"""What housekeeping and dead letters do for tasks that wait: nobody waits for a message that was lost or refused."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared import chain_store
from shared.chain.messages import parse_request
from shared.errors import BusinessFailure, GenAIOpsError, Malformed, NotFound
from shared.names import chain_id
from shared.pipeline_tasks import completion, progress, properties, records
from shared.process_secrets import hidden

if TYPE_CHECKING:
    from shared.delivery import Delivery
    from shared.ports import PipelineTask, Ports

log = logging.getLogger("genaiops.tasks")

GRACE: Final = timedelta(seconds=60)
"""How long an end may be known before somebody else than the chain's own step tells the task."""
NEVER_BEGAN: Final = timedelta(hours=1)
GIVEN_UP: Final = timedelta(days=4)
"""Azure Pipelines lets a server task wait for three days at most."""


def remind(ports: Ports, now: datetime) -> None:
    """Ask for progress on every task whose end is known and which still waits; end those that nobody can wait for."""
    for record, etag in records.opened(ports):
        try:
            _look_after(ports, record, etag, now)
        except GenAIOpsError as error:  # one task's trouble must not keep the timer from the others
            log.warning("%s: the pipeline task %s is looked at again: %s", record.chain, record.id, error)


def _look_after(ports: Ports, record: records.OpenTask, etag: str, now: datetime) -> None:
    age = now - record.opened_at
    if age > GIVEN_UP:
        log.warning("%s: the pipeline task %s has waited for %s and is given up", record.chain, record.id, age)
        records.end(ports, record, "gone")
        return
    try:
        chain, _ = chain_store.load(ports.blobs, record.chain)
    except NotFound:
        if age > NEVER_BEGAN:
            _fail(ports, record, etag, "The chain never began.")
        return
    known_since = max(chain.updated_at, record.opened_at)
    if completion.answer_for(chain, record.waits_for) is not None and now - known_since > GRACE:
        progress.ask(ports, chain.id, f"sweep/{record.id}/{now:%Y%m%dT%H%M}")


def refuse(ports: Ports, delivery: Delivery, reason: str) -> None:
    """Complete the task of a request that no chain came of as failed, so that its pipeline ends with the reason.

    A chain that has begun completes the task that waits for it, whatever became of the message after that.

    Raises Throttled or Transient: the message comes again.
    """
    try:
        task = properties.task_of(ports, delivery.properties)
    except Malformed as error:
        log.warning("the pipeline task of a refused request cannot be told: %s", error)
        return
    if task is None:
        return
    chain = _chain_of(delivery.body)
    if chain is None:
        _tell(ports, task, reason)
        return
    if records.find(ports, chain, records.identifier_of(task)) is not None and _has_begun(ports, chain):
        log.info("%s: a request of a chain that has begun was given up: its task waits for the chain", chain)
        return
    # As a record, like every other: noted once, however often the message comes.
    found = records.find(ports, chain, records.open_task(ports, chain, task))
    if found is not None:
        _fail(ports, *found, reason)


def _chain_of(body: bytes) -> str | None:
    """The chain that the request asks for, if it can be read."""
    try:
        request = parse_request(body)
        return chain_id(request.use_case, request.kind, request.request_id)
    except Malformed:
        return None


def _has_begun(ports: Ports, chain: str) -> bool:
    try:
        chain_store.load(ports.blobs, chain)
    except NotFound:
        return False
    except Malformed as error:
        log.warning("%s", error)
    return True


def _tell(ports: Ports, task: PipelineTask, reason: str) -> None:
    log_text, summary = _why(reason)
    try:
        ports.pipelines.finish(task, succeeded=False, log=log_text, summary=summary)
    except (NotFound, BusinessFailure) as error:
        log.warning("the pipeline task of a refused request cannot be told: %s", error)


def _fail(ports: Ports, record: records.OpenTask, etag: str, reason: str) -> None:
    claimed = records.claim(ports, record, etag)
    if claimed is None:
        return
    log_text, summary = _why(reason)
    try:
        completion.finish(ports, claimed[0], succeeded=False, log_text=log_text, summary=summary)
    except GenAIOpsError:
        records.release(ports, *claimed)
        raise


def _why(reason: str) -> tuple[str, str]:
    """Log and summary."""
    from shared.notification.final_log import plain
    from shared.notification.markdown import escaped

    said = hidden(reason)  # it may quote the request, which anybody may have written
    return f"##[error]{plain(said, 2_000)}\n", f"No chain was started: {escaped(said, 2_000)}"
