"""Feeds blob triggers: compares the ETags of a container's blobs with receipts, and calls the function for what is new.

Where Azure has Event Grid, the embedded host looks. What both promise is the same: every change at least once, five
tries, then a poison record; a blob that changed twice between two looks is one change, with the content that is there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from genaiops.host import decoding
from genaiops.host.blob_client import LocalBlobClient
from genaiops.host.held_back import FIRST_WAIT, wait_after
from genaiops.host.invocation import FunctionFailed, invoke
from genaiops.host.ledger import Ledger, Receipt
from genaiops.host.triggers import BlobTrigger
from genaiops.host.workers import Workers
from shared.errors import NotFound
from shared.ports import BlobInfo, BlobStore

log: Final = logging.getLogger("genaiops.host")

POISON: Final = "webjobs-blobtrigger-poison"
"""Container of the records of blobs that the function could not handle; in Azure it is a queue of this name."""
TRIES: Final = 5
CONCURRENCY: Final = 4
SCAN: Final = 0.4
"""Seconds between scans, at least."""
REST: Final = 100
"""A scan is followed by a rest of so many times its own computing time: a large container must not keep a core busy."""
WATCHED: Final = "/"
"""Name, which no blob can have, of the receipt that says that a container is watched from now on."""


@dataclass(frozen=True)
class PoisonBlob:
    """A version of a blob that its function could not handle."""

    function: str
    container: str
    name: str
    etag: str
    last_modified: datetime
    tries: int
    error: str
    """What the last try failed with."""


class BlobFeed:
    """Scans the containers of blob triggers until it is stopped."""

    def __init__(
        self,
        triggers: Sequence[BlobTrigger],
        blobs: BlobStore,
        ledger: Ledger,
        first_wait: float = FIRST_WAIT,
        on_poison: Callable[[PoisonBlob], None] | None = None,
        *,
        takes_old: bool = True,
    ) -> None:
        """Prepare; nothing is scanned yet.

        Args:
            triggers: whose containers are scanned.
            blobs: where they are.
            ledger: keeps which versions were handled.
            first_wait: seconds between the first try of a blob that failed and the second.
            on_poison: told of each blob that is given up, after its record was written; where it raises, the blob is
                not given up but tried again.
            takes_old: whether what lies in a container when it is first scanned is new; else it counts as handled.
        """
        self._on_poison, self._takes_old = on_poison, takes_old
        self._triggers, self._blobs, self._ledger, self._first_wait = triggers, blobs, ledger, first_wait
        self._not_before: dict[tuple[str, str], tuple[str, float]] = {}
        """(function, blob) → the ETag that failed and when it is tried again; a new version need not wait."""
        self._workers = Workers("blob", CONCURRENCY)
        self._receipts = {trigger.name: ledger.receipts(trigger.name, trigger.container) for trigger in triggers}
        self._running: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._scan, name="blobs", daemon=True)

    def start(self) -> None:
        """Begin to scan."""
        if self._triggers:
            self._thread.start()

    def stop_receiving(self) -> None:
        """Begin no further call."""
        self._stopping.set()

    def drain(self, timeout: float) -> bool:
        """After `stop_receiving`: wait for the functions that run; False if `timeout` seconds were not enough."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return self._workers.wait_idle(timeout)

    def _scan(self) -> None:
        rest = 0.0
        while not self._stopping.wait(rest):
            started = time.thread_time()
            for trigger in self._triggers:
                try:
                    self._scan_container(trigger)
                except Exception:
                    log.exception("the container %s cannot be scanned; trying again", trigger.container)
            rest = max(SCAN, REST * (time.thread_time() - started))

    def _scan_container(self, trigger: BlobTrigger) -> None:
        receipts = self._receipts[trigger.name]
        if not self._takes_old and WATCHED not in receipts:
            self._begin_to_watch(trigger)
        with self._lock:
            gone = set(receipts) - {WATCHED}
        for info in self._blobs.list(trigger.container):
            gone.discard(info.name)
            if trigger.pattern.fullmatch(info.name) and not self._stopping.is_set():
                self._offer(trigger, info)
        for name in gone:
            with self._lock:
                if (trigger.name, name) in self._running:
                    continue
                del receipts[name]
                self._not_before.pop((trigger.name, name), None)
            self._ledger.forget_receipt(trigger.name, trigger.container, name)

    def _begin_to_watch(self, trigger: BlobTrigger) -> None:
        found = {info.name: Receipt(info.etag, 0, settled=True) for info in self._blobs.list(trigger.container)}
        for name, receipt in {**found, WATCHED: Receipt("", 0, settled=True)}.items():  # the mark comes last
            self._ledger.write_receipt(trigger.name, trigger.container, name, receipt)
            with self._lock:
                self._receipts[trigger.name][name] = receipt

    def _offer(self, trigger: BlobTrigger, info: BlobInfo) -> None:
        with self._lock:
            receipt = self._receipts[trigger.name].get(info.name)
            seen = receipt is not None and receipt.etag == info.etag
            if (seen and receipt is not None and receipt.settled) or (trigger.name, info.name) in self._running:
                return
            failed, due = self._not_before.get((trigger.name, info.name), ("", 0.0))
            if failed == info.etag and time.monotonic() < due:
                return
            self._running.add((trigger.name, info.name))
        tries = receipt.tries if seen and receipt is not None else 0
        self._workers.submit(lambda: self._run(trigger, info, tries + 1))

    def _run(self, trigger: BlobTrigger, info: BlobInfo, number: int) -> None:
        key, again = (trigger.name, info.name), True
        try:
            error = self._call(trigger, info)
            if error and number >= TRIES:
                self._give_up(trigger, info, number, error)
            settled = not error or number >= TRIES
            receipt = Receipt(info.etag, number, settled)
            self._ledger.write_receipt(trigger.name, trigger.container, info.name, receipt)
            with self._lock:
                self._receipts[trigger.name][info.name] = receipt
            again = not settled
        finally:
            with self._lock:
                self._not_before.pop(key, None)
                if again:
                    self._not_before[key] = (info.etag, time.monotonic() + wait_after(number, self._first_wait))
                self._running.discard(key)

    def _call(self, trigger: BlobTrigger, info: BlobInfo) -> str:
        """Returns what it failed with; empty if nothing is left to do."""
        argument: object = LocalBlobClient(self._blobs, trigger.container, info.name)
        if trigger.annotation != "BlobClient":
            try:
                content = self._blobs.read(trigger.container, info.name)
            except NotFound:
                return ""  # deleted since the scan: there is nothing left to handle
            argument = decoding.input_stream(content, trigger.container, info.name)
        try:
            invoke(trigger, argument, message_id=f"{trigger.container}/{info.name}@{info.etag}")
        except FunctionFailed as error:
            # Deleted since the scan; Azure would call for such a blob, too, and fail.
            gone = isinstance(error.__cause__, NotFound) and not self._exists(info)
            return "" if gone else str(error)
        return ""

    def _exists(self, info: BlobInfo) -> bool:
        try:
            self._blobs.info(info.container, info.name)
        except NotFound:
            return False
        return True

    def _give_up(self, trigger: BlobTrigger, info: BlobInfo, tries: int, error: str) -> None:
        record = {
            "Type": "BlobTrigger",
            "FunctionId": trigger.name,
            "BlobType": "BlockBlob",
            "ContainerName": trigger.container,
            "BlobName": info.name,
            "ETag": info.etag,
        }
        content = json.dumps(record, sort_keys=True).encode()
        name = f"{trigger.name}/{hashlib.sha256(content).hexdigest()[:16]}.json"
        self._blobs.write(POISON, name, content)
        log.error(
            "%s gave up on %s/%s after %d tries: %s/%s", trigger.name, info.container, info.name, tries, POISON, name
        )
        if self._on_poison is not None:
            self._on_poison(
                PoisonBlob(trigger.name, info.container, info.name, info.etag, info.last_modified, tries, error)
            )
