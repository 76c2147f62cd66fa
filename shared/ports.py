"""The ports: what the product needs of the world, as Protocols, with the values that cross them.

Each port has a local, an in-memory (for fast tests and for users' own tests) and an Azure adapter under `adapters/`,
and one contract suite in `tests/contract` that all of them pass. Only `bootstrap.py` chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Protocol

from shared.connections import Connection
from shared.results import LineRecord, RunRecord
from shared.settings import Settings

# --------------------------------------------------------------------------------------------------------------- clock


class Clock(Protocol):
    """The time, so that tests can own it."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...


# ----------------------------------------------------------------------------------------------------------------- bus


@dataclass(frozen=True)
class OutgoingMessage:
    """A message to send. `message_id` is what duplicate detection compares."""

    body: bytes
    message_id: str
    session_id: str | None = None
    deliver_at: datetime | None = None
    """Not before this time (Service Bus: scheduled enqueue time); None: at once."""
    subject: str | None = None
    correlation_id: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


class Bus(Protocol):
    """Sending. Receiving is the host's (see `QueueReceiver`)."""

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages; a message whose id was seen in the queue's window is dropped silently.

        Raises:
            NotFound: the queue does not exist.
            Transient: nothing or only a part was sent; sending again is safe.
        """
        ...


@dataclass(frozen=True)
class ReceivedMessage:
    """A message under a lock. The fields are those that the Functions host passes to a Service Bus trigger."""

    queue: str
    body: bytes
    message_id: str
    sequence_number: int
    delivery_count: int
    """1 at the first delivery."""
    lock_token: str
    enqueued_at: datetime
    locked_until: datetime
    session_id: str | None = None
    subject: str | None = None
    correlation_id: str | None = None
    content_type: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    dead_letter_reason: str | None = None
    dead_letter_description: str | None = None


class QueueReceiver(Protocol):
    """Receiving in peek-lock mode: what the embedded host needs of a queue system.

    `queue` may end in `/$deadletterqueue` (any case). A lock that has expired makes its message available again, with
    `delivery_count` one higher; past the queue's max delivery count the message moves to the dead-letter queue with
    reason `MaxDeliveryCountExceeded`.
    """

    def receive(self, queue: str, *, count: int = 1, session_id: str | None = None) -> list[ReceivedMessage]:
        """Lock and return up to `count` messages that are due, oldest first; empty if there is none (it never waits).

        For a queue with sessions, `session_id` must be one that this receiver has accepted.
        """
        ...

    def accept_session(self, queue: str) -> str | None:
        """Lock and return a session that has a due message and no other consumer; None if there is none."""
        ...

    def renew_session(self, queue: str, session_id: str) -> None:
        """Extend the lock on a session. Raises Conflict if it was lost."""
        ...

    def release_session(self, queue: str, session_id: str) -> None:
        """Let another consumer have the session."""
        ...

    def complete(self, message: ReceivedMessage) -> None:
        """Remove the message. Raises Conflict if the lock was lost."""
        ...

    def abandon(self, message: ReceivedMessage) -> None:
        """Give the message back at once. Raises Conflict if the lock was lost."""
        ...

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str) -> None:
        """Move the message to the dead-letter queue. Raises Conflict if the lock was lost."""
        ...

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock. Raises Conflict if it was lost."""
        ...

    def counts(self, queue: str) -> QueueCounts:
        """How many messages wait in the queue."""
        ...


@dataclass(frozen=True)
class QueueCounts:
    """Messages in one queue, as the Service Bus portal counts them."""

    active: int
    scheduled: int
    dead_letter: int


# --------------------------------------------------------------------------------------------------------------- blobs


@dataclass(frozen=True)
class BlobInfo:
    """A blob without its content."""

    container: str
    name: str
    size: int
    etag: str
    last_modified: datetime


