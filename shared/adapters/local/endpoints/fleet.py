"""What supervisor and router both know: the desired documents, and each deployment's state, port and counts.

The supervisor's thread changes states, the router's thread asks for routes and counts answers; one lock covers both. A
refresh reads the documents again, so that a change of traffic holds from the moment at which its writer was answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from threading import Lock

from shared.adapters.local.endpoints.split import SmoothSplit
from shared.adapters.local.endpoints.state import (
    HEADER,
    DesiredDeployment,
    DesiredEndpoint,
    EndpointStore,
    ObservedDeployment,
    ObservedEndpoint,
)
from shared.adapters.local.endpoints.statistics import Statistics
from shared.errors import NotFound
from shared.ports import BlobStore, DeploymentState


@dataclass(frozen=True)
class Target:
    """Where a request goes."""

    endpoint: str
    deployment: str
    creation: str
    port: int


@dataclass(frozen=True)
class Refusal:
    """Why a request goes nowhere, as the caller is told."""

    status: int
    code: str
    message: str


@dataclass
class _Live:
    state: DeploymentState
    reason: str
    statistics: Statistics
    port: int | None = None
    pid: int | None = None


@dataclass
class _Endpoint:
    desired: DesiredEndpoint
    split: SmoothSplit = field(default_factory=SmoothSplit)
    live: dict[str, _Live] = field(default_factory=dict)
    """By creation."""
    dirty: bool = False


class Fleet:
    """All endpoints of one home, as the host sees them. Thread-safe."""

    def __init__(self, blobs: BlobStore) -> None:
        self._store = EndpointStore(blobs)
        self._lock = Lock()
        self._refreshing = Lock()
        self._endpoints: dict[str, _Endpoint] = {}

    def deployments(self) -> list[tuple[str, DesiredDeployment]]:
        """Every deployment that is asked for, with its endpoint's name: those with the most traffic first."""
        with self._lock:
            endpoints = [endpoint.desired for endpoint in self._endpoints.values()]
        shares = [(e.traffic.get(name, 0), e.name, d) for e in endpoints for name, d in e.deployments.items()]
        return [(endpoint, d) for _, endpoint, d in sorted(shares, key=lambda found: -found[0])]

    def refresh(self) -> None:
        """Read the desired documents again."""
        # A slow refresh must not overwrite what a later one has read: one at a time, reading included.
        with self._refreshing:
            documents: list[DesiredEndpoint] = []
            for name in self._store.names():
                try:
                    documents.append(self._store.desired(name))
                except NotFound:
                    continue  # removed since it was listed
            with self._lock:
                for gone in self._endpoints.keys() - {document.name for document in documents}:
                    del self._endpoints[gone]
                for document in documents:
                    self._adopt(document)

    def _adopt(self, document: DesiredEndpoint) -> None:
        endpoint = self._endpoints.get(document.name)
        if endpoint is None:
            endpoint = self._endpoints[document.name] = _Endpoint(document)
        endpoint.desired = document
        wanted = {deployment.creation for deployment in document.deployments.values()}
        for creation in endpoint.live.keys() - wanted:
            del endpoint.live[creation]
            endpoint.dirty = True
        missing = wanted - endpoint.live.keys()
        if missing:
            before = self._store.observed(document.name).deployments
            for creation in missing:
                seen = next((o for o in before.values() if o.creation == creation), None)
                statistics = Statistics(seen.counts if seen else None)
                endpoint.live[creation] = _Live(DeploymentState.CREATING, "waiting to be started", statistics)
                endpoint.dirty = True

    def set_state(
        self,
        endpoint: str,
        creation: str,
        state: DeploymentState,
        reason: str = "",
        *,
        port: int | None = None,
        pid: int | None = None,
    ) -> None:
        """The supervisor's word on a deployment; `port` is where it listens, if it is ready."""
        with self._lock:
            found = self._endpoints.get(endpoint)
            live = found.live.get(creation) if found else None
            if found is None or live is None:
                return  # removed meanwhile
            if (live.state, live.reason, live.port, live.pid) != (state, reason, port, pid):
                live.state, live.reason, live.port, live.pid = state, reason, port, pid
                found.dirty = True

    def route(self, endpoint: str, pin: str | None, tried: Collection[str]) -> Target | Refusal:
        """Choose the deployment for a request; `tried` are those that have already failed this one."""
        with self._lock:
            found = self._endpoints.get(endpoint)
            if found is None:
                known = ", ".join(sorted(self._endpoints)) or "none"
                text = f"There is no endpoint {endpoint!r} here (known: {known}). Deploy a flow to it first."
                return Refusal(404, "EndpointNotFound", text)
            if pin is not None:
                return self._pinned(found, pin, tried)
            return self._split(found, tried)

    def _pinned(self, endpoint: _Endpoint, pin: str, tried: Collection[str]) -> Target | Refusal:
        wanted = endpoint.desired.deployments.get(pin)
        name = endpoint.desired.name
        if wanted is None:
            known = ", ".join(sorted(endpoint.desired.deployments)) or "none"
            text = f"Endpoint {name!r} has no deployment {pin!r} (known: {known}). Correct the header {HEADER}."
            return Refusal(404, "DeploymentNotFound", text)
        live = endpoint.live[wanted.creation]
        if live.port is None or pin in tried:
            return Refusal(503, "DeploymentNotReady", _not_ready(name, {pin: live}, tried))
        return Target(name, pin, wanted.creation, live.port)

    def _split(self, endpoint: _Endpoint, tried: Collection[str]) -> Target | Refusal:
        name = endpoint.desired.name
        weights = {d: w for d, w in endpoint.desired.traffic.items() if w > 0 and d in endpoint.desired.deployments}
        if not weights:
            text = (
                f"Endpoint {name!r} has no traffic: no deployment gets requests. Set its traffic, or name a "
                f"deployment in the header {HEADER}."
            )
            return Refusal(503, "NoTraffic", text)
        live = {d: endpoint.live[endpoint.desired.deployments[d].creation] for d in weights}
        candidates = {d: w for d, w in weights.items() if live[d].port is not None and d not in tried}
        if not candidates:
            return Refusal(503, "DeploymentNotReady", _not_ready(name, live, tried))
        chosen = endpoint.split.pick(weights, candidates)
        port = live[chosen].port
        assert port is not None
        return Target(name, chosen, endpoint.desired.deployments[chosen].creation, port)

    def answered(self, target: Target, latency_ms: float, status: int) -> None:
        """Count an answer."""
        with self._lock:
            if statistics := self._statistics(target):
                statistics.answered(latency_ms, error=status >= 400)

    def unanswered(self, target: Target) -> None:
        """Count a request that got no answer."""
        with self._lock:
            if statistics := self._statistics(target):
                statistics.unanswered()

    def _statistics(self, target: Target) -> Statistics | None:
        endpoint = self._endpoints.get(target.endpoint)
        live = endpoint.live.get(target.creation) if endpoint else None
        if endpoint is None or live is None:
            return None
        endpoint.dirty = True
        return live.statistics

    def observed(self, *, dirty_only: bool = False) -> Mapping[str, ObservedEndpoint]:
        """What is known now, by endpoint; with `dirty_only`, what changed since the last such call."""
        with self._lock:
            chosen = {n: e for n, e in self._endpoints.items() if e.dirty or not dirty_only}
            if dirty_only:
                for endpoint in chosen.values():
                    endpoint.dirty = False
            return {name: _observed(endpoint) for name, endpoint in chosen.items()}

    def flush(self) -> None:
        """Write down what changed."""
        for name, observed in self.observed(dirty_only=True).items():
            try:
                self._store.write_observed(name, observed)
            except Exception:
                with self._lock:
                    if endpoint := self._endpoints.get(name):
                        endpoint.dirty = True  # a full disk may have room again a second later
                raise


def _observed(endpoint: _Endpoint) -> ObservedEndpoint:
    deployments = {}
    for name, wanted in endpoint.desired.deployments.items():
        live = endpoint.live[wanted.creation]
        deployments[name] = ObservedDeployment(
            creation=wanted.creation,
            state=live.state,
            reason=live.reason,
            pid=live.pid,
            counts=live.statistics.counts(),
        )
    return ObservedEndpoint(deployments=deployments)


def _not_ready(endpoint: str, live: Mapping[str, _Live], tried: Collection[str]) -> str:
    states = "; ".join(
        f"{name} ended the connection without an answer"
        if name in tried
        else f"{name} is {deployment.state}{f' ({deployment.reason})' if deployment.reason else ''}"
        for name, deployment in live.items()
    )
    return f"Nothing could answer at endpoint {endpoint!r}: {states}. Try again, or deploy again where it has failed."
