"""Which thread of a pull request is ours: a record per organisation, pull request and name, in the container `threads`.

Whoever is about to create a thread claims its record first, by a conditional write; a claim ends by itself, so that one
whose holder died holds up nobody for long.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.errors import Conflict, NotFound, Throttled
from shared.ports.blobs import BlobStore
from shared.ports.clock import Clock
from shared.ports.pipelines import PullRequest

CONTAINER: Final = "threads"
CLAIM: Final = timedelta(minutes=3)
"""Longer than creating a thread takes with all its tries."""
UNSURE: Final = timedelta(seconds=20)
"""What is left of a claim when nobody knows whether a creation is still under way."""
PAUSE_S: Final = 5.0
"""After so many seconds another caller looks again: creating a thread takes one or two."""


@dataclass(frozen=True)
class Record:
    """What is known of a thread."""

    name: str
    """Of the blob."""
    etag: str | None = None
    """None: there is no record yet."""
    thread: int | None = None
    claimed_until: datetime | None = None


class ThreadRecords:
    """The records, over the port BlobStore."""

    def __init__(self, blobs: BlobStore, clock: Clock) -> None:
        self._blobs, self._clock = blobs, clock

    def read(self, pull_request: PullRequest, thread: str) -> Record:
        """The record; an empty one where there is none.

        A pull request's number is unique in its organisation: names and ids of project and repository do not matter.
        """
        key = json.dumps([pull_request.collection.rstrip("/").lower(), pull_request.number, thread])
        name = f"{hashlib.sha256(key.encode()).hexdigest()}.json"
        try:
            content, etag = self._blobs.read_with_etag(CONTAINER, name)
        except NotFound:
            return Record(name)
        found = json.loads(content)
        until = found.get("claimed_until")
        return Record(name, etag, found.get("thread"), datetime.fromisoformat(until) if until else None)

    def claim(self, record: Record) -> Record:
        """The record, claimed: nobody else creates the thread meanwhile. Raises Throttled where somebody does."""
        now = self._clock.now()
        if record.claimed_until is not None and record.claimed_until > now:
            left = (record.claimed_until - now).total_seconds()
            raise Throttled("The pull request's thread is being created by another message.", min(left, PAUSE_S))
        try:
            return self._write(record, record.thread, now + CLAIM)
        except Conflict as error:
            raise Throttled("The pull request's thread was claimed by another message.", PAUSE_S) from error

    def keep(self, claimed: Record, thread: int) -> None:
        """Remember the thread, and end the claim."""
        self._write(claimed, thread, None)

    def release(self, claimed: Record, *, unsure: bool) -> None:
        """End the claim without a thread; soon, where one may still come into being."""
        self._write(claimed, claimed.thread, self._clock.now() + UNSURE if unsure else None)

    def _write(self, record: Record, thread: int | None, until: datetime | None) -> Record:
        content = json.dumps({"thread": thread, "claimed_until": until.isoformat() if until else None}).encode()
        absent = record.etag is None
        etag = self._blobs.write(CONTAINER, record.name, content, if_match=record.etag, if_absent=absent)
        return Record(record.name, etag, thread, until)
