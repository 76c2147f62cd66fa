"""A chain's state: one JSON document per chain, `chains/<id>/state.json`, written only by `advance`.

It stays small however many cells a chain has: results lie elsewhere, cells are counted, and only the commands in flight
are named.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.assets import AssetRef
from shared.chain.messages import (
    AnyCommand,
    AnyEvent,
    ApprovalTerms,
    Candidate,
    ChainRequest,
    TrafficSplit,
    Verdict,
)
from shared.names import ChainId, Name, Sha256


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChainStatus(StrEnum):
    """Where a chain is. All but the first two are final."""

    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

    @property
    def is_final(self) -> bool:
        """Whether nothing but closing notifications can follow."""
        return self not in (ChainStatus.RUNNING, ChainStatus.AWAITING_APPROVAL)


class Step(StrEnum):
    """The steps of which plans are made, in the order in which they may come."""

    PREPARATION = "preparation"
    DATA_REGISTRATION = "data_registration"
    EXPERIMENTATION = "experimentation"
    LOG_IMPORT = "log_import"
    EVALUATION = "evaluation"
    CANCELLATION = "cancellation"
    GATES = "gates"
    REPORT = "report"
    COMMENT = "comment"
    FLOW_REGISTRATION = "flow_registration"
    APPROVAL = "approval"
    DEPLOYMENT = "deployment"
    ENDPOINT_TEST = "endpoint_test"
    TRAFFIC = "traffic"
    INTEGRATION_TEST = "integration_test"
    CLEAN_UP = "clean_up"
    ROLLBACK = "rollback"
    REPORT_PUBLISHING = "report_publishing"
    ALERT = "alert"
    RESULT = "result"


class StepStatus(StrEnum):
    """Where a step is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepState(_State):
    """One step of this chain's plan."""

    step: Step
    status: StepStatus = StepStatus.PENDING
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    detail: str = ""
    """One sentence for people: `12 runs, 0 failed`."""


class LogEntry(_State):
    """One line of the chain's append-only log, `chains/<id>/log.jsonl`. `number` makes repeated lines recognisable."""

    number: Annotated[int, Field(ge=1)]
    at: AwareDatetime
    level: Literal["info", "warning", "error"]
    text: str


class Outgoing(_State):
    """A message that was decided and is to be sent: a command, or an event to the chain itself."""

    message: AnyCommand | AnyEvent
    due: AwareDatetime | None = None
    """Not before this time; None: at once."""


class Progress(_State):
    """Counts of cells and evaluations."""

    cells: int = 0
    next_cell: int = 0
    """The first cell that was not yet ordered."""
    cells_in_flight: int = 1
    runs_completed: int = 0
    runs_failed: int = 0
    evaluations_started: int = 0
    evaluations_completed: int = 0
    evaluations_failed: int = 0


class GivenApproval(_State):
    """One of several approvals that are needed."""

    person: str
    """Who was signed in, or else whose link it was."""
    at: AwareDatetime
    comment: str = ""


class ApprovalState(_State):
    """The approval that this chain waits for, or had."""

    evidence: Sha256
    approvers: tuple[str, ...]
    required: int = 1
    groups: dict[str, str] = Field(default_factory=dict)
    requester_may_approve: bool = False
    given: tuple[GivenApproval, ...] = ()
    """Approvals so far; a rejection decides at once."""
    requested_at: AwareDatetime
    deadline: AwareDatetime
    reminded: bool = False
    verdict: Verdict | None = None
    decided_by: str | None = None
    """Who rejected it, everybody who approved it (joined by `and`), or `timeout`."""
    decided_at: AwareDatetime | None = None
    comment: str = ""


class DeploymentRecord(_State):
    """What the chain deployed."""

    endpoint: Name
    deployment: Name
    created: bool
    """Whether this chain created it: only then may a rollback remove it."""
    traffic_before: TrafficSplit
    traffic: TrafficSplit | None = None


class Chain(_State):
    """One chain."""

    id: ChainId
    request: ChainRequest
    status: ChainStatus
    steps: tuple[StepState, ...]
    current: Annotated[int, Field(ge=0)] = 0
    """Index into `steps`; `len(steps)` when all are behind it."""
    created_at: AwareDatetime
    updated_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    reason: str = ""
    """Why it failed, was rejected, cancelled or superseded."""
    outcome: ChainStatus | None = None
    """Set as soon as it is known how the chain will end; the steps that always run may still be under way."""

    commands: Annotated[int, Field(ge=0)] = 0
    """Commands ordered so far: numbers the next one."""
    awaiting: dict[str, str] = Field(default_factory=dict)
    """Command id → command type, for the commands in flight."""
    outbox: tuple[Outgoing, ...] = ()
    """To be sent: filled by the write that decided it, emptied once all was sent."""
    journal: tuple[LogEntry, ...] = ()
    """Log lines not yet appended to the log."""
    log_lines: Annotated[int, Field(ge=0)] = 0
    """Log lines so far, numbered from 1."""

    bundle: Sha256 | None = None
    has_gates: bool = False
    deploys: bool = False
    terms: ApprovalTerms | None = None
    progress: Progress = Progress()
    data: tuple[AssetRef, ...] = ()
    created_data: tuple[AssetRef, ...] = ()
    candidate: Candidate | None = None
    missed_gates: tuple[str, ...] = ()
    regressions: tuple[str, ...] = ()
    evidence: Sha256 | None = None
    report: str | None = None
    """Blob name of the HTML report in the container `reports`."""
    flow: AssetRef | None = None
    approval: ApprovalState | None = None
    deployment: DeploymentRecord | None = None

    @property
    def step(self) -> StepState | None:
        """The step under way; None when all are behind."""
        return self.steps[self.current] if self.current < len(self.steps) else None
