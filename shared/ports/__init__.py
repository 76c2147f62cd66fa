"""The ports: what the product needs of the world, as Protocols, with the values that cross them.

Each port has a local and an in-memory adapter (for fast tests, and for users' own tests) under `adapters/`, and
one contract suite in `tests/contract` that all of them pass. Only `bootstrap.py` chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.ports.blobs import BlobInfo, BlobStore
from shared.ports.bus import Bus, OutgoingMessage, QueueCounts, QueueReceiver, ReceivedMessage, WaitingReceiver
from shared.ports.clock import Clock
from shared.ports.endpoints import DeploymentInfo, DeploymentSpec, DeploymentState, EndpointInfo, Endpoints, Invocation
from shared.ports.flow_runner import FlowRunner, RunOutcome, RunSpec, RunStatus
from shared.ports.keys import Keys
from shared.ports.notifier import Notice, NoticeKind, Notifier
from shared.ports.pipelines import CheckState, PipelineRun, Pipelines, PipelineTask, PullRequest
from shared.ports.registry import STAGE, Asset, AssetKind, NewAsset, Registry, stages, with_stages
from shared.settings import Settings

__all__ = [
    "STAGE",
    "Asset",
    "AssetKind",
    "BlobInfo",
    "BlobStore",
    "Bus",
    "CheckState",
    "Clock",
    "DeploymentInfo",
    "DeploymentSpec",
    "DeploymentState",
    "EndpointInfo",
    "Endpoints",
    "FlowRunner",
    "Invocation",
    "Keys",
    "NewAsset",
    "Notice",
    "NoticeKind",
    "Notifier",
    "OutgoingMessage",
    "PipelineRun",
    "PipelineTask",
    "Pipelines",
    "Ports",
    "PullRequest",
    "QueueCounts",
    "QueueReceiver",
    "ReceivedMessage",
    "Registry",
    "RunOutcome",
    "RunSpec",
    "RunStatus",
    "WaitingReceiver",
    "stages",
    "with_stages",
]


@dataclass(frozen=True)
class Ports:
    """The settings and every port, wired by `bootstrap`."""

    settings: Settings
    clock: Clock
    bus: Bus
    blobs: BlobStore
    runner: FlowRunner
    registry: Registry
    endpoints: Endpoints
    notifier: Notifier
    pipelines: Pipelines
    keys: Keys
