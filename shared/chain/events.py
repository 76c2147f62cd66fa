"""Events: facts about a chain, in the past tense. An `Answer` answers a command; the others come from outside."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.assets import AssetRef
from shared.chain.requests import ChainRequest, Message
from shared.names import ChainId, CommandId, Name, Sha256

ShortText = Annotated[str, Field(max_length=2_000)]
Reason = Annotated[str, Field(max_length=8_000)]


class Event(Message):
    """A fact about a chain. Queue: chain-events, session = chain id."""

    id: Annotated[str, Field(min_length=1, max_length=260)]
    chain: ChainId
    at: AwareDatetime
    """When it happened: the only clock that `decide` knows."""


class Answer(Event):
    """An event that answers a command; without the command being awaited it is stale."""

    cause: CommandId


class ApprovalTerms(BaseModel):
    """Who may approve, and how long the chain waits."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    approvers: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...]
    timeout_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 60
    reminder_minutes: Annotated[float, Field(ge=0)] = 30
    """Minutes after the request when those who have not answered are reminded; 0: never."""
    required: Annotated[int, Field(ge=1, le=20)] = 1
    """Approvals of different people that are needed."""
    groups: dict[str, str] = Field(default_factory=dict)
    """Of those approvers that are groups: mail address → object id in Entra ID."""
    requester_may_approve: bool = False


class ChainRequested(Event):
    """A request was accepted: the chain begins."""

    type: Literal["ChainRequested"] = "ChainRequested"
    request: ChainRequest


class ChainPrepared(Answer):
    """The use case is frozen and valid; so many cells are to be run, with so many side by side."""

    type: Literal["ChainPrepared"] = "ChainPrepared"
    bundle: Sha256
    cells: Annotated[int, Field(ge=0)]
    cells_in_flight: Annotated[int, Field(ge=1)]
    has_gates: bool
    deploys: bool
    """Whether a ci chain goes on with approval and deployment."""
    approval: ApprovalTerms
    evidence: Sha256
    """Digest of what was prepared: what an approver approves while there is no report."""
    notes: tuple[ShortText, ...] = ()
    """For the chain's log: duplicate rows, evaluators that are left out."""
    flow: AssetRef | None = None
    """Only for kind cd: the registered version that is to be deployed."""


class DataRegistered(Answer):
    """The chain's datasets are registered; `created` names those whose content was new."""

    type: Literal["DataRegistered"] = "DataRegistered"
    assets: tuple[AssetRef, ...]
    created: tuple[AssetRef, ...]


class RunFinished(Answer):
    """A run ended. `evaluators` are those that evaluate it."""

    type: Literal["RunFinished"] = "RunFinished"
    cell: Annotated[int, Field(ge=0)]
    succeeded: bool
    reason: Reason = ""
    evaluators: tuple[Name, ...] = ()


class EvaluationFinished(Answer):
    """An evaluator ended on a run."""

    type: Literal["EvaluationFinished"] = "EvaluationFinished"
    cell: Annotated[int, Field(ge=0)]
    evaluator: Name
    succeeded: bool
    reason: Reason = ""


class RunsCancelled(Answer):
    """Nothing of the chain runs any more."""

    type: Literal["RunsCancelled"] = "RunsCancelled"


class Candidate(BaseModel):
    """The variant and parameters that the chain goes on with."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    label: Annotated[str, Field(max_length=400)]
    cell: Annotated[int, Field(ge=0)]


class GatesChecked(Answer):
    """The metrics were compared with the gates. `missed` and `regressions` are sentences for people."""

    type: Literal["GatesChecked"] = "GatesChecked"
    candidate: Candidate | None
    missed: tuple[ShortText, ...] = ()
    regressions: tuple[ShortText, ...] = ()


class ReportBuilt(Answer):
    """The report lies in the container `reports`; `evidence` is the digest of the data that it shows."""

    type: Literal["ReportBuilt"] = "ReportBuilt"
    evidence: Sha256
    blob: Annotated[str, Field(max_length=1_024)]


class FlowRegistered(Answer):
    """The candidate is registered; `created` is false where the same content was registered before."""

    type: Literal["FlowRegistered"] = "FlowRegistered"
    flow: AssetRef
    created: bool


class ApprovalRequested(Answer):
    """Every approver was sent a link."""

    type: Literal["ApprovalRequested"] = "ApprovalRequested"


class Verdict(StrEnum):
    """An approver's answer."""

    APPROVED = "approved"
    REJECTED = "rejected"


