"""An uploaded dataset asks for a chain: one blob version, one request, however often the event comes."""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import datetime
from typing import Final

from shared import dead_letters
from shared.chain.messages import ChainKind, ChainRequest, DatasetUpload, Queue
from shared.claim_check import send
from shared.delivery import Delivery
from shared.errors import InvalidName
from shared.names import checked
from shared.ports import OutgoingMessage, Ports

log = logging.getLogger("genaiops.datasets")

DATASETS: Final = "datasets"
"""Container whose every new blob starts a re-evaluation."""
LOGS: Final = "logs"
"""Container of production logs: they wait until a post_production chain is asked for."""


def dataset_uploaded(ports: Ports, blob: str, etag: str) -> None:
    """Ask for the re-evaluation of the use case that `blob` (`<use case>/<dataset>/<file>`) belongs to.

    A blob whose name says no such thing becomes a dead letter: no chain could be named that would tell.
    """
    try:
        request = _request(blob, etag)
    except InvalidName as error:
        _reject(ports, blob, etag, error)
        return
    log.info("%s was uploaded: asking for the re-evaluation of %s", blob, request.use_case)
    message = OutgoingMessage(body=request.model_dump_json().encode(), message_id=request.request_id)
    send(ports, Queue.CHAIN_REQUESTS, [message])


def upload_given_up(ports: Ports, blob: str, etag: str, uploaded_at: datetime, tries: int, error: str) -> None:
    """Keep an upload whose event failed at every try as a dead letter: of the request that it should have become.

    So a replay does what the event would have done. Blob events have no dead-letter queue of their own.
    """
    try:
        request = _request(blob, etag)
    except InvalidName as invalid:
        _reject(ports, blob, etag, invalid)
        return
    delivery = Delivery(
        Queue.CHAIN_REQUESTS,
        request.model_dump_json().encode(),
        request.request_id,
        tries,
        uploaded_at,
        dead_letter_reason="UploadFailed",
        dead_letter_description=(
            f"The upload {blob} failed at each of {tries} tries, the last time with: {error[:2_000]}. "
            "Replay this dead letter, or upload the file again."
        ),
    )
    dead_letters.record(ports, delivery)


def _request(blob: str, etag: str) -> ChainRequest:
    """One blob version, one request id. Raises InvalidName."""
    use_case, dataset = parsed(blob)
    return ChainRequest(
        request_id=_request_id(blob, etag),
        kind=ChainKind.DATASET,
        use_case=use_case,
        requester="dataset upload",
        dataset=DatasetUpload(name=dataset, blob=blob),
    )


def _request_id(blob: str, etag: str) -> str:
    return hashlib.sha256(f"{blob}\n{etag}".encode()).hexdigest()


def _reject(ports: Ports, blob: str, etag: str, error: InvalidName) -> None:
    body = json.dumps({"blob": blob, "etag": etag}).encode()
    delivery = Delivery(Queue.CHAIN_REQUESTS, body, _request_id(blob, etag), 1, ports.clock.now())
    dead_letters.reject(ports, delivery, str(error))


def parsed(blob: str) -> tuple[str, str]:
    """(use case, dataset) of an upload's blob name. Raises InvalidName, saying how uploads are named."""
    parts = blob.split("/")
    if len(parts) != 3 or not parts[2]:
        raise InvalidName(f"The upload {blob!r} must be named <use case>/<dataset>/<file>.")
    return checked(parts[0], "the upload's use case"), checked(parts[1], "the upload's dataset")
