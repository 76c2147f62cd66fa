"""The workspace's default datastore: lines go there before a run and its outputs come from there, both as streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.errors import translated
from shared.adapters.azure.machine_learning.client import Workspace
from shared.errors import NotFound

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

ROLE: Final = "Storage Blob Data Contributor"
_CHUNK: Final = 1 << 20
"""Bytes of a file that are in memory at once."""


class WorkspaceStorage:
    """The container behind the default datastore. Safe for threads."""

    def __init__(self, workspace: Workspace, *, retries: int, timeout_s: float) -> None:
        self._workspace = workspace
        self._retries = retries
        self._timeout_s = timeout_s

    def upload(self, file: Path, name: str) -> str:
        """Put a file there, unless it is there; how runs refer to it.

        Raises:
            BusinessFailure, Throttled, Transient: as `shared/adapters/azure/errors.py` says.
        """
        from azure.core.exceptions import ResourceExistsError

        with self._errors(), file.open("rb") as stream:
            with suppress(ResourceExistsError):  # an earlier submission of the same run: its lines are the same
                self._container.upload_blob(name, stream, overwrite=False)
            return f"azureml://datastores/{self._datastore.name}/paths/{name}"

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a text file, as they come. Raises NotFound, and as `upload`."""
        rest = b""
        with self._errors():
            for chunk in self._container.download_blob(name).chunks():
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
        if rest:
            yield rest

    def names(self, prefix: str) -> Iterator[str]:
        """Files below a folder, by name. Raises as `upload`."""
        with self._errors():
            yield from (str(name) for name in self._container.list_blob_names(name_starts_with=prefix))

    def first_line(self, name: str) -> bytes | None:
        """Of a text file; None where there is none. Raises as `upload`."""
        try:
            return next(iter(self.lines(name)), None)
        except NotFound:
            return None

    def _errors(self) -> Any:
        return translated(f"The storage of the Azure ML workspace {self._workspace.azure.workspace!r}", role=ROLE)

    @cached_property
    def _datastore(self) -> Any:
        with self._workspace.errors():
            return self._workspace.client().datastores.get_default()

    @cached_property
    def _container(self) -> ContainerClient:
        from azure.storage.blob import ContainerClient

        found = self._datastore
        return ContainerClient(
            f"{found.protocol}://{found.account_name}.blob.{found.endpoint}",
            found.container_name,
            credential=self._workspace.credential,
            max_single_get_size=_CHUNK,  # by itself the SDK takes 32 MB at once
            max_chunk_get_size=_CHUNK,
            retry_total=self._retries,
            retry_status=0,
            connection_timeout=10.0,
            read_timeout=self._timeout_s,
        )


def by_line(files: Iterable[Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The lines of a run's artifacts in order: files come in order, and hold a few lines each in any."""
    for file in files:
        yield from sorted(file, key=lambda line: int(line["line_number"]))
