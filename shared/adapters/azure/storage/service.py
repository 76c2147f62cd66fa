"""The blob service of one storage account: its client, containers made when first needed, and errors in our families.

The client is made at the first call and kept; connections are shared by all threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shared.adapters.azure.errors import translated
from shared.errors import BusinessFailure, Conflict, Transient

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient, ContainerClient

ROLE: Final = "Storage Blob Data Contributor"
CHUNK: Final = 4 * 1024 * 1024
"""Bytes that a download fetches, and an upload sends, at a time. A stream of any length costs a few times that."""
CONNECTIONS: Final = 64
"""Kept open at the same time. requests keeps 10, and makes and drops the others: each with a TLS handshake."""

_CHATTER: Final = ("azure.core.pipeline.policies.http_logging_policy",)
"""Loggers that say at level INFO what every request and its answer held."""

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a service that does not answer is waited for. The defaults end within the lock on a message (5 minutes).

    The SDK's own waits begin at 15 s: https://learn.microsoft.com/azure/storage/blobs/storage-retry-policy-python.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    """Seconds without a byte."""
    tries: int = 4
    wait_s: float = 0.5
    """Before the second try; from then on 2 and 4 s more. Below 0.1 it stays the same: for tests."""


class BlobService:
    """One storage account's blob service, for several threads."""

    def __init__(self, url: str, credential: TokenCredential, patience: Patience) -> None:
        self.url = url.rstrip("/")
        self.patience = patience
        self._credential = credential
        self._making = Lock()

    @property
    def client(self) -> BlobServiceClient:
        """The SDK's client."""
        with self._making:
            return self._client

    def blob(self, container: str, name: str) -> BlobClient:
        """The SDK's client of one blob. Nothing is asked yet."""
        return self.client.get_blob_client(container, name)

    def container(self, container: str) -> ContainerClient:
        """The SDK's client of one container. Nothing is asked yet."""
        return self.client.get_container_client(container)

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Raise what the SDK raises as an error of the families, about `what`."""
        from azure.core.exceptions import HttpResponseError

        with translated(f"{what} in {self.url}", role=ROLE):
            try:
                yield
            except HttpResponseError as error:
                match code_of(error):
                    case "ContainerBeingDeleted":
                        raise Transient(f"{what} in {self.url}: its container is being deleted. Try again.") from error
                    case "InvalidBlockList":
                        # Whoever commits first ends all other uploads of that blob: the service drops their blocks.
                        raise Conflict(f"{what} in {self.url} was written by somebody else meanwhile.") from error
                    case "InvalidBlobType":
                        raise BusinessFailure(
                            f"{what} in {self.url} is of another kind: a blob is written or appended to, never both."
                        ) from error
                    case _:
                        raise

    def properties(self, container: str, name: str) -> BlobProperties | None:
        """What is known of a blob; None if there is none. Raises what the SDK raises."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self.blob(container, name).get_blob_properties()
        except ResourceNotFoundError:
            return None

    def making_container(self, container: str, write: Callable[[], T]) -> T:
        """Write; where the container does not exist, make it and write again. Raises what the SDK raises."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        try:
            return write()
        except ResourceNotFoundError as error:
            if code_of(error) != "ContainerNotFound":
                raise
        with suppress(ResourceExistsError):  # another writer was faster
            self.container(container).create_container()
        return write()

    @cached_property
    def _client(self) -> BlobServiceClient:
        for name in _CHATTER:
            logging.getLogger(name).setLevel(logging.WARNING)
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import BlobServiceClient, ExponentialRetry

        patience = self.patience
        options: dict[str, Any] = {
            # Seconds between tries: the first wait, then the first wait and a power of the base.
            "retry_policy": ExponentialRetry(
                initial_backoff=patience.wait_s,  # type: ignore[arg-type]  # seconds, and fractions work
                increment_base=2 if patience.wait_s >= 0.1 else 0,
                retry_total=patience.tries - 1,
                random_jitter_range=0,
            ),
            "transport": RequestsTransport(
                session=_session(), connection_timeout=patience.connect_s, read_timeout=patience.read_s
            ),
            "max_single_get_size": CHUNK,
            "max_chunk_get_size": CHUNK,
        }
        return BlobServiceClient(self.url, self._credential, **options)


def code_of(error: Exception) -> str:
    """The service's own code of an error: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _session() -> Any:
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_connections=4, pool_maxsize=CONNECTIONS))
    return session
