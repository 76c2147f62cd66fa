"""The blob store on Azure Blob Storage, with conditional writes by ETag and streams of bounded memory.

How a write moves: short content in one request, long content in blocks that are committed at the end, both on the
condition that was asked for. A repeated request whose first answer was lost meets its own write: the mark that every
conditional write leaves in the blob's metadata tells it from another writer's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from io import BufferedReader
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from shared.adapters.azure.storage.appending import BLOCKS, Appender, parts_of
from shared.adapters.azure.storage.links import Links
from shared.adapters.azure.storage.service import CHUNK, BlobService, Patience
from shared.adapters.azure.storage.streams import Download, upload
from shared.adapters.blob_names import check_names
from shared.errors import Conflict, NotFound, Transient
from shared.ports import BlobInfo

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import BlobProperties, StorageStreamDownloader

__all__ = ["AzureBlobStore", "Patience"]

MARK: Final = "genaiops_write"
PAGE: Final = 5_000
"""Blobs of one page of a listing: the most that the service gives."""
READS: Final = 3
"""How often a blob that is replaced while it is read is begun again."""


class AzureBlobStore:
    """BlobStore in one storage account, for several threads, and for several processes.

    Other than in a file store, one name may be a blob and a folder of blobs at once: to the service a name is a name.

    Args:
        service_url: of the account's blob service, `https://<account>.blob.core.windows.net`.
        credential: who asks; it needs the role Storage Blob Data Contributor.
        patience: how long a service that does not answer is waited for.
        append_blocks: blocks of an append blob after which it gets a further part.
        page: blobs of one page of a listing.
    """

    def __init__(
        self,
        service_url: str,
        credential: TokenCredential,
        *,
        patience: Patience | None = None,
        append_blocks: int = BLOCKS,
        page: int = PAGE,
    ) -> None:
        self._page = page
        self._service = BlobService(service_url, credential, patience or Patience())
        self._appender = Appender(self._service, append_blocks)
        self._links = Links(self._service)

    def read(self, container: str, name: str) -> bytes:
        """The content. Raises NotFound."""
        return self.read_with_etag(container, name)[0]

    def read_with_etag(self, container: str, name: str) -> tuple[bytes, str]:
        """The content and the ETag that belongs to it. Raises NotFound."""
        check_names(container, name)
        for _ in range(READS):
            try:
                with self._reading(container, name):
                    first = self._download(container, name)
                    parts = parts_of(first.properties, container, name)
                    content = b"".join([first.readall(), *(self._download(*part).readall() for part in parts)])
                    return content, first.properties.etag
            except Conflict:
                continue
        raise Transient(f"The blob {container}/{name} was replaced {READS} times while it was read. Try again.")

    def open(self, container: str, name: str) -> AbstractContextManager[BinaryIO]:
        """The content as a stream, of which a chunk at a time is in memory.

        A blob longer than a chunk that is replaced meanwhile cannot be read to its end: Transient. Raises NotFound.
        """
        check_names(container, name)
        return self._opened(container, name)

    def write(
        self,
        container: str,
        name: str,
        content: bytes | BinaryIO,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> str:
        """Write atomically and return the new ETag.

        Raises:
            Conflict: `if_match` is not the blob's ETag, or `if_absent` and the blob exists.
            Transient: the service did not answer, in which case the write may have been done; or somebody else wrote
                the blob while a long content was sent, and nothing was changed.
        """
        check_names(container, name)
        from azure.core import MatchConditions

        mark = uuid.uuid4().hex
        conditions: dict[str, Any] = {}
        if if_absent:
            conditions = {"match_condition": MatchConditions.IfMissing, "metadata": {MARK: mark}}
        elif if_match is not None:
            conditions = {"etag": if_match, "match_condition": MatchConditions.IfNotModified, "metadata": {MARK: mark}}
        try:
            return upload(self._service, container, name, content, lambda: self._errors(container, name), conditions)
        except (Conflict, NotFound) as error:
            if not conditions:
                raise Transient(f"{error} Try again.") from error
            with self._errors(container, name):
                found = self._service.properties(container, name)
            if found is not None and (found.metadata or {}).get(MARK) == mark:
                return str(found.etag)  # the write was done, and only its answer was lost
            happened = "exists" if if_absent else "was changed by another writer"
            raise Conflict(f"The blob {container}/{name} {happened}.") from None

    def append(self, container: str, name: str, content: bytes) -> None:
        """Add to the end of an append blob, creating it if need be; also where answers are lost, once."""
        check_names(container, name)
        self._appender.append(container, name, content)

    def info(self, container: str, name: str) -> BlobInfo:
        """Raises NotFound."""
        check_names(container, name)
        with self._reading(container, name):
            first = self._service.blob(container, name).get_blob_properties()
            parts = [self._service.blob(*part).get_blob_properties() for part in parts_of(first, container, name)]
        last = parts[-1] if parts else first
        size = sum(part.size for part in (first, *parts))
        return BlobInfo(container, name, size, str(last.etag), last.last_modified)

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, by name, a page at a time; of an append blob the first part counts."""
        check_names(container)
        return self._listed(container, prefix)

    def delete(self, container: str, name: str) -> None:
        """Remove the blob; one that does not exist is no error."""
        check_names(container, name)
        with self._errors(container, name):
            found = self._service.properties(container, name)
            if found is None:
                return
            for place in (*parts_of(found, container, name), (container, name)):
                self._delete(*place)

    def link(self, container: str, name: str, valid_for: timedelta) -> str | None:
        """An address under which anyone can read the blob, and nothing else, for that time; it is offered as a file."""
        check_names(container, name)
        with self._errors(container, name):
            return self._links.link(container, name, valid_for)

    def _errors(self, container: str, name: str) -> AbstractContextManager[None]:
        return self._service.errors(f"The blob {container}/{name}")

    @contextmanager
    def _reading(self, container: str, name: str) -> Iterator[None]:
        try:
            with self._errors(container, name):
                yield
        except NotFound:
            raise NotFound(f"There is no blob {container}/{name}.") from None

    def _download(self, container: str, name: str) -> StorageStreamDownloader[bytes]:
        return self._service.blob(container, name).download_blob()

    @contextmanager
    def _opened(self, container: str, name: str) -> Iterator[BinaryIO]:
        with self._reading(container, name):
            first = self._download(container, name)
        chunks = self._chunks(first, parts_of(first.properties, container, name))
        with BufferedReader(Download(chunks, lambda: self._streaming(container, name)), CHUNK) as stream:
            yield stream

    def _chunks(self, first: StorageStreamDownloader[bytes], parts: Iterable[tuple[str, str]]) -> Iterator[bytes]:
        yield from first.chunks()
        for part in parts:
            yield from self._download(*part).chunks()

    @contextmanager
    def _streaming(self, container: str, name: str) -> Iterator[None]:
        try:
            with self._errors(container, name):
                yield
        except (Conflict, NotFound):
            raise Transient(f"The blob {container}/{name} was replaced while it was read. Try again.") from None

    def _listed(self, container: str, prefix: str) -> Iterator[BlobInfo]:
        from azure.core.exceptions import ResourceNotFoundError

        there = self._service.container(container)
        pages = there.list_blobs(name_starts_with=prefix or None, results_per_page=self._page)
        with self._service.errors(f"The container {container}"):
            try:
                for found in pages:
                    yield _info(container, found)
            except ResourceNotFoundError:
                return  # no container: no blobs

    def _delete(self, container: str, name: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            self._service.blob(container, name).delete_blob(delete_snapshots="include")
        except ResourceNotFoundError:
            return


def _info(container: str, found: BlobProperties) -> BlobInfo:
    # Listings give ETags without the quotes that they have everywhere else, in triggers too.
    etag = str(found.etag)
    quoted = etag if etag.startswith('"') else f'"{etag}"'
    return BlobInfo(container, str(found.name), found.size, quoted, found.last_modified)
