"""Messages of any size over queues that take 256 KB: a large body is put into blob storage, and its reference is sent.

`send` is how every message of the product gets on a queue, `fetched` how every handler gets at its body. A large body
lies as `messages/<sha256>`; the message carries that name in an application property, and a short body that still says
which chain it speaks of. Housekeeping removes bodies when no queue can hold their messages any more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.chain.messages import Queue
from shared.delivery import Delivery
from shared.errors import Malformed, NotFound
from shared.ports import BlobStore, OutgoingMessage, Ports

log = logging.getLogger("genaiops.messages")

CONTAINER: Final = "messages"
PROPERTY: Final = "genaiops-payload"
"""Application property with the SHA-256 of the body in blob storage."""
LARGEST_BODY: Final = 192 * 1024
"""Bytes of a body that travels in its message; the rest of the limit is for properties."""
KEPT: Final = timedelta(days=8)
"""How long a body stays after it was last sent. Queues should keep messages for a week at most (their time to live)."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAMING: Final = ("type", "id", "chain", "cause")
"""Keys by which a message names its chain and command, also where nothing else of it can be read."""
_LONGEST_NAME: Final = 300


def send(ports: Ports, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
    """Put messages on a queue, whatever their size. Raises what `Bus.send` and `BlobStore.write` raise."""
    ports.bus.send(ports.settings.queues[queue], [_checked_in(ports.blobs, message) for message in messages])


def fetched(ports: Ports, delivery: Delivery) -> Delivery:
    """The delivery with its whole body.

    Raises:
        Malformed: the body in blob storage is gone, or is not the one that was sent.
    """
    digest = delivery.properties.get(PROPERTY)
    if digest is None:
        return delivery
    if not _DIGEST.fullmatch(digest):
        raise Malformed(f"The message's property {PROPERTY} is {digest[:80]!r}; it must be the SHA-256 of its body.")
    try:
        body = ports.blobs.read(CONTAINER, digest)
    except NotFound:
        raise Malformed(
            f"The body of this message, the blob {CONTAINER}/{digest}, is not there: it is kept for {KEPT.days} days "
            "after it was sent. Ask for the chain anew (`submit --again`)."
        ) from None
    if hashlib.sha256(body).hexdigest() != digest:
        raise Malformed(f"The blob {CONTAINER}/{digest} is not the body that was sent: somebody has changed it.")
    return replace(delivery, body=body)


def remove_old(ports: Ports, now: datetime) -> int:
    """Remove bodies that were last sent longer ago than messages live; returns how many."""
    old = [info.name for info in ports.blobs.list(CONTAINER) if now - info.last_modified > KEPT]
    for name in old:
        ports.blobs.delete(CONTAINER, name)
    if old:
        log.info("removed %d bodies of messages that are gone", len(old))
    return len(old)


def _checked_in(blobs: BlobStore, message: OutgoingMessage) -> OutgoingMessage:
    if len(message.body) <= LARGEST_BODY:
        return message
    digest = hashlib.sha256(message.body).hexdigest()
    # Written even where it is there: the write makes it young again.
    blobs.write(CONTAINER, digest, message.body)
    stub = {"payload": f"{CONTAINER}/{digest}", "bytes": len(message.body)} | _names(message.body)
    return replace(message, body=json.dumps(stub).encode(), properties={**message.properties, PROPERTY: digest})


def _names(body: bytes) -> dict[str, str]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    found = {key: content.get(key) for key in _NAMING}
    return {key: value for key, value in found.items() if isinstance(value, str) and len(value) <= _LONGEST_NAME}
