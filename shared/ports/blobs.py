"""BlobStore: blobs in containers, with conditional writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class BlobInfo:
    """A blob without its content."""

    container: str
    name: str
    size: int
    etag: str
    last_modified: datetime


class BlobStore(Protocol):
    """Blobs in containers, with conditional writes. Containers come into being with their first blob.

    Names are `/`-separated; empty parts, `.`, `..`, backslashes and control characters raise InvalidName. Use no name
    both as a blob and as a folder of blobs: where blobs are files, that raises InvalidName, too.
    """

    def read(self, container: str, name: str) -> bytes:
        """The content. Raises NotFound."""
        ...

    def read_with_etag(self, container: str, name: str) -> tuple[bytes, str]:
        """The content and the ETag that belongs to it. Raises NotFound."""
        ...

    def open(self, container: str, name: str) -> AbstractContextManager[BinaryIO]:
        """The content as a stream, for blobs that may be large. Raises NotFound."""
        ...

    def write(
        self,
        container: str,
        name: str,
        content: bytes | BinaryIO,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> str:
        """Write atomically and return the new ETag; a reader sees the old or the new content, never a part.

        Raises:
            Conflict: `if_match` is not the blob's ETag, or `if_absent` and the blob exists. Nothing was changed.
        """
        ...

    def append(self, container: str, name: str, content: bytes) -> None:
        """Add to the end of an append blob, creating it if need be (a blob is written or appended to, never both)."""
        ...

    def info(self, container: str, name: str) -> BlobInfo:
        """Raises NotFound."""
        ...

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, by name. A container that does not exist is empty."""
        ...

    def link(self, container: str, name: str, valid_for: timedelta) -> str | None:
        """An https address under which anyone can read this blob, and nothing else, for at most `valid_for`.

        It is offered as a file to keep, never shown as a page. None: there are no such addresses, blobs are read here.
        """
        ...

    def delete(self, container: str, name: str) -> None:
        """Remove the blob; one that does not exist is no error."""
        ...
