"""What a timer repairs: unsent outboxes, approvals whose time has passed, runs whose event was lost, stuck letters.

Redelivery repairs nearly everything by itself; this is for what has no message left that could come again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from shared import chain_store, claim_check, run_events, stuck_letters, telemetry
from shared.advance import relay
from shared.chain.messages import ApprovalTimedOut
from shared.chain.state import Chain, ChainStatus
from shared.envelopes import send_event
from shared.errors import Conflict, GenAIOpsError
from shared.pipeline_tasks import sweep as pipeline_tasks
from shared.ports import Ports
from shared.telemetry import chains

log = logging.getLogger("genaiops.housekeeping")

GRACE: Final = timedelta(seconds=30)
"""How old an unsent outbox, or a passed deadline, must be: before that, whoever works on it is still at it."""

STUCK_EVERY_MIN: Final = 5
"""Minutes between looks for dead letters that their trigger cannot take."""


def sweep(ports: Ports) -> None:
    """Look at every chain that has not ended."""
    with telemetry.handling(ports, "housekeeping"):
        now = ports.clock.now()
        unfinished = list(chain_store.unfinished(ports.blobs, now))
        chains.seen(unfinished, now)
        for chain in unfinished:
            try:
                _look_after(ports, chain, now)
            except GenAIOpsError:  # one chain's trouble must not keep the timer from the others
                log.exception("%s: housekeeping failed; the next sweep tries again", chain.id)
        _reconcile_runs(ports, now)
        _remind_tasks(ports, now)
        _tidy_messages(ports, now)


def _reconcile_runs(ports: Ports, now: datetime) -> None:
    try:
        run_events.reconcile(ports, now)
    except GenAIOpsError:  # a busy workspace must not keep the timer from the rest
        log.exception("runs could not be reconciled; the next sweep tries again")


def _remind_tasks(ports: Ports, now: datetime) -> None:
    try:
        pipeline_tasks.remind(ports, now)
    except GenAIOpsError:
        log.exception("pipeline tasks that wait could not be looked at; the next sweep tries again")


def _tidy_messages(ports: Ports, now: datetime) -> None:
    """Every few minutes, and every hour: sweeps that miss the minute leave it to the next."""
    if now.minute % STUCK_EVERY_MIN == 0:
        _tidy(lambda: stuck_letters.record_stuck(ports))
    if now.minute == 0:
        _tidy(lambda: claim_check.remove_old(ports, now))


def _tidy(work: Callable[[], object]) -> None:
    try:
        work()
    except GenAIOpsError:
        log.exception("messages could not be tidied up; a later sweep tries again")


def _look_after(ports: Ports, chain: Chain, now: datetime) -> None:
    if (chain.outbox or chain.journal) and now - chain.updated_at >= GRACE:
        _resend(ports, chain.id)
    approval = chain.approval
    if chain.status is ChainStatus.AWAITING_APPROVAL and approval and now >= approval.deadline + GRACE:
        log.warning("%s: the approval's time has passed and nobody said so: saying it", chain.id)
        send_event(ports, _timed_out(ports, chain))


def _resend(ports: Ports, chain_id: str) -> None:
    chain, etag = chain_store.load(ports.blobs, chain_id)
    if not chain.outbox and not chain.journal:
        return
    log.warning("%s: sending %d messages that a crash left in the outbox", chain_id, len(chain.outbox))
    try:
        relay(ports, chain, etag)
    except Conflict:
        log.info("%s: somebody else sent them", chain_id)


def _timed_out(ports: Ports, chain: Chain) -> ApprovalTimedOut:
    assert chain.approval is not None
    evidence = chain.approval.evidence
    return ApprovalTimedOut(
        id=f"{chain.id}/approval/{evidence[:12]}/timeout/swept", chain=chain.id, at=ports.clock.now(), evidence=evidence
    )
