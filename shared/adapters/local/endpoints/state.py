"""The documents of the local endpoints: what is asked for, and what the host last saw of it.

    endpoints/desired/<endpoint>.json    written with conditional writes by any process: deploy, set_traffic, remove
    endpoints/observed/<endpoint>.json   written by the host alone, at most every second: states and counts

Connections and variables appear as a use case describes them, with `${…}` for what is secret: both are filled in when a
process starts, and never written.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.adapters.local.endpoints.statistics import Counts
from shared.errors import Conflict, NotFound, Transient
from shared.ports import BlobStore, DeploymentState
from shared.use_case.model import ConnectionSpec

CONTAINER: Final = "endpoints"
HEADER: Final = "azureml-model-deployment"
"""In a request: the deployment that must answer. In an answer: the one that did. Azure ML uses the same name."""
SERVED: Final = "served"
"""Folder in the home: `<endpoint>/<deployment>-<creation>/` holds what one deployment needs."""
FLOW: Final = "flow"
"""In a deployment's folder: the frozen copy of the flow, where it was deployed alone."""
ROOT: Final = "use-case"
"""In a deployment's folder: the frozen copy of the use case, the flow in it."""
_ATTEMPTS: Final = 50


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DesiredDeployment(_Document):
    """A deployment as it was asked for."""

    name: str
    creation: str
    """Random: tells a deployment from an earlier one of the same name, in counts and in folder names."""
    folder: str
    """The frozen copy of the flow, relative to `<home>/served`."""
    flow_digest: str
    flow_version: str
    variants: Mapping[str, str] = Field(default_factory=dict)
    parameters: Mapping[str, object] = Field(default_factory=dict)
    environment: Mapping[str, str] = Field(default_factory=dict)
    connections: tuple[ConnectionSpec, ...] = ()
    tags: Mapping[str, str] = Field(default_factory=dict)
    flow: str = FLOW
    """The flow's folder, relative to `folder`."""
    flow_file: str = "flow.dag.yaml"
    package: str = ""
    root: str = ""
    """The use case's folder, relative to `folder`; empty: it was not deployed with the flow."""

    @field_validator("connections", mode="before")
    @classmethod
    def _by_name(cls, written: object) -> object:
        """Deployments of earlier versions have names alone."""
        if not isinstance(written, list | tuple):
            return written
        return [ConnectionSpec(one) if isinstance(one, str) else one for one in written]


class DesiredEndpoint(_Document):
    """An endpoint as it was asked for."""

    name: str
    deployments: Mapping[str, DesiredDeployment] = Field(default_factory=dict)
    traffic: Mapping[str, int] = Field(default_factory=dict)


class ObservedDeployment(_Document):
    """A deployment as the host saw it."""

    creation: str
    state: DeploymentState
    reason: str = ""
    pid: int | None = None
    """The served process, while there is one."""
    counts: Counts = Counts()


class ObservedEndpoint(_Document):
    """An endpoint as the host saw it."""

    deployments: Mapping[str, ObservedDeployment] = Field(default_factory=dict)


class EndpointStore:
    """Reads and writes the documents."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def names(self) -> list[str]:
        """All endpoints, by name."""
        prefix = "desired/"
        found = (blob.name for blob in self._blobs.list(CONTAINER, prefix))
        return sorted(name[len(prefix) : -len(".json")] for name in found if name.endswith(".json"))

    def desired(self, endpoint: str) -> DesiredEndpoint:
        """Raises NotFound."""
        return DesiredEndpoint.model_validate_json(self._blobs.read(CONTAINER, f"desired/{endpoint}.json"))

    def update(self, endpoint: str, change: Callable[[DesiredEndpoint], DesiredEndpoint], *, create: bool) -> None:
        """Apply `change` to the document; it is called again when another writer came first.

        Raises:
            NotFound: there is no such endpoint, and `create` is false.
            Transient: other writers came first, every time.
        """
        name = f"desired/{endpoint}.json"
        for attempt in range(_ATTEMPTS):
            etag: str | None = None
            try:
                content, etag = self._blobs.read_with_etag(CONTAINER, name)
                before = DesiredEndpoint.model_validate_json(content)
            except NotFound:
                if not create:
                    raise
                before = DesiredEndpoint(name=endpoint)
            after = change(before)
            if etag is not None and after == before:
                return
            try:
                self._blobs.write(
                    CONTAINER, name, after.model_dump_json().encode(), if_match=etag, if_absent=etag is None
                )
            except Conflict:
                time.sleep(random.uniform(0, 0.01 * (attempt + 1)))  # noqa: S311
            else:
                return
        raise Transient(f"Endpoint {endpoint!r} is being changed by many writers at once; try again.")

    def observed(self, endpoint: str) -> ObservedEndpoint:
        """What the host last saw; nothing, if it never ran."""
        try:
            content = self._blobs.read(CONTAINER, f"observed/{endpoint}.json")
        except NotFound:
            return ObservedEndpoint()
        return ObservedEndpoint.model_validate_json(content)

    def write_observed(self, endpoint: str, observed: ObservedEndpoint) -> None:
        """Called by the one host of this home: nobody else writes it, so no condition is needed."""
        self._blobs.write(CONTAINER, f"observed/{endpoint}.json", observed.model_dump_json().encode())
