"""Blobs as streams: a download that is read like a file, and an upload in blocks that becomes a blob in one moment.

Neither holds more than a few chunks in memory, however long the blob is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import RawIOBase
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from shared.adapters.azure.storage.service import CHUNK, BlobService

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Download(RawIOBase):
    """Bytes that arrive in chunks, as the raw side of a `BufferedReader`.

    Args:
        chunks: what arrives.
        errors: how what goes wrong on the way is raised.
    """

    def __init__(self, chunks: Iterator[bytes], errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._chunks = chunks
        self._errors = errors
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer as far as a chunk goes; 0 at the end."""
        while not self._rest:
            with self._errors():
                chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def upload(
    service: BlobService,
    container: str,
    name: str,
    content: bytes | BinaryIO,
    errors: Callable[[], AbstractContextManager[None]],
    conditions: dict[str, Any],
) -> str:
    """Write a blob under these conditions; returns its ETag. Raises what `content` raises, and as `errors` says.

    Short content goes in one request. Longer content is staged in blocks that nobody sees, and becomes the blob when
    their list is committed, under the conditions; 50,000 blocks of `CHUNK` are 195 GB. What is not committed is
    dropped by the service after a week (https://learn.microsoft.com/rest/api/storageservices/put-block).
    """
    from azure.storage.blob import BlobBlock

    parts = _parts(content)
    first, second = next(parts, b""), next(parts, None)
    blob = service.blob(container, name)
    if second is None:
        with errors():
            # `overwrite` only says that the SDK adds no condition of its own.
            answer = service.making_container(container, lambda: blob.upload_blob(first, overwrite=True, **conditions))
            return str(answer["etag"])
    blocks: list[BlobBlock] = []
    run = uuid.uuid4().hex  # blocks of two uploads of one blob must not be taken for each other's

    def stage(part: bytes) -> None:
        block = f"{run}-{len(blocks):05}"
        blob.stage_block(block, part, length=len(part))
        blocks.append(BlobBlock(block))

    with errors():
        service.making_container(container, lambda: stage(first))
    for part in chain((second,), parts):
        with errors():
            stage(part)
    with errors():
        return str(blob.commit_block_list(blocks, **conditions)["etag"])


def _parts(content: bytes | BinaryIO) -> Iterator[bytes]:
    """Chunks of full length, but for the last: a stream may give less than it is asked for."""
    if isinstance(content, bytes):
        yield from (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
        return
    while True:
        part = bytearray()
        while len(part) < CHUNK and (more := content.read(CHUNK - len(part))):
            part += more
        if not part:
            return
        yield bytes(part)
