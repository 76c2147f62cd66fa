"""Appending to append blobs, exactly once: the position is a condition, so a request that is repeated changes nothing.

How an append moves: the end of the blob is remembered from the last time, or looked up; the content is sent on the
condition that it lands there. Where it does not, somebody else appended, or the answer to our request was lost: what
lies there tells. A blob that holds as many blocks as the service allows gets a further part, named in its metadata.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from shared.adapters.azure.errors import explained
from shared.adapters.azure.storage.service import BlobService
from shared.errors import BusinessFailure, Transient

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

BLOCKS: Final = 50_000
"""Of one append blob: https://learn.microsoft.com/rest/api/storageservices/understanding-block-blobs--append-blobs--and-page-blobs."""
PARTS_CONTAINER: Final = "appended"
"""Holds the further parts of full append blobs, as `<container>/<name>/<id>`."""
PARTS: Final = "genaiops_parts"
"""Metadata of the first part: ids of the further ones, in their order, joined by commas."""
REMEMBERED: Final = 1_024
"""Ends of blobs kept in memory."""
OTHERS: Final = 200
"""How often others may be faster before the append is given back to its caller."""


@dataclass(frozen=True)
class _End:
    """Where the last part of an append blob ends."""

    container: str
    name: str
    position: int
    blocks: int


def parts_of(properties: BlobProperties, container: str, name: str) -> list[tuple[str, str]]:
    """Container and name of the further parts of an append blob; of any other blob there are none."""
    ids = (properties.metadata or {}).get(PARTS, "")
    return [(PARTS_CONTAINER, _part_name(container, name, part)) for part in ids.split(",") if part]


class Appender:
    """Appends for one storage account, for several threads."""

    def __init__(self, service: BlobService, blocks: int = BLOCKS) -> None:
        self._service = service
        self._blocks = blocks
        self._ends: OrderedDict[tuple[str, str], _End] = OrderedDict()
        self._lock = Lock()

    def append(self, container: str, name: str, content: bytes) -> None:
        """Add to the end, creating the blob if need be.

        Raises:
            Transient: the service did not answer, or others were faster too often. The content may have been added.
            BusinessFailure: the blob was written, not appended to; or the identity may not.
        """
        what = f"The blob {container}/{name}"
        with self._service.errors(what):
            end = self._known(container, name) or self._look(container, name)
            if not content:
                return  # the service takes no empty block
            others, faults = 0, 0
            while True:
                if end.blocks >= self._blocks:
                    end = self._begin_part(container, name)
                    continue
                fault = self._try(end, content)
                if fault is None:
                    end = replace(end, position=end.position + len(content), blocks=end.blocks + 1)
                    self._remember(container, name, end)
                    return
                if _never_added(fault):
                    if faults and self._holds(end, content):  # our own, whose answer was lost
                        self._forget(container, name)
                        return
                    others, faults = others + 1, 0
                    if others >= OTHERS:
                        raise Transient(f"{what} was appended to by others {others} times in a row. Try again.")
                    time.sleep(random.uniform(0, 0.002) * others)  # noqa: S311  # so that writers do not march in step
                    end = self._look(container, name)
                    continue
                faults += 1
                if not isinstance(explained(fault, what, ""), Transient) or faults >= self._service.patience.tries:
                    self._forget(container, name)
                    raise fault
                time.sleep(self._service.patience.wait_s * 2 ** (faults - 1))

    def _try(self, end: _End, content: bytes) -> Exception | None:
        """Send the content once; returns what the SDK raised. The SDK must not repeat it: that hides what happened."""
        from azure.core.exceptions import AzureError

        blob = self._service.blob(end.container, end.name)
        try:
            blob.append_block(content, length=len(content), appendpos_condition=end.position, retry_total=0)
        except AzureError as error:
            return error
        return None

    def _holds(self, end: _End, content: bytes) -> bool:
        """Whether the content lies where it was sent to."""
        from azure.core.exceptions import HttpResponseError

        try:
            there = self._service.blob(end.container, end.name).download_blob(offset=end.position, length=len(content))
            return there.readall() == content
        except HttpResponseError as error:
            if error.status_code in (404, 416):  # no such blob, or it ends before
                return False
            raise

    def _look(self, container: str, name: str) -> _End:
        """Where the last part ends; creates the blob where there is none."""
        first = self._properties(container, name)
        place = (container, name)
        last = first
        for place in parts_of(first, container, name)[-1:]:
            last = self._properties(*place)
        return _End(*place, last.size, last.append_blob_committed_block_count or 0)

    def _properties(self, container: str, name: str) -> BlobProperties:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError

        def create() -> object:
            blob = self._service.blob(container, name)
            return blob.create_append_blob(match_condition=MatchConditions.IfMissing)

        while (found := self._service.properties(container, name)) is None:
            with suppress(ResourceExistsError):  # somebody else was faster
                self._service.making_container(container, create)
        if found.blob_type != "AppendBlob":
            raise BusinessFailure(
                f"The blob {container}/{name} was written: a blob is written or appended to, never both."
            )
        return found

    def _begin_part(self, container: str, name: str) -> _End:
        """A further part, or the one that somebody else began meanwhile.

        It is created first and named then, on the condition that nobody else did: a crash in between leaves an empty
        blob that nobody reads, and two writers never go on in two parts.
        """
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError

        first = self._properties(container, name)
        end = self._look(container, name)
        if end.blocks < self._blocks:
            return end
        part = uuid.uuid4().hex[:12]
        place = (PARTS_CONTAINER, _part_name(container, name, part))
        self._service.making_container(PARTS_CONTAINER, self._service.blob(*place).create_append_blob)
        known = (first.metadata or {}).get(PARTS)
        metadata = {**(first.metadata or {}), PARTS: f"{known},{part}" if known else part}
        try:
            self._service.blob(container, name).set_blob_metadata(
                metadata, etag=first.etag, match_condition=MatchConditions.IfNotModified
            )
        except ResourceModifiedError:  # somebody else began one, or only the answer to us was lost
            if place not in parts_of(self._properties(container, name), container, name):
                self._service.blob(*place).delete_blob()
            return self._look(container, name)
        return _End(*place, 0, 0)

    def _known(self, container: str, name: str) -> _End | None:
        with self._lock:
            return self._ends.get((container, name))

    def _remember(self, container: str, name: str, end: _End) -> None:
        with self._lock:
            self._ends[container, name] = end
            self._ends.move_to_end((container, name))
            while len(self._ends) > REMEMBERED:
                self._ends.popitem(last=False)

    def _forget(self, container: str, name: str) -> None:
        with self._lock:
            self._ends.pop((container, name), None)


def _never_added(error: Exception) -> bool:
    """Whether the answer says that nothing was added: the end is elsewhere, the blob is gone, or it is full."""
    from azure.core.exceptions import HttpResponseError

    if not isinstance(error, HttpResponseError):
        return False
    return error.status_code in (404, 412) or "BlockCountExceedsLimit" in str(error)


def _part_name(container: str, name: str, part: str) -> str:
    return f"{container}/{name[:900]}/{part}"
