"""The part of a `BlobClient` that blob triggers use, on the local store: the name, the properties, a download."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final

from shared.ports import BlobStore

_CHUNK: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class LocalBlobProperties:
    """What is known of a blob without reading it."""

    name: str
    container: str
    size: int
    etag: str
    last_modified: datetime


class LocalDownload:
    """A blob's content, read when it is asked for."""

    def __init__(self, blobs: BlobStore, container: str, name: str) -> None:
        self._blobs, self._container, self._name = blobs, container, name

    def readall(self) -> bytes:
        """The whole content. Raises NotFound."""
        return self._blobs.read(self._container, self._name)

    def chunks(self) -> Iterator[bytes]:
        """The content in parts. Raises NotFound."""
        with self._blobs.open(self._container, self._name) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk

    def readinto(self, stream: BinaryIO) -> int:
        """Copy the content into a stream; returns how many bytes. Raises NotFound."""
        return sum(stream.write(chunk) for chunk in self.chunks())


class LocalBlobClient:
    """One blob of the local store, with the names that the Azure SDK gives these things."""

    def __init__(self, blobs: BlobStore, container: str, name: str) -> None:
        self._blobs = blobs
        self.container_name = container
        self.blob_name = name

    def get_blob_properties(self) -> LocalBlobProperties:
        """Raises NotFound."""
        info = self._blobs.info(self.container_name, self.blob_name)
        return LocalBlobProperties(info.name, info.container, info.size, info.etag, info.last_modified)

    def download_blob(self) -> LocalDownload:
        """The content, not yet read."""
        return LocalDownload(self._blobs, self.container_name, self.blob_name)
