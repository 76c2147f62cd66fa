"""What housekeeping and dead letters do for tasks that wait: nobody waits for a message that was lost or refused."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared import chain_store
from shared.errors import BusinessFailure, Malformed, NotFound
from shared.pipeline_tasks import completion, progress, properties, records
from shared.process_secrets import hidden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ports import Ports

log = logging.getLogger("genaiops.tasks")

GRACE: Final = timedelta(seconds=60)
"""How long an end may be known before somebody else than the chain's own step tells the task."""
NEVER_BEGAN: Final = timedelta(hours=1)
GIVEN_UP: Final = timedelta(days=4)
"""Azure Pipelines lets a server task wait for three days at most."""


def remind(ports: Ports, now: datetime) -> None:
    """Ask for progress on every task whose end is known and which still waits; end those that nobody can wait for."""
    for record, _ in records.opened(ports):
        age = now - record.opened_at
        if age > GIVEN_UP:
            log.warning("%s: the pipeline task %s has waited for %s and is given up", record.chain, record.id, age)
            records.end(ports, record, "gone")
            continue
        try:
            chain, _etag = chain_store.load(ports.blobs, record.chain)
        except NotFound:
            if age > NEVER_BEGAN:
                _fail(ports, record, "The chain never began.")
            continue
        except Malformed as error:
            log.warning("left out: %s", error)
            continue
        known_since = max(chain.updated_at, record.opened_at)
        if completion.answer_for(chain, record.waits_for) is not None and now - known_since > GRACE:
            progress.ask(ports, chain.id, f"sweep/{record.id}/{now:%Y%m%dT%H%M}")


def refuse(ports: Ports, given: Mapping[str, str], reason: str) -> None:
    """Complete the task of a request that no chain came of as failed, so that its pipeline ends with the reason.

    Raises Throttled or Transient: the message comes again.
    """
    try:
        task = properties.task_of(ports, given)
    except Malformed as error:
        log.warning("the pipeline task of a refused request cannot be told: %s", error)
        return
    if task is None:
        return
    try:
        ports.pipelines.finish(
            task,
            succeeded=False,
            log=f"##[error]{_one_line(reason)}\n",
            summary=f"No chain was started: {_one_line(reason)}",
        )
    except (NotFound, BusinessFailure) as error:
        log.warning("the pipeline task of a refused request cannot be told: %s", error)


def _fail(ports: Ports, record: records.OpenTask, reason: str) -> None:
    try:
        ports.pipelines.finish(records.task(ports, record), succeeded=False, log=f"##[error]{reason}\n", summary=reason)
        records.end(ports, record, "failed")
    except (NotFound, BusinessFailure) as error:
        log.warning("%s: the pipeline task %s cannot be completed: %s", record.chain, record.id, error)
        records.end(ports, record, "gone")


def _one_line(text: str) -> str:
    from shared.notification.final_log import plain

    return plain(hidden(text), 2_000)
