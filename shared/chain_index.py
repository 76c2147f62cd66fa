"""Which chains are open and which have ended, newest first, without a look at each: empty blobs whose names tell.

`open/<time>-<chain>` is written before a chain's first state and removed once it has ended and sent everything, after
`ended/<day>/<time>-<chain>` was written. Times count down, so that names sort the newest first. Two small writes and
one deletion a chain, none an event. A crash in between leaves an open entry too many, never one too few: `chain_store`
looks behind each of them, and housekeeping removes what is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.chain.state import Chain
from shared.ports import BlobStore

CONTAINER: Final = "chain-index"
COMPLETE: Final = "complete"
"""Written once all chains are in the index: those that were begun before there was one, too."""
_OPEN: Final = "open/"
_ENDED: Final = "ended/"
_LAST_MS: Final = 99_999_999_999_999
_LAST_DAY: Final = 999_999
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """One chain in the index."""

    name: str
    """Of the entry's blob."""
    chain: str
    at: datetime
    """When the chain was begun; of one that has ended: when it last changed. To the millisecond."""
    written: datetime


def is_settled(chain: Chain) -> bool:
    """Whether the chain has ended and nothing of it is left to be sent or logged: nobody need look at it again."""
    return chain.status.is_final and not chain.outbox and not chain.journal


def open_name(chain: Chain) -> str:
    """The blob that says that the chain is open."""
    return f"{_OPEN}{_entry(chain.created_at, chain.id)}"


def begin(blobs: BlobStore, chain: Chain) -> None:
    """Note that the chain is open. Call it before the chain's first state is written."""
    blobs.write(CONTAINER, open_name(chain), b"")


def settle(blobs: BlobStore, chain: Chain) -> None:
    """Note that the chain has ended. Call it after the state that says so was written; repeating it is harmless."""
    day = _LAST_DAY - (chain.updated_at - _EPOCH).days
    blobs.write(CONTAINER, f"{_ENDED}{day:06}/{_entry(chain.updated_at, chain.id)}", b"")
    blobs.delete(CONTAINER, open_name(chain))


def drop(blobs: BlobStore, entry: Entry) -> None:
    """Remove an entry that is stale."""
    blobs.delete(CONTAINER, entry.name)


def open_entries(blobs: BlobStore) -> Iterator[Entry]:
    """Chains that may be open, the last begun first. One may be there twice, have ended, or have no state at all."""
    return _entries(blobs, _OPEN)


def ended_entries(blobs: BlobStore) -> Iterator[Entry]:
    """Chains that have ended, the last first, read as far as they are asked for. One may be there twice."""
    return _entries(blobs, _ENDED)


def _entries(blobs: BlobStore, prefix: str) -> Iterator[Entry]:
    for info in blobs.list(CONTAINER, prefix):
        count, _, chain = info.name.rpartition("/")[2].partition("-")
        at = _EPOCH + timedelta(milliseconds=_LAST_MS - int(count))
        yield Entry(info.name, chain, at, info.last_modified)


def _entry(at: datetime, chain: str) -> str:
    return f"{_LAST_MS - (at - _EPOCH) // timedelta(milliseconds=1):014}-{chain}"
