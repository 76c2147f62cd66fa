"""Endpoints: online endpoints with deployments and traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from shared.connections import Connection
from shared.use_case.model import ConnectionSpec, DeploymentTarget


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment of a registered flow behind an endpoint."""

    endpoint: str
    name: str
    """Named by the flow's content hash: deploying the same content again finds the deployment."""
    flow: Path
    flow_digest: str
    flow_version: str
    variants: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)
    connection_specs: tuple[ConnectionSpec, ...] = ()
    """What describes those connections, without keys: for a platform that resolves them again at every start."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the served flow as they are written: a text, or `${NAME}`, which is filled in where it is served, so
    that a secret is in no record of a deployment."""
    tags: Mapping[str, str] = field(default_factory=dict)
    flow_file: str = "flow.dag.yaml"
    """The file in `flow` that describes it."""
    package: str = ""
    """Name under which the flow's code may import `root`; empty: under none."""
    root: Path | None = None
    """Folder of the use case, which holds `flow`."""
    target: DeploymentTarget | None = None
    """Which platform serves it, and its options; None: the adapter's default."""


class DeploymentState(StrEnum):
    """Where a deployment is."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class DeploymentInfo:
    """A deployment as its platform sees it. Counts are of requests since it was created, where the platform counts."""

    endpoint: str
    name: str
    flow_version: str
    state: DeploymentState
    reason: str = ""
    created: bool = False
    """Only from `deploy`: whether this call created it."""
    requests: int = 0
    errors: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """As given in the DeploymentSpec: tells, after a crash too, which chain created it."""


@dataclass(frozen=True)
class EndpointInfo:
    """An endpoint: its stable address, its traffic and its deployments."""

    name: str
    url: str
    traffic: Mapping[str, int]
    """Deployment → percent."""
    deployments: tuple[DeploymentInfo, ...]
    settled: bool = True
    """Whether requests are split by `traffic` already; a platform may take minutes over a new split."""
    removing: tuple[str, ...] = ()
    """Removed deployments that the platform could not begin to delete yet: remove them again later."""


@dataclass(frozen=True)
class Invocation:
    """One call of an endpoint."""

    status: int
    body: bytes
    latency_ms: float
    deployment: str
    """Which deployment answered."""


class Endpoints(Protocol):
    """Online endpoints with deployments and traffic."""

    def deploy(self, spec: DeploymentSpec) -> DeploymentInfo:
        """Begin to create the deployment at 0 % traffic, or find it. Never waits until it is ready.

        One that has failed is created anew: with new tags and counts, and without traffic, which the others get.
        """
        ...

    def look(self, endpoint: str, deployment: str) -> DeploymentInfo:
        """Raises NotFound."""
        ...

    def describe(self, endpoint: str) -> EndpointInfo:
        """Raises NotFound."""
        ...

    def list(self) -> list[EndpointInfo]:
        """All endpoints, by name."""
        ...

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """Replace the traffic split; it must sum to 0 or 100 and name existing deployments, else BusinessFailure.

        `describe` tells it at once, and whether it holds already (`settled`). Until it does, ask for the same split
        again: that brings it on its way, and raises BusinessFailure where the platform has refused it.
        """
        ...

    def invoke(self, endpoint: str, payload: Mapping[str, object], deployment: str | None = None) -> Invocation:
        """Score one request, through the split or on the named deployment. An HTTP error is a status, no exception.

        Raises:
            NotFound: no such endpoint or deployment.
            Transient: nothing answered: no traffic, or no deployment of it is ready.
        """
        ...

    def remove(self, endpoint: str, deployment: str) -> None:
        """Delete the deployment (its traffic must be 0, else BusinessFailure); one that does not exist is no error."""
        ...
