"""Dead letters: messages that nobody could handle, kept as records until a person replays or discards them.

Two ways lead here. A handler that finds a message malformed records it at once (retrying would not help). The queue
system moves a message that failed too often to its dead-letter queue, whose trigger records it. In both cases the chain
that the message speaks of, if it can be named, is told, so that it fails with the reason instead of waiting.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import re
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared import chain_store, telemetry
from shared.chain.messages import CommandFailed, Queue, event_id, problems
from shared.claim_check import fetched, send
from shared.delivery import Delivery
from shared.envelopes import send_event
from shared.errors import BusinessFailure, GenAIOpsError, Malformed, NotFound
from shared.pipeline_tasks import sweep
from shared.ports import OutgoingMessage, Ports
from shared.process_secrets import hidden
from shared.telemetry import chains

log = logging.getLogger("genaiops.dead_letters")

CONTAINER: Final = "dead-letters"
PREVIEW: Final = 2_000
REFUSALS: Final = 8
"""Deliveries on the dead-letter queue in which a refused request's pipeline may be told, before it is given up."""
_COMMAND = re.compile(r"[a-z0-9][a-z0-9_-]{0,95}/[0-9]{1,9}")


class DeadLetter(BaseModel):
    """One message that nobody could handle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """`<queue>-<16 hex of the SHA-256 of message id and body>`: recording it again finds the record."""
    queue: Queue
    message_id: str
    session_id: str | None
    chain: str | None
    """The chain that it speaks of, if it can be named."""
    reason: str
    description: str
    delivery_count: Annotated[int, Field(ge=0)]
    enqueued_at: AwareDatetime
    dead_lettered_at: AwareDatetime
    body_base64: str

    @field_validator("body_base64")
    @classmethod
    def _can_be_decoded(cls, value: str) -> str:
        base64.b64decode(value)  # binascii.Error is a ValueError
        return value

    @property
    def body(self) -> bytes:
        """The message's body."""
        return base64.b64decode(self.body_base64)

    @property
    def body_preview(self) -> str:
        """The beginning of the body as text; bytes that are no UTF-8 are replaced."""
        return hidden(self.body[:PREVIEW].decode("utf-8", "replace"))


def reject(ports: Ports, delivery: Delivery, description: str) -> None:
    """Record a malformed message at once; it is not delivered again."""
    _record(ports, delivery, "Malformed", description)


def record(ports: Ports, delivery: Delivery) -> None:
    """Record a message of a dead-letter queue, and tell its chain."""
    reason = delivery.dead_letter_reason or "MaxDeliveryCountExceeded"
    description = delivery.dead_letter_description or (
        f"The message failed at each of its deliveries ({delivery.count} or more); the function's log has the errors."
    )
    with telemetry.handling(ports, "record dead letter", delivery):
        try:
            delivery = fetched(ports, delivery)
        except Malformed as error:  # what is left of it is kept, with why there is no more
            description = f"{description} {error}"
        _record(ports, delivery, reason, description)


def listed(ports: Ports) -> list[DeadLetter]:
    """All dead letters, newest first; a record that cannot be read is logged and left out."""
    letters = []
    for info in ports.blobs.list(CONTAINER):
        try:
            letters.append(_read(ports, info.name))
        except NotFound:
            continue  # replayed or discarded just now
        except Malformed as error:
            log.warning("left out: %s", error)
    return sorted(letters, key=lambda letter: letter.dead_lettered_at, reverse=True)


def find(ports: Ports, identifier: str) -> DeadLetter:
    """The dead letter of that id. Raises NotFound, and Malformed where its record cannot be read."""
    for info in ports.blobs.list(CONTAINER):
        if info.name == f"{identifier}.json":
            return _read(ports, info.name)
    raise NotFound(f"There is no dead letter {identifier!r}; `dead-letters list` shows those there are.")


