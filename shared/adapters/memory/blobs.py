"""Blobs in memory: the same store as the local one, without files; it ships so that users can test with it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from typing import BinaryIO

from shared.adapters.blob_names import check_names, refuse_clash
from shared.errors import Conflict, NotFound
from shared.ports import BlobInfo, Clock

__all__ = ["MemoryBlobStore"]


@dataclass(frozen=True)
class _Blob:
    content: bytes
    etag: str
    last_modified: datetime


class MemoryBlobStore:
    """BlobStore in memory, safe for threads. Times come from `clock`, or from the machine."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._mutex = threading.RLock()
        self._blobs: dict[str, dict[str, _Blob]] = {}
        self._folders: dict[str, Counter[str]] = {}
        """Container → folder → blobs below it: a clash is seen without a look at every name."""
        self._etags = count(1)

    def read(self, container: str, name: str) -> bytes:
        """The content. Raises NotFound."""
        return self._get(container, name).content

    def read_with_etag(self, container: str, name: str) -> tuple[bytes, str]:
        """The content and the ETag that belongs to it. Raises NotFound."""
        blob = self._get(container, name)
        return blob.content, blob.etag

    def open(self, container: str, name: str) -> AbstractContextManager[BinaryIO]:
        """The content as a stream. Raises NotFound."""
        return closing(BytesIO(self.read(container, name)))

    def write(
        self,
        container: str,
        name: str,
        content: bytes | BinaryIO,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> str:
        """Write and return the new ETag.

        Raises:
            Conflict: `if_match` is not the blob's ETag, or `if_absent` and the blob exists.
            InvalidName: also where the name is a folder of other blobs, or lies below a blob.
        """
        check_names(container, name)
        data = content if isinstance(content, bytes) else content.read()
        with self._mutex:
            current = self._blobs.get(container, {}).get(name)
            if if_absent and current is not None:
                raise Conflict(f"The blob {container}/{name} exists.")
            if if_match is not None and (current is None or current.etag != if_match):
                raise Conflict(f"The blob {container}/{name} was changed by another writer.")
            return self._put(container, name, data)

    def append(self, container: str, name: str, content: bytes) -> None:
        """Add to the end of a blob, creating it if need be."""
        check_names(container, name)
        with self._mutex:
            current = self._blobs.get(container, {}).get(name)
            self._put(container, name, (current.content if current else b"") + content)

    def info(self, container: str, name: str) -> BlobInfo:
        """Raises NotFound."""
        return _info(container, name, self._get(container, name))

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, by name. A container that does not exist is empty."""
        check_names(container)
        with self._mutex:
            blobs = [item for item in self._blobs.get(container, {}).items() if item[0].startswith(prefix)]
        return iter([_info(container, name, blob) for name, blob in sorted(blobs)])

    def link(self, container: str, name: str, valid_for: timedelta) -> str | None:  # noqa: ARG002
        """None: blobs in memory have no address."""
        check_names(container, name)
        return None

    def delete(self, container: str, name: str) -> None:
        """Remove the blob; one that does not exist is no error."""
        check_names(container, name)
        with self._mutex:
            if self._blobs.get(container, {}).pop(name, None) is not None:
                self._folders[container].subtract(_above(name))

    def _get(self, container: str, name: str) -> _Blob:
        check_names(container, name)
        with self._mutex:
            blob = self._blobs.get(container, {}).get(name)
        if blob is None:
            raise NotFound(f"There is no blob {container}/{name}.")
        return blob

    def _put(self, container: str, name: str, content: bytes) -> str:
        blobs = self._blobs.setdefault(container, {})
        if name not in blobs:
            folders = self._folders.setdefault(container, Counter())
            if folders[name] or any(folder in blobs for folder in _above(name)):
                refuse_clash(container, name, blobs)
            folders.update(_above(name))
        etag = f"{next(self._etags):x}"
        blobs[name] = _Blob(content, etag, self._clock.now() if self._clock else datetime.now(UTC))
        return etag


def _above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _info(container: str, name: str, blob: _Blob) -> BlobInfo:
    return BlobInfo(container, name, len(blob.content), blob.etag, blob.last_modified)
