"""Run events: Azure ML says, through Event Grid, that a run changed.

The event is only a hint: the command that started the run is put on its queue once more, as a look, and finds out for
itself. So an event may come twice, late or never; the scheduled look of the command races with it, and the first wins.
For events that never come, a timer asks the runner which runs have ended (`reconcile`). Event Grid and CloudEvents
schemas carry the same data: https://learn.microsoft.com/azure/event-grid/event-schema-machine-learning
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any, Final

from shared import chain_store, dead_letters, run_tags, telemetry
from shared.chain.messages import EvaluateRun, RunCell
from shared.claim_check import fetched
from shared.delivery import Delivery
from shared.envelopes import send_command
from shared.errors import Malformed, NotFound
from shared.ports import Ports

log = logging.getLogger("genaiops.run_events")

COMPLETED: Final = "Microsoft.MachineLearningServices.RunCompleted"
STATUS_CHANGED: Final = "Microsoft.MachineLearningServices.RunStatusChanged"
ENDED: Final = frozenset({"completed", "failed", "canceled", "finished"})
"""Statuses, in small letters, that a look finds something new at: a run passes through half a dozen others. The
documentation's events have small letters, the workspace's own answers have not."""

_LONGEST_SHOWN: Final = 300


def run_changed(ports: Ports, delivery: Delivery) -> None:
    """Handle a message of run-events: look at the run again, if a chain of ours started it."""
    with telemetry.handling(ports, "run event", delivery) as handling:
        try:
            delivery = fetched(ports, delivery)
            for event in _events(delivery.body):
                _look(ports, event)
        except Malformed as error:
            handling.failed("malformed", str(error))
            dead_letters.reject(ports, delivery, str(error))


def reconcile(ports: Ports, now: datetime) -> None:
    """Look at the runs that have ended and whose event was lost, or is late. Raises Throttled, Transient."""
    for tags in ports.runner.ended_unnoticed():
        try:
            command = run_tags.look_at(tags, now)
        except (TypeError, ValueError):
            log.warning("a run that has ended has no tags of a command: %s", sorted(tags))
            continue
        if not _is_ours(ports, command):  # sent, it would become a dead letter, every minute anew
            continue
        log.info("%s: its run has ended and nobody said so: looking at it", command.id)
        send_command(ports, command, f"{command.id}/reconciled/{now:%Y%m%d%H%M}", now)


def _events(body: bytes) -> list[dict[str, Any]]:
    """One event, or the list that Event Grid may deliver."""
    try:
        content = json.loads(body)
    except RecursionError:
        raise Malformed("The run event is nested too deeply. Expected an Event Grid or CloudEvents event.") from None
    except ValueError as error:
        raise Malformed(f"The run event is not JSON: {error}. Expected an Event Grid or CloudEvents event.") from error
    events = content if isinstance(content, list) else [content]
    for event in events:
        if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
            raise Malformed("The run event has no object `data`. Expected an Event Grid or CloudEvents event.")
    return events


def _look(ports: Ports, event: dict[str, Any]) -> None:
    kind = event.get("eventType") or event.get("type")
    data = event["data"]
    if kind != COMPLETED and (kind != STATUS_CHANGED or str(data.get("runStatus")).lower() not in ENDED):
        log.info("an event of type %s (%s) tells of no run's end", _shown(kind), _shown(data.get("runStatus")))
        return
    tags = data.get("runTags")
    if not isinstance(tags, dict) or run_tags.CHAIN not in tags:
        log.info("run %s was not started by a chain", _shown(data.get("runId")))
        return
    now = ports.clock.now()
    try:
        command = run_tags.look_at(tags, now)
    except (TypeError, ValueError) as error:
        named = {tag: tags.get(tag) for tag in (run_tags.CHAIN, run_tags.COMMAND, run_tags.CELL)}
        raise Malformed(
            f"The tags of run {_shown(data.get('runId'))} do not name a command: {_shown(named)}"
        ) from error
    if _is_ours(ports, command):
        send_command(ports, command, f"{command.id}/run-event/{event.get('id', '')}", now)


def _shown(value: object) -> str:
    """A value of an event in a line of the log: whoever may write to the queue chooses it, and line breaks too."""
    return repr(value)[:_LONGEST_SHOWN]


def _is_ours(ports: Ports, command: RunCell | EvaluateRun) -> bool:
    """Whether the chain is of this installation: others may share the workspace, and are told of by the same events."""
    try:
        chain_store.load(ports.blobs, command.chain)
    except (NotFound, Malformed) as error:
        log.info("%s: its run has ended and nobody here can look at it: %s", command.id, error)
        return False
    return True
