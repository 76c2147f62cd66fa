"""The workspace's default datastore: lines go there before a run and its outputs come from there, both as streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.errors import translated
from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.storage import account
from shared.errors import BusinessFailure, NotFound

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

ROLE: Final = "Storage Blob Data Contributor"
_CHUNK: Final = 1 << 20
"""Bytes of a file that are in memory at once."""
_LONGEST: Final = 64 << 20
"""Bytes of a line: what a flow answers is up to the flow, and this process has other work, too."""
_ENDPOINTS: Final = frozenset({"core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net"})
"""Of storage accounts, by cloud: https://learn.microsoft.com/azure/storage/common/storage-account-overview."""
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")


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
        """The lines of a text file, as they come.

        Raises:
            NotFound: there is none of that name.
            BusinessFailure: a line is too long. Else as `upload`.
        """
        rest = bytearray()
        with self._errors():
            for chunk in self._container.download_blob(_within(name)).chunks():
                first, *others = chunk.split(b"\n")
                rest += first
                if len(rest) > _LONGEST:
                    raise BusinessFailure(
                        f"A line of {name} in the storage of {self._workspace.title} has more than "
                        f"{_LONGEST >> 20} MB: have the flow answer less."
                    )
                for each in others:
                    yield bytes(rest)
                    rest = bytearray(each)
        if rest:
            yield bytes(rest)

    def names(self, prefix: str) -> Iterator[str]:
        """Files below a folder, by name. Raises as `upload`."""
        with self._errors():
            yield from (str(name) for name in self._container.list_blob_names(name_starts_with=_within(prefix)))

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
        own = account(self._workspace.azure.blob_service)[1]
        at_home = found.endpoint in _ENDPOINTS | {own} and _ACCOUNT.fullmatch(found.account_name)
        if found.protocol != "https" or not at_home:
            # Whoever may write datastores must not have this app's token sent to any address.
            raise BusinessFailure(
                f"The default datastore {found.name!r} of {self._workspace.title} lies at {found.protocol}://"
                f"{found.account_name}.blob.{found.endpoint}, which is no storage account of Azure: correct it in the "
                "studio, or make another one the default."
            )
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


def _within(name: str) -> str:
    """A name that stays in its container: some of it comes from a flow, and clients resolve `..` in addresses."""
    if any(part in ("", ".", "..") for part in name.rstrip("/").split("/")):
        raise BusinessFailure(f"The file {name[:200]!r} of a run is not read: its name leads out of its container.")
    return name


def by_line(files: Iterable[Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The lines of a run's artifacts in order: files come in order, and hold a few lines each in any."""
    for file in files:
        yield from sorted(file, key=lambda line: int(line["line_number"]))
