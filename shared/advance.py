"""One event → one decision → one conditional write → its messages sent: the loop that carries every chain.

State, outbox and new log lines are one write, conditional on the ETag. Then the log lines are appended, the outbox is
sent, and a second conditional write empties both. A crash in between leaves the outbox where the redelivered event, or
`housekeeping`, finds and sends it again: every message has a fixed id, so the repeat is dropped or found stale.
"""

from __future__ import annotations

import logging
from typing import Final

from pydantic import ValidationError

from shared import chain_store, dead_letters, telemetry
from shared.chain.decide import decide
from shared.chain.messages import (
    AnyEvent,
    AzureDevOps,
    ChainRequest,
    ChainRequested,
    Queue,
    event_id,
    parse_event,
    parse_request,
)
from shared.chain.state import Chain
from shared.claim_check import fetched, send
from shared.delivery import Delivery
from shared.envelopes import addressed
from shared.errors import Conflict, Malformed, NotFound, Transient
from shared.names import chain_id
from shared.pipeline_tasks import progress, records
from shared.pipeline_tasks.properties import task_of
from shared.ports import OutgoingMessage, PipelineTask, Ports
from shared.telemetry import chains

log = logging.getLogger("genaiops.chain")

ATTEMPTS: Final = 5
"""How often a lost conditional write is tried again before the event goes back to its queue."""


def start(ports: Ports, delivery: Delivery) -> None:
    """Handle a message of chain-requests: begin the chain that it asks for, or find it begun."""
    with telemetry.handling(ports, "start chain", delivery) as handling:
        try:
            delivery = fetched(ports, delivery)
            request = parse_request(delivery.body)
            task = task_of(ports, delivery.properties)
            request = _placed(ports, request, task)
            identifier = chain_id(request.use_case, request.kind, request.request_id)
            event = ChainRequested(id=event_id(identifier), chain=identifier, at=delivery.enqueued_at, request=request)
        except (Malformed, ValidationError) as error:
            handling.failed("malformed", str(error))
            dead_letters.reject(ports, delivery, str(error))
            return
        handling.tell(chain=identifier, event=event.type)
        # Before the chain begins: a crash in between repeats the request and finds the record.
        waiting = records.open_task(ports, identifier, task) if task is not None else None
        apply(ports, event)
        if waiting is not None:  # of a chain that has ended, or moves on without another line
            progress.ask(ports, identifier, f"task/{waiting}")


def _placed(ports: Ports, request: ChainRequest, task: PipelineTask | None) -> ChainRequest:
    """The request with the place that its task names, if it names none itself.

    Raises:
        Malformed: its place is none that the settings allow.
    """
    place = request.azure_devops
    if place is None:
        if task is None:
            return request
        place = AzureDevOps(collection=task.plan_url.rstrip("/"), project=task.project)
        return request.model_copy(update={"azure_devops": place})
    if why := ports.pipelines.refusal(place.collection):
        raise Malformed(f"azure_devops.collection: {why}")
    return request


def advance(ports: Ports, delivery: Delivery) -> None:
    """Handle a message of chain-events."""
    with telemetry.handling(ports, "advance chain", delivery) as handling:
        try:
            delivery = fetched(ports, delivery)
            event = parse_event(delivery.body)
        except Malformed as error:
            handling.failed("malformed", str(error))
            dead_letters.reject(ports, delivery, str(error))
            return
        handling.name = f"advance {event.type}"
        handling.tell(chain=event.chain, event=event.type)
        apply(ports, event)


def apply(ports: Ports, event: AnyEvent) -> None:
    """Let the chain answer the event.

    Raises:
        Transient: other writers were faster every time; deliver the event again.
    """
    for _ in range(ATTEMPTS):
        try:
            _apply_once(ports, event)
        except Conflict:
            log.info("%s: somebody else wrote the chain; deciding %s again", event.chain, event.type)
        else:
            return
    raise Transient(f"The chain {event.chain} was written by others {ATTEMPTS} times in a row.")


def _apply_once(ports: Ports, event: AnyEvent) -> None:
    try:
        chain, etag = chain_store.load(ports.blobs, event.chain)
    except NotFound:
        chain, etag = None, ""
    if chain is not None and (chain.outbox or chain.journal):  # a crash came between the write and the sending
        chain, etag = relay(ports, chain, etag)
    decision = decide(chain, event)
    if decision.stale or decision.chain is None:
        _tell(chain, "stale")
        log.info("%s: %s changes nothing: %s", event.chain, event.type, decision.stale)
        return
    decided = decision.chain.model_copy(update={"outbox": decision.messages})
    etag = chain_store.save(ports.blobs, decided, etag) if etag else chain_store.create(ports.blobs, decided)
    _tell(decided, decided.status)
    chains.moved(chain, decided)
    relay(ports, decided, etag)


def _tell(chain: Chain | None, outcome: str) -> None:
    handling = telemetry.current()
    if handling is not None and chain is not None:
        step = chain.step.step.value if chain.step is not None else None
        handling.tell(kind=chain.request.kind, use_case=chain.request.use_case, step=step)
        handling.tell(outcome=outcome)


def relay(ports: Ports, chain: Chain, etag: str) -> tuple[Chain, str]:
    """Append the journal, send the outbox, empty both. Raises Conflict if somebody else wrote the chain."""
    chain_store.append_log(ports.blobs, chain.id, chain.journal)
    for entry in chain.journal:
        log.log(logging.getLevelName(entry.level.upper()), "%s: %s", chain.id, entry.text)
    by_queue: dict[Queue, list[OutgoingMessage]] = {}
    for outgoing in chain.outbox:
        queue, message = addressed(outgoing)
        by_queue.setdefault(queue, []).append(message)
    if chain.journal and chain.request.azure_devops is not None:
        by_queue.setdefault(Queue.NOTIFICATION, []).append(progress.message(ports, chain.id, str(chain.log_lines)))
    for queue, messages in by_queue.items():
        send(ports, queue, messages)
    sent = chain.model_copy(update={"outbox": (), "journal": ()})
    return sent, chain_store.save(ports.blobs, sent, etag)
