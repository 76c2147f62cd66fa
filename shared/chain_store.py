"""Where chains are kept: one JSON document per chain in blob storage, written only if nobody else wrote in between.

Beside the state lie the frozen run matrix (`prepared.json`) and the append-only log (`log.jsonl`), whose numbered lines
may be repeated by a crash and are read once.
"""

from __future__ import annotations

import bisect
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain as joined
from itertools import islice
from threading import Lock
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

from pydantic import ValidationError

from shared import chain_index
from shared.chain.messages import problems
from shared.chain.state import Chain, LogEntry
from shared.errors import Conflict, GenAIOpsError, Malformed, NotFound
from shared.experimentation.matrix import PreparedChain
from shared.ports import BlobStore

CONTAINER = "chains"
STATE = "state.json"
REMEMBERED: Final = 16
"""Preparations kept in memory."""
NEVER_BEGAN: Final = timedelta(hours=1)
"""After this time, a chain in the index that has no state has none under way either: no function runs as long."""

log = logging.getLogger("genaiops.chain")
_prepared: WeakKeyDictionary[BlobStore, OrderedDict[str, PreparedChain]] = WeakKeyDictionary()
_lock = Lock()
_indexed: WeakSet[BlobStore] = WeakSet()
"""Stores whose index is known to be complete."""


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
    chain_index.begin(blobs, chain)
    etag = blobs.write(CONTAINER, f"{chain.id}/{STATE}", _json(chain), if_absent=True)
    _settle(blobs, chain)
    return etag


def save(blobs: BlobStore, chain: Chain, etag: str) -> str:
    """Replace the state that `etag` belongs to; returns the new ETag. Raises Conflict."""
    etag = blobs.write(CONTAINER, f"{chain.id}/{STATE}", _json(chain), if_match=etag)
    _settle(blobs, chain)
    return etag


def recent(blobs: BlobStore, limit: int = 100) -> list[Chain]:
    """The chains that changed last, newest first; a document that cannot be read is logged and left out.

    It costs about `limit` reads, however many chains there are. Where more than `limit` are open, the last begun count.
    """
    _complete(blobs)
    newest: dict[str, Chain] = {}
    for entry in chain_index.open_entries(blobs):
        if entry.chain not in newest and (chain := _readable(blobs, entry.chain)) is not None:
            newest[entry.chain] = chain
            if len(newest) == limit:
                break
    changed = sorted((chain.updated_at for chain in newest.values()), reverse=True)
    for entry in chain_index.ended_entries(blobs):
        if len(changed) >= limit and _to_ms(changed[limit - 1]) > entry.at:
            break  # those that ended before do not belong to the last `limit` either
        if entry.chain not in newest and (chain := _readable(blobs, entry.chain)) is not None:
            newest[entry.chain] = chain
            bisect.insort(changed, chain.updated_at, key=lambda at: -at.timestamp())
    return sorted(newest.values(), key=lambda chain: chain.updated_at, reverse=True)[:limit]


def unfinished(blobs: BlobStore, now: datetime) -> Iterator[Chain]:
    """Every chain that has not ended, or has not sent everything; the last begun first.

    What it meets of the index that is stale, it mends: call it from housekeeping.
    """
    _complete(blobs)
    for entry in chain_index.open_entries(blobs):
        try:
            chain = load(blobs, entry.chain)[0]
        except NotFound:
            # Its first state is about to be written, or a crash came before: then the request, which comes again, notes
            # the chain anew.
            if now - entry.written > NEVER_BEGAN:
                chain_index.drop(blobs, entry)
            continue
        except Malformed as error:
            log.warning("left out: %s", error)
            continue
        if chain_index.is_settled(chain):
            _settle(blobs, chain)
        if entry.name != chain_index.open_name(chain):  # the request came twice, enqueued at different times
            chain_index.drop(blobs, entry)
        elif not chain_index.is_settled(chain):
            yield chain


def named_like(blobs: BlobStore, text: str, limit: int = 1_000) -> list[str]:
    """Ids that begin or end with `text`, of the open chains and of the last `limit` that have ended."""
    _complete(blobs)
    entries = joined(chain_index.open_entries(blobs), islice(chain_index.ended_entries(blobs), limit))
    ids = dict.fromkeys(entry.chain for entry in entries)
    return [identifier for identifier in ids if identifier.startswith(text) or identifier.endswith(text)]


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
    with _lock:
        remembered = _prepared.setdefault(blobs, OrderedDict())
        found = remembered.get(chain_id)
    if found is None:  # read without the lock: two threads may both read it, and none waits for another's chain
        found = PreparedChain.model_validate_json(blobs.read(CONTAINER, f"{chain_id}/prepared.json"))
        with _lock:
            remembered[chain_id] = found
            while len(remembered) > REMEMBERED:
                remembered.popitem(last=False)
    return found


def _settle(blobs: BlobStore, chain: Chain) -> None:
    """The state is written, and that counts: an index that cannot be written now is mended by housekeeping."""
    if chain_index.is_settled(chain):
        try:
            chain_index.settle(blobs, chain)
        except GenAIOpsError:
            log.warning("%s: the index does not say yet that it has ended", chain.id, exc_info=True)


def _readable(blobs: BlobStore, chain_id: str) -> Chain | None:
    try:
        return load(blobs, chain_id)[0]
    except NotFound:
        return None  # not begun yet, or its blobs were removed
    except Malformed as error:
        log.warning("left out: %s", error)
        return None


def _complete(blobs: BlobStore) -> None:
    """Take chains into the index that were begun before there was one: once an installation."""
    if blobs in _indexed:
        return
    try:
        blobs.info(chain_index.CONTAINER, chain_index.COMPLETE)
    except NotFound:
        for info in blobs.list(CONTAINER):
            name, _, last = info.name.rpartition("/")
            if last == STATE and (chain := _readable(blobs, name)) is not None:
                chain_index.begin(blobs, chain)
                _settle(blobs, chain)
        blobs.write(chain_index.CONTAINER, chain_index.COMPLETE, b"")
    _indexed.add(blobs)


def _to_ms(at: datetime) -> datetime:
    """As the index keeps it."""
    return at.replace(microsecond=at.microsecond // 1_000 * 1_000)


def _json(chain: Chain) -> bytes:
    return chain.model_dump_json().encode()