class BlobStore(Protocol):
    """Blobs in containers, with conditional writes. Containers come into being with their first blob.

    Names are `/`-separated; empty parts, `.`, `..`, backslashes and control characters raise InvalidName.
    """

    def read(self, container: str, name: str) -> bytes:
        """The content. Raises NotFound."""
        ...

    def read_with_etag(self, container: str, name: str) -> tuple[bytes, str]:
        """The content and the ETag that belongs to it. Raises NotFound."""
        ...

    def open(self, container: str, name: str) -> AbstractContextManager[BinaryIO]:
        """The content as a stream, for blobs that may be large. Raises NotFound."""
        ...

    def write(
        self,
        container: str,
        name: str,
        content: bytes | BinaryIO,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> str:
        """Write atomically and return the new ETag; a reader sees the old or the new content, never a part.

        Raises:
            Conflict: `if_match` is not the blob's ETag, or `if_absent` and the blob exists. Nothing was changed.
        """
        ...

    def append(self, container: str, name: str, content: bytes) -> None:
        """Add to the end of an append blob, creating it if need be (a blob is written or appended to, never both)."""
        ...

    def info(self, container: str, name: str) -> BlobInfo:
        """Raises NotFound."""
        ...

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, by name. A container that does not exist is empty."""
        ...

    def delete(self, container: str, name: str) -> None:
        """Remove the blob; one that does not exist is no error."""
        ...


# --------------------------------------------------------------------------------------------------------- flow runner


@dataclass(frozen=True)
class RunSpec:
    """One run of a flow (standard or evaluation) over lines."""

    name: str
    """`<chain>-<cell>`, or `<chain>-<cell>-<evaluator>`: starting the same name again finds the run."""
    flow: Path
    """Folder of the flow (holding `flow.dag.yaml`), inside an unpacked bundle that nobody changes."""
    flow_digest: str
    """Content hash of the flow folder: runs of the same digest share a warm worker."""
    lines: Sequence[Mapping[str, object]] | Iterable[Mapping[str, object]]
    """The mapped inputs, one mapping a line, in order."""
    variants: Mapping[str, str] = field(default_factory=dict)
    """Node → variant; nodes not named use their default variant."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """`<node>.<input>` → value, set on top of the variant."""
    connections: Mapping[str, Connection] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the flow's process."""
    aggregate: bool = True
    """Run the flow's aggregation nodes over all completed lines, for metrics."""
    concurrency: int = 32
    """Lines in flight."""
    line_timeout_s: float = 120.0
    tolerated_failures: float = 0.0
    """Share of lines (0 to 1) that may fail before the run counts as failed."""


class RunStatus(StrEnum):
    """Where a run is."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class RunOutcome:
    """What is known of a run. `lines` is empty while it runs, and is read once."""

    status: RunStatus
    record: RunRecord | None = None
    lines: Iterable[LineRecord] = ()


class FlowRunner(Protocol):
    """Runs flows. The engine behind it (prompt flow today) shows nowhere else."""

    def start(self, spec: RunSpec) -> RunOutcome:
        """Start the run, or find the one of that name. A runner may return only when it has ended (the local one does).

        Raises:
            BusinessFailure: the flow cannot be run at all (does not load, a package is missing, its process died).
            Throttled, Transient: try again.
        """
        ...

    def look(self, name: str) -> RunOutcome:
        """Look at a run that was started. Raises NotFound."""
        ...

    def cancel(self, name: str) -> None:
        """Stop a run; one that has ended or does not exist is no error."""
        ...


# ------------------------------------------------------------------------------------------------------------ registry


class AssetKind(StrEnum):
    """What the registry holds."""

    DATA = "data"
    MODEL = "model"


@dataclass(frozen=True)
class Asset:
    """One registered version. Lineage (chain, commit, bundle, dataset, metrics as JSON text) is in `tags`."""

    kind: AssetKind
    name: str
    version: str
    content_hash: str
    """SHA-256 of the content: the same content is never registered twice under a name."""
    blob: str
    """`<container>/<name>` of the content: the dataset's file, or the zipped flow."""
    description: str
    tags: Mapping[str, str]
    registered_at: datetime


@dataclass(frozen=True)
class NewAsset:
    """What `register` is asked for."""

    kind: AssetKind
    name: str
    content_hash: str
    blob: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """Versioned data assets and models."""

    def register(self, asset: NewAsset) -> tuple[Asset, bool]:
        """The version that holds this content, and whether it was created now. Safe against races: never two."""
        ...

    def find(self, kind: AssetKind, name: str, content_hash: str) -> Asset | None:
        """The version with this content, if any."""
        ...

    def get(self, kind: AssetKind, name: str, version: str | None = None) -> Asset:
        """That version, or the latest. Raises NotFound."""
        ...

    def list(self, kind: AssetKind, name: str | None = None) -> list[Asset]:
        """Versions of `name` (or of all names), by name, then ascending by version number."""
        ...

    def tag(self, kind: AssetKind, name: str, version: str, tags: Mapping[str, str]) -> Asset:
        """Set tags on a version, keeping the others. Raises NotFound."""
        ...


# ----------------------------------------------------------------------------------------------------------- endpoints


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
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class DeploymentState(StrEnum):
    """Where a deployment is."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class DeploymentInfo:
    """A deployment as its platform sees it. Counts are of requests since it was created."""

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
        """Begin to create the deployment at 0 % traffic, or find it. Never waits until it is ready."""
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
        """Replace the traffic split; it must sum to 0 or 100 and name existing deployments, else BusinessFailure."""
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


# ------------------------------------------------------------------------------------------------------------ notifier


class NoticeKind(StrEnum):
    """What people are told."""

    APPROVAL = "approval"
    REMINDER = "reminder"
    COMMENT = "comment"
    ALERT = "alert"
    RESULT = "result"
    PROGRESS = "progress"


@dataclass(frozen=True)
class Notice:
    """One notice to people. `key` names it: the same key again replaces or repeats the same notice, never adds one."""

    key: str
    kind: NoticeKind
    chain: str
    title: str
    text: str
    recipients: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    """Label → address; for an approval, recipient → that recipient's own link."""
    succeeded: bool | None = None


class Notifier(Protocol):
    """Tells people."""

    def send(self, notice: Notice) -> None:
        """Deliver. Raises Throttled or Transient to be called again, BusinessFailure where it never can be."""
        ...


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