class ApprovalAnswered(Event):
    """An approver answered: one rejection decides, and so does the last approval that is required."""

    type: Literal["ApprovalAnswered"] = "ApprovalAnswered"
    approver: Annotated[str, Field(min_length=1, max_length=200)]
    """One of the chain's approvers: whose link it was, or whom the signed-in person is."""
    signed_in: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Who was signed in, where sign-in is configured."""
    verdict: Verdict
    comment: ShortText = ""
    evidence: Sha256


class ApprovalReminderDue(Event):
    """Half of the time has passed: sent to the chain itself, scheduled."""

    type: Literal["ApprovalReminderDue"] = "ApprovalReminderDue"
    evidence: Sha256


class ApprovalTimedOut(Event):
    """The time for an answer has passed: sent to the chain itself, scheduled, and by housekeeping."""

    type: Literal["ApprovalTimedOut"] = "ApprovalTimedOut"
    evidence: Sha256


TrafficSplit = dict[Name, Annotated[int, Field(ge=0, le=100)]]
"""Deployment name → percent; sums to 0 or 100."""


class DeploymentReady(Answer):
    """The deployment answers, at 0 % traffic. `traffic_before` is what a rollback restores."""

    type: Literal["DeploymentReady"] = "DeploymentReady"
    endpoint: Name
    deployment: Name
    created: bool
    traffic_before: TrafficSplit


class DeploymentFailed(Answer):
    """The deployment could not be brought up."""

    type: Literal["DeploymentFailed"] = "DeploymentFailed"
    reason: Reason


class EndpointTested(Answer):
    """The new deployment was called directly."""

    type: Literal["EndpointTested"] = "EndpointTested"
    passed: bool
    detail: Reason


class TrafficShifted(Answer):
    """The endpoint's traffic now."""

    type: Literal["TrafficShifted"] = "TrafficShifted"
    traffic: TrafficSplit


class IntegrationTested(Answer):
    """The endpoint was called through the traffic split."""

    type: Literal["IntegrationTested"] = "IntegrationTested"
    passed: bool
    detail: Reason


class IdleRemoved(Answer):
    """Deployments without traffic were removed."""

    type: Literal["IdleRemoved"] = "IdleRemoved"
    removed: tuple[Name, ...]


class RolledBack(Answer):
    """The former traffic is restored."""

    type: Literal["RolledBack"] = "RolledBack"
    traffic: TrafficSplit


class ReportPublished(Answer):
    """The final report lies in the container `reports`."""

    type: Literal["ReportPublished"] = "ReportPublished"
    blob: Annotated[str, Field(max_length=1_024)]


class Notified(Answer):
    """A notification was delivered."""

    type: Literal["Notified"] = "Notified"


class CommandFailed(Answer):
    """A command could not be performed, finally; the reason tells what to do."""

    type: Literal["CommandFailed"] = "CommandFailed"
    reason: Reason


class CancelRequested(Event):
    """A person asks to stop the chain."""

    type: Literal["CancelRequested"] = "CancelRequested"
    by: ShortText
    reason: ShortText = ""


class ChainSuperseded(Event):
    """A newer commit of the same use case, kind and branch has its own chain."""

    type: Literal["ChainSuperseded"] = "ChainSuperseded"
    by: ChainId


AnyEvent = Annotated[
    ChainRequested
    | ChainPrepared
    | DataRegistered
    | RunFinished
    | EvaluationFinished
    | RunsCancelled
    | GatesChecked
    | ReportBuilt
    | FlowRegistered
    | ApprovalRequested
    | ApprovalAnswered
    | ApprovalReminderDue
    | ApprovalTimedOut
    | DeploymentReady
    | DeploymentFailed
    | EndpointTested
    | TrafficShifted
    | IntegrationTested
    | IdleRemoved
    | RolledBack
    | ReportPublished
    | Notified
    | CommandFailed
    | CancelRequested
    | ChainSuperseded,
    Field(discriminator="type"),
]
