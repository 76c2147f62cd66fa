"""An uploaded dataset asks for a chain: one blob version, one request, however often the event comes."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Final

from shared import dead_letters
from shared.chain.messages import ChainKind, ChainRequest, DatasetUpload, Queue
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
    request_id = hashlib.sha256(f"{blob}\n{etag}".encode()).hexdigest()
    try:
        use_case, dataset = parsed(blob)
    except InvalidName as error:
        now = ports.clock.now()
        body = json.dumps({"blob": blob, "etag": etag}).encode()
        dead_letters.reject(ports, Delivery(Queue.CHAIN_REQUESTS, body, request_id, 1, now), str(error))
        return
    request = ChainRequest(
        request_id=request_id,
        kind=ChainKind.DATASET,
        use_case=use_case,
        requester="dataset upload",
        dataset=DatasetUpload(name=dataset, blob=blob),
    )
    log.info("dataset %s of %s was uploaded: asking for its re-evaluation", dataset, use_case)
    message = OutgoingMessage(body=request.model_dump_json().encode(), message_id=request_id)
    ports.bus.send(ports.settings.queues[Queue.CHAIN_REQUESTS], [message])


def parsed(blob: str) -> tuple[str, str]:
    """(use case, dataset) of an upload's blob name. Raises InvalidName, saying how uploads are named."""
    parts = blob.split("/")
    if len(parts) != 3 or not parts[2]:
        raise InvalidName(f"The upload {blob!r} must be named <use case>/<dataset>/<file>.")
    return checked(parts[0], "the upload's use case"), checked(parts[1], "the upload's dataset")
