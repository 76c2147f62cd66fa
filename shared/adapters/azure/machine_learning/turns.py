"""One writer at a time per asset, over all processes: Azure ML itself changes versions without conditions.

Azure ML knows no `If-Match` for assets: two writers who read the same tags would each overwrite the other's, and two
who chose the same number for contents at one address would share a version. So a writer first takes its turn, a small
blob that is written only if nobody else wrote in between. A turn ends by itself: a writer who died blocks nobody.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.errors import Conflict, NotFound, Transient
from shared.ports import BlobStore, Clock

CONTAINER: Final = "registry"
LEASE: Final = timedelta(seconds=240)
"""Shorter than a command keeps trying: one that waits for somebody who died gets its turn, see `perform.PAUSES_S`."""
MARGIN: Final = timedelta(seconds=130)
"""Longer than a request may take with the repetitions of its client: whoever begins to write with this much of the turn
left ends within it."""
PATIENCE_S: Final = 60.0
PAUSE_S: Final = (0.02, 0.15)


@dataclass(frozen=True)
class Turn:
    """A turn that was taken."""

    key: str
    until: datetime
    _clock: Clock

    def check(self) -> None:
        """Call it before each write. Raises Transient where the turn is almost over: another writer may be next."""
        if self._clock.now() > self.until - MARGIN:
            raise Transient(f"The turn to change {self.key} is over: Azure ML took too long to answer. Try again.")


class Turns:
    """The turns of all assets, kept as blobs `registry/turns/<key>.json`."""

    def __init__(self, blobs: BlobStore, clock: Clock, *, patience_s: float = PATIENCE_S) -> None:
        self._blobs = blobs
        self._clock = clock
        self._patience_s = patience_s
        self._guard = threading.Lock()
        self._here: dict[str, threading.Lock] = {}

    @contextmanager
    def turn(self, key: str) -> Iterator[Turn]:
        """Take the turn for this asset, waiting for others.

        Raises:
            Transient: others kept it for longer than a function should wait.
        """
        deadline = time.monotonic() + self._patience_s
        with self._guard:
            here = self._here.setdefault(key, threading.Lock())
        # Threads of one process queue here, and only the first of them asks the blob store again and again.
        if not here.acquire(timeout=self._patience_s):
            raise _busy(key)
        try:
            until, etag = self._take(key, deadline)
            try:
                yield Turn(key, until, self._clock)
            finally:
                with suppress(Conflict):  # it ended by itself meanwhile, and someone else has it
                    self._write(key, self._clock.now(), etag)
        finally:
            here.release()

    def _take(self, key: str, deadline: float) -> tuple[datetime, str]:
        while True:
            try:
                content, etag = self._blobs.read_with_etag(CONTAINER, _blob(key))
            except NotFound:
                content, etag = b"", None
            now = self._clock.now()
            if etag is None or datetime.fromisoformat(json.loads(content)["until"]) <= now:
                with suppress(Conflict):
                    return now + LEASE, self._write(key, now + LEASE, etag)
            if time.monotonic() > deadline:
                raise _busy(key)
            time.sleep(random.uniform(*PAUSE_S))  # noqa: S311  # spreads those who wait, keeps no secret

    def _write(self, key: str, until: datetime, etag: str | None) -> str:
        content = json.dumps({"holder": uuid.uuid4().hex, "until": until.astimezone(UTC).isoformat()}).encode()
        return self._blobs.write(CONTAINER, _blob(key), content, if_match=etag, if_absent=etag is None)


def _blob(key: str) -> str:
    return f"turns/{key}.json"


def _busy(key: str) -> Transient:
    return Transient(f"Others keep changing {key}, and this one did not get its turn. Try again.")
