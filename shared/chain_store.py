"""Where chains are kept: one JSON document per chain in blob storage, written only if nobody else wrote in between.

Beside the state lie the frozen run matrix (`prepared.json`) and the append-only log (`log.jsonl`), whose numbered lines
may be repeated by a crash and are read once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.chain.state import Chain, LogEntry
from shared.errors import NotFound
from shared.experimentation.matrix import PreparedChain
from shared.ports import BlobStore

CONTAINER = "chains"
STATE = "state.json"


def load(blobs: BlobStore, chain_id: str) -> tuple[Chain, str]:
    """The chain and its ETag. Raises NotFound."""
    content, etag = blobs.read_with_etag(CONTAINER, f"{chain_id}/{STATE}")
    return Chain.model_validate_json(content), etag


def create(blobs: BlobStore, chain: Chain) -> str:
    """Write a new chain; returns its ETag. Raises Conflict where the chain exists."""
    return blobs.write(CONTAINER, f"{chain.id}/{STATE}", _json(chain), if_absent=True)


def save(blobs: BlobStore, chain: Chain, etag: str) -> str:
    """Replace the state that `etag` belongs to; returns the new ETag. Raises Conflict."""
    return blobs.write(CONTAINER, f"{chain.id}/{STATE}", _json(chain), if_match=etag)


def recent(blobs: BlobStore, limit: int = 100) -> list[Chain]:
    """The chains that changed last, newest first."""
    states = [info for info in blobs.list(CONTAINER) if info.name.endswith(f"/{STATE}")]
    states.sort(key=lambda info: info.last_modified, reverse=True)
    return [load(blobs, info.name.split("/")[0])[0] for info in states[:limit]]


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


def write_prepared(blobs: BlobStore, chain_id: str, prepared: PreparedChain) -> None:
    """Freeze what the chain runs; the same preparation may be written again."""
    blobs.write(CONTAINER, f"{chain_id}/prepared.json", prepared.model_dump_json().encode())


def read_prepared(blobs: BlobStore, chain_id: str) -> PreparedChain:
    """What the chain runs. Raises NotFound before the preparation."""
    return PreparedChain.model_validate_json(blobs.read(CONTAINER, f"{chain_id}/prepared.json"))


def _json(chain: Chain) -> bytes:
    return chain.model_dump_json().encode()
