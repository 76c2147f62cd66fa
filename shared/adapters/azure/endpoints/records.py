"""What is asked of endpoints: one record each in blob storage, since a platform knows neither wishes nor their authors.

A record says what ought to be; the platform says what is. Every look compares the two and begins the next operation,
so a crash loses nothing: `deploy`, `set_traffic` and `remove` are conditional writes here, and all else follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Conflict, NotFound
from shared.ports import BlobStore
from shared.use_case.model import ConnectionSpec

CONTAINER: Final = "endpoints"
_PREFIX: Final = "records/"
_TRIES: Final = 20
"""Conditional writes before giving up: each loss means that somebody else's write went through."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WantedDeployment(_Record):
    """A deployment that ought to be there, or (`removed`) ought to be gone. It holds no key and no secret.

    One that is removed stays here only while its platform cannot begin to delete it.
    """

    name: str
    creation: str
    """Random, new with every creation, and a tag of the platform's deployment: what bears another one is a former
    deployment of this name, which has to go before this one can be created."""
    options: Mapping[str, object] = Field(default_factory=dict)
    """Of its target, as in `configs/deployment_config.json`."""
    flow_digest: str
    flow_version: str
    flow_file: str
    package: str = ""
    variants: Mapping[str, str] = Field(default_factory=dict)
    parameters: Mapping[str, object] = Field(default_factory=dict)
    environment: Mapping[str, str] = Field(default_factory=dict)
    """As written: a text or `${NAME}`."""
    connections: tuple[ConnectionSpec, ...] = ()
    tags: Mapping[str, str] = Field(default_factory=dict)
    content: str = ""
    """Digest of flow, variants and parameters: what may bear this name."""
    began: str = ""
    """Not empty once its creation has begun: what is not on the platform any more is not created again."""
    prepared: Mapping[str, str] | None = None
    """What the target's `prepare` gave; None until its effects (an uploaded context, a begun build) are there."""
    removed: bool = False


class WantedTraffic(_Record):
    """A split that was asked for and does not hold yet."""

    split: Mapping[str, int]
    begun: bool = False
    """Whether the platform has accepted it."""


class EndpointRecord(_Record):
    """An endpoint that ought to be there."""

    name: str
    kind: str
    """Which target serves it: see `KINDS` of `shared/use_case/deployment_config.py`."""
    options: Mapping[str, object] = Field(default_factory=dict)
    """Of the deployment that made the endpoint."""
    deployments: Mapping[str, WantedDeployment] = Field(default_factory=dict)
    traffic: WantedTraffic | None = None
    """None: what the platform has is what was asked for."""

    def having(self, deployment: WantedDeployment) -> EndpointRecord:
        """Return the record with the deployment in place of its namesake."""
        return self.model_copy(update={"deployments": {**self.deployments, deployment.name: deployment}})

    def lacking(self, deployment: str) -> EndpointRecord:
        """Return the record without the deployment."""
        rest = {name: wanted for name, wanted in self.deployments.items() if name != deployment}
        return self.model_copy(update={"deployments": rest})


class EndpointRecords:
    """The records, one blob an endpoint."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def names(self) -> list[str]:
        """Every endpoint's name, sorted."""
        found = self._blobs.list(CONTAINER, _PREFIX)
        return sorted(blob.name.removeprefix(_PREFIX).removesuffix(".json") for blob in found)

    def read(self, endpoint: str) -> EndpointRecord:
        """Raises NotFound."""
        return EndpointRecord.model_validate_json(self._blobs.read(CONTAINER, _blob(endpoint)))

    def update(
        self,
        endpoint: str,
        change: Callable[[EndpointRecord], EndpointRecord],
        *,
        missing: EndpointRecord | None = None,
    ) -> EndpointRecord:
        """Change the record as it is now, again if somebody else was faster, and return it as it is then.

        Args:
            endpoint: its name.
            change: from the record as it is now to what it ought to be; returns the same object to write nothing.
            missing: what to start from where there is no record.

        Raises:
            NotFound: there is no record, and no `missing`.
            Conflict: others were faster every time.
        """
        for _ in range(_TRIES):
            try:
                content, etag = self._blobs.read_with_etag(CONTAINER, _blob(endpoint))
                before = EndpointRecord.model_validate_json(content)
            except NotFound:
                if missing is None:
                    raise
                before, etag = missing, ""
            after = change(before)
            if after is before:
                return before
            written = after.model_dump_json().encode()
            try:
                if etag:
                    self._blobs.write(CONTAINER, _blob(endpoint), written, if_match=etag)
                else:
                    self._blobs.write(CONTAINER, _blob(endpoint), written, if_absent=True)
            except Conflict:
                continue
            return after
        raise Conflict(f"The record of endpoint {endpoint!r} was changed by others {_TRIES} times in a row.")


def _blob(endpoint: str) -> str:
    return f"{_PREFIX}{endpoint}.json"
