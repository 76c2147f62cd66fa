"""Brings what waits for a chain up to date: log lines, a pending status on its pull request, known ends.

Nothing here fails the chain: what could not be shown now is shown with the next line, and what could not be completed
is completed by `FinishTask` or by housekeeping.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shared import chain_store
from shared.chain.commands import ShowProgress
from shared.chain.messages import Queue
from shared.chain.state import ChainStatus
from shared.claim_check import send
from shared.envelopes import envelope
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, NotFound
from shared.pipeline_tasks import completion, records
from shared.pipeline_tasks.records import OpenTask, WaitsFor

if TYPE_CHECKING:
    from shared.chain.state import Chain, LogEntry
    from shared.ports import OutgoingMessage, Ports

log = logging.getLogger("genaiops.tasks")

PENDING: Final = "pending"
_SAYING: Final = b"saying"
_SAID: Final = b"said"


def message(ports: Ports, chain: str, occasion: str) -> OutgoingMessage:
    """Says that there may be something new to show; `occasion` tells one such message from another."""
    command = ShowProgress(id=f"{chain}/0", chain=chain, issued_at=ports.clock.now())
    return envelope(command, f"{chain}/progress/{occasion}")


def ask(ports: Ports, chain: str, occasion: str) -> None:
    """Let the notification function look at the chain and its tasks."""
    send(ports, Queue.NOTIFICATION, [message(ports, chain, occasion)])


def show(ports: Ports, chain: Chain) -> None:
    """Show what is new. Passing faults are logged; a later occasion tries again."""
    for work in (_show_status, _show_lines, completion.complete):
        try:
            work(ports, chain)
        except GenAIOpsError as error:
            log.warning("%s: its progress could not be shown for now: %s", chain.id, error)


def _show_status(ports: Ports, chain: Chain) -> None:
    """Say on the pull request, once, that the chain has begun: a policy that requires the status waits for it."""
    from shared.notification import pull_request

    if not pull_request.is_told(ports, chain):
        return
    if pull_request.is_decided(chain):
        _mend_status(ports, chain)
        return
    try:
        ports.blobs.write(records.CONTAINER, _status_blob(chain), _SAYING, if_absent=True)
    except Conflict:
        return  # said before, or somebody else is at it
    try:
        pull_request.set_status(ports, chain)
    except (NotFound, BusinessFailure) as error:
        log.warning("%s: its pull request cannot be told that it has begun: %s", chain.id, error)
    except GenAIOpsError:
        ports.blobs.delete(records.CONTAINER, _status_blob(chain))  # the next occasion tries again
        raise
    # The chain may have ended while this was under way: then this came after its last status, and must not stay.
    now, _ = chain_store.load(ports.blobs, chain.id)
    if pull_request.is_decided(now):
        _mend_status(ports, now)
    else:
        ports.blobs.write(records.CONTAINER, _status_blob(chain), _SAID)


def _mend_status(ports: Ports, chain: Chain) -> None:
    """Say how the chain ends once more where it is not known when the pending status was set: perhaps after it."""
    from shared.notification import pull_request

    try:
        said = ports.blobs.read(records.CONTAINER, _status_blob(chain))
    except NotFound:
        return  # it was never set
    if said == _SAID or chain.outcome is ChainStatus.SUPERSEDED:
        return  # the newer chain speaks for the pull request
    try:
        pull_request.set_status(ports, chain)
    except (NotFound, BusinessFailure) as error:
        log.warning("%s: its pull request cannot be told how it ends: %s", chain.id, error)
    ports.blobs.write(records.CONTAINER, _status_blob(chain), _SAID)


def _status_blob(chain: Chain) -> str:
    return f"{PENDING}/{chain.id}"


def _show_lines(ports: Ports, chain: Chain) -> None:
    waiting = [found for found in records.opened(ports, chain.id) if found[0].waits_for is WaitsFor.RESULT]
    if not waiting:
        return
    lines = {entry.number: entry for entry in chain_store.read_log(ports.blobs, chain.id)}
    newest = max(lines, default=0)
    faults: list[GenAIOpsError] = []
    for record, etag in waiting:
        if record.deaf or record.claimed_at is not None or record.shown >= newest:
            continue
        # Noted before they are sent: who comes at the same time then shows other lines, or none.
        told = record.model_copy(update={"shown": newest})
        try:
            told_etag = records.change(ports, told, etag)
        except Conflict:
            continue
        try:
            _tell(ports, record, told_etag, [lines[number] for number in sorted(lines) if number > record.shown])
        except GenAIOpsError as fault:  # the others see them now
            faults.append(fault)
    if faults:
        raise faults[0]


def _tell(ports: Ports, record: OpenTask, etag: str, entries: list[LogEntry]) -> None:
    from shared.notification.final_log import log_line

    try:
        ports.pipelines.tell(records.task(ports, record), [log_line(entry) for entry in entries])
    except (NotFound, BusinessFailure) as error:
        log.warning("%s: the pipeline task %s takes no lines: %s", record.chain, record.id, error)
        _change_quietly(ports, record.model_copy(update={"deaf": True}), etag)
    except GenAIOpsError:
        _change_quietly(ports, record, etag)  # as it was: the next occasion shows these lines
        raise


def _change_quietly(ports: Ports, record: OpenTask, etag: str) -> None:
    try:
        records.change(ports, record, etag)
    except Conflict:
        log.debug("%s: the record of the pipeline task %s was changed by somebody else", record.chain, record.id)
