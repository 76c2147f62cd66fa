"""How a blob of the product's storage account is addressed in Azure ML: through a datastore of its container.

Models lie on datastores only (https://learn.microsoft.com/azure/machine-learning/how-to-manage-models), so data assets
do, too. The datastores hold no key: whoever reads through one does so as itself.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from shared.adapters.azure.machine_learning.client import Workspace
from shared.errors import BusinessFailure, NotFound

if TYPE_CHECKING:
    from azure.ai.ml.entities import AzureBlobDatastore

PREFIX: Final = "genaiops_"
KEPT: Final = frozenset(
    {"appended", "approvals", "branches", "chain-index", "chains", "dead-letters", "endpoints", "messages", "notices"}
    | {"registry", "reports", "results", "reuse", "runs", "secrets", "tasks", "threads"}
)
"""Containers in which the product keeps what is its own: no asset has its content there."""
_OF_THE_HOST: Final = "azure-webjobs-"
"""How containers of the Functions host begin, function keys among them."""
_PATH: Final = re.compile(r"azureml:.*/datastores/([^/]+)/paths/(.+)")


def account(blob_service: str) -> tuple[str, str]:
    """The storage account's name, and the endpoint that follows `.blob.` in its address."""
    address = urlsplit(blob_service)
    name, _, endpoint = address.netloc.partition(".blob.")
    if endpoint:
        return name, endpoint
    return address.path.strip("/"), address.netloc  # an emulator: the account is the path


def is_kept(blob: str) -> bool:
    """Whether `<container>/<name>` is the product's own, or its host's.

    Whoever may write assets in the workspace chooses what they name, and this app can read more of the account than
    they can: the key of approval links, say.
    """
    container = blob.partition("/")[0]
    return container in KEPT or container.startswith(_OF_THE_HOST)


class Storage:
    """The datastores of the workspace over the product's storage account; each is made when it is first needed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = Lock()
        self._there: set[str] = set()
        self._account, self._endpoint = account(workspace.azure.blob_service)

    def uri(self, blob: str) -> str:
        """The address of `<container>/<name>` for Azure ML. Nothing is uploaded.

        Raises:
            BusinessFailure: the container's datastore belongs to another storage account.
        """
        container, _, name = blob.partition("/")
        datastore = PREFIX + container.replace("-", "_")
        with self._lock:
            if datastore not in self._there:
                self._ensure(datastore, container)
                self._there.add(datastore)
        return f"azureml://datastores/{datastore}/paths/{quote(name)}"

    def blob(self, uri: str) -> str | None:
        """`<container>/<name>` of an address that Azure ML gave; None if it lies in another account."""
        service = self._workspace.azure.blob_service + "/"
        if uri.startswith(service):
            return unquote(uri.removeprefix(service))
        found = _PATH.fullmatch(uri)
        if found is None:
            return None
        datastore = self._datastore(found[1])
        if datastore is None or datastore.account_name != self._account:
            return None
        return f"{datastore.container_name}/{unquote(found[2])}"

    def _ensure(self, name: str, container: str) -> None:
        there = self._datastore(name)
        if there is not None:
            if (there.account_name, there.container_name) != (self._account, container):
                raise BusinessFailure(
                    f"{self._workspace.title} has a datastore {name!r} for {there.account_name}/"
                    f"{there.container_name}, but Storage__blobServiceUri names {self._account}: delete the datastore, "
                    "or correct the setting."
                )
            return
        from azure.ai.ml.entities import AzureBlobDatastore

        made = AzureBlobDatastore(
            name=name,
            account_name=self._account,
            container_name=container,
            endpoint=self._endpoint,
            description="Contents that GenAIOps registers",
        )
        with self._workspace.errors():
            self._workspace.client().datastores.create_or_update(made)

    def _datastore(self, name: str) -> AzureBlobDatastore | None:
        from azure.ai.ml.entities import AzureBlobDatastore

        try:
            with self._workspace.errors():
                found = self._workspace.client().datastores.get(name)
        except NotFound:
            return None
        return found if isinstance(found, AzureBlobDatastore) else None