def replay(ports: Ports, identifier: str) -> DeadLetter:
    """Send the message to its queue again and remove the record.

    Raises:
        NotFound: there is no such dead letter.
        BusinessFailure: its chain has ended, so that the message could change nothing.
    """
    letter = find(ports, identifier)
    if letter.chain and letter.queue is not Queue.CHAIN_REQUESTS:
        try:
            chain, _ = chain_store.load(ports.blobs, letter.chain)
        except NotFound:
            chain = None
        if chain is not None and chain.status.is_final:
            raise BusinessFailure(
                f"The chain {letter.chain} has ended as {chain.status}: the message would change nothing. "
                "Ask for the chain anew (`submit --again`), and discard the dead letter."
            )
    message = OutgoingMessage(
        body=letter.body,
        # Another id, else duplicate detection drops it.
        message_id=f"{letter.id}/replay/{ports.clock.now():%Y%m%dT%H%M%S}",
        session_id=letter.session_id,
        correlation_id=letter.chain,
    )
    send(ports, letter.queue, [message])
    ports.blobs.delete(CONTAINER, f"{identifier}.json")
    return letter


def discard(ports: Ports, identifier: str) -> DeadLetter:
    """Remove the record for good. Raises NotFound."""
    letter = find(ports, identifier)
    ports.blobs.delete(CONTAINER, f"{identifier}.json")
    return letter


def _record(ports: Ports, delivery: Delivery, reason: str, description: str) -> None:
    digest = hashlib.sha256(delivery.message_id.encode() + b"\n" + delivery.body).hexdigest()[:16]
    chain, command = _named(delivery.body)
    description = hidden(description)
    letter = DeadLetter(
        id=f"{delivery.queue}-{digest}",
        queue=delivery.queue,
        message_id=delivery.message_id,
        session_id=chain if delivery.queue is Queue.CHAIN_EVENTS else None,
        chain=chain,
        reason=reason,
        description=description,
        delivery_count=delivery.count,
        enqueued_at=delivery.enqueued_at,
        dead_lettered_at=ports.clock.now(),
        body_base64=base64.b64encode(delivery.body).decode(),
    )
    ports.blobs.write(CONTAINER, f"{letter.id}.json", letter.model_dump_json().encode())
    log.error("dead letter %s (%s): %s", letter.id, reason, description)
    chains.dead_lettered(letter.id, delivery.queue, reason, chain)
    if chain and command:
        _fail_chain(ports, chain, command, f"{reason}: {description}")
    if delivery.queue is Queue.CHAIN_REQUESTS:
        _refuse(ports, delivery, description or reason)


def _refuse(ports: Ports, delivery: Delivery, reason: str) -> None:
    try:
        sweep.refuse(ports, delivery, reason)
    except GenAIOpsError as error:
        # On its dead-letter queue a message comes again without end: at some time it must be done with.
        if delivery.count < ports.settings.max_delivery_count + REFUSALS:
            raise
        log.warning("the pipeline task of a refused request could not be told, and nobody tries again: %s", error)


def _named(body: bytes) -> tuple[str | None, str | None]:
    """The chain and the command that a message speaks of, even if the rest of it cannot be read."""
    try:
        content = json.loads(body)
    except (ValueError, binascii.Error, RecursionError):
        return None, None
    if not isinstance(content, dict):
        return None, None
    for key in ("id", "cause"):  # a command names itself, an answer its cause
        value = content.get(key)
        if isinstance(value, str) and _COMMAND.fullmatch(value):
            return value.rpartition("/")[0], value
    chain = content.get("chain")
    return (chain if isinstance(chain, str) and re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,95}", chain) else None), None


def _fail_chain(ports: Ports, chain: str, command: str, reason: str) -> None:
    try:
        chain_store.load(ports.blobs, chain)
    except (NotFound, Malformed):
        return
    failed = CommandFailed(
        id=event_id(f"{command}/dead-letter"), chain=chain, at=ports.clock.now(), cause=command, reason=reason[:8_000]
    )
    send_event(ports, failed)


def _read(ports: Ports, name: str) -> DeadLetter:
    try:
        return DeadLetter.model_validate_json(ports.blobs.read(CONTAINER, name))
    except ValidationError as error:
        raise Malformed(
            f"The dead letter {CONTAINER}/{name} cannot be read by this version: {problems(error)}. "
            "Remove the blob, or run the version that wrote it."
        ) from error
