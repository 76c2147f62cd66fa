"""Where chains are kept: one JSON document per chain in blob storage, written only if nobody else wrote in between.

Beside the state lie the frozen run matrix (`prepared.json`) and the append-only log (`log.jsonl`), whose numbered lines
may be repeated by a crash and are read once.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final
from weakref import WeakKeyDictionary

from pydantic import ValidationError

from shared.chain.messages import problems
from shared.chain.state import Chain, LogEntry
from shared.errors import Conflict, Malformed, NotFound
from shared.experimentation.matrix import PreparedChain
from shared.ports import BlobStore

CONTAINER = "chains"
STATE = "state.json"
REMEMBERED: Final = 16
"""Preparations kept in memory."""

log = logging.getLogger("genaiops.chain")
_prepared: WeakKeyDictionary[BlobStore, OrderedDict[str, PreparedChain]] = WeakKeyDictionary()


def load(blobs: BlobStore, chain_id: str) -> tuple[Chain, str]:
    """The chain and its ETag.

    Raises:
        NotFound: there is no such chain.
        Malformed: its document cannot be read by this version; names the blob.
    """
    content, etag = blobs.read_with_etag(CONTAINER, f"{chain_id}/{STATE}")
    try:
        return Chain.model_validate_json(content), etag
    except ValidationError as error:
        raise Malformed(
            f"The state of chain {chain_id} ({CONTAINER}/{chain_id}/{STATE}) cannot be read by this version: "
            f"{problems(error)}. Remove the blob, or run the version that wrote it."
        ) from error


def create(blobs: BlobStore, chain: Chain) -> str:
    """Write a new chain; returns its ETag. Raises Conflict where the chain exists."""
    return blobs.write(CONTAINER, f"{chain.id}/{STATE}", _json(chain), if_absent=True)


def save(blobs: BlobStore, chain: Chain, etag: str) -> str:
    """Replace the state that `etag` belongs to; returns the new ETag. Raises Conflict."""
    return blobs.write(CONTAINER, f"{chain.id}/{STATE}", _json(chain), if_match=etag)


def recent(blobs: BlobStore, limit: int = 100) -> list[Chain]:
    """The chains that changed last, newest first; a document that cannot be read is logged and left out."""
    states = [info for info in blobs.list(CONTAINER) if info.name.endswith(f"/{STATE}")]
    states.sort(key=lambda info: info.last_modified, reverse=True)
    chains = []
    for info in states[:limit]:
        try:
            chains.append(load(blobs, info.name.split("/")[0])[0])
        except (Malformed, NotFound) as error:
            log.warning("left out: %s", error)
    return chains


def append_log(blobs: BlobStore, chain_id: str, entries: Iterable[LogEntry]) -> None:
    """Add lines to the chain's log. Repeating it is harmless: see `read_log`."""
    lines = b"".join(entry.model_dump_json().encode() + b"\n" for entry in entries)
    if lines:
        blobs.append(CONTAINER, f"{chain_id}/log.jsonl", lines)


def read_log(blobs: BlobStore, chain_id: str) -> Iterator[LogEntry]:
    """The log's lines by number, each once."""
    try:
        content = blobs.read(CONTAINER, f"{chain_id}/log.jsonl")
    except NotFound:
        return
    entries: dict[int, LogEntry] = {}
    for line in content.splitlines():
        entry = LogEntry.model_validate_json(line)
        entries.setdefault(entry.number, entry)
    yield from (entries[number] for number in sorted(entries))


def freeze_prepared(blobs: BlobStore, chain_id: str, prepared: PreparedChain) -> PreparedChain:
    """Freeze what the chain runs. The first preparation stays: a later one gets it back."""
    try:
        blobs.write(CONTAINER, f"{chain_id}/prepared.json", prepared.model_dump_json().encode(), if_absent=True)
    except Conflict:
        return read_prepared(blobs, chain_id)
    return prepared


def read_prepared(blobs: BlobStore, chain_id: str) -> PreparedChain:
    """What the chain runs. Raises NotFound before the preparation.

    It never changes, and every run of a chain needs it: the last few are remembered, for matrices may be large.
    """
    remembered = _prepared.setdefault(blobs, OrderedDict())
    if chain_id not in remembered:
        content = blobs.read(CONTAINER, f"{chain_id}/prepared.json")
        remembered[chain_id] = PreparedChain.model_validate_json(content)
        while len(remembered) > REMEMBERED:
            remembered.popitem(last=False)
    return remembered[chain_id]


def _json(chain: Chain) -> bytes:
    return chain.model_dump_json().encode()
