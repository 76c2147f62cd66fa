"""Every message of the system: one request, the commands and the events, all versioned, frozen and closed.

A command is an order to one capability ("run this cell"); an event is a fact about a chain ("the run ended"). Both
have ids: a command's is `<chain>/<n>`, an event's is derived from its cause, and the Service Bus MessageId is that id.
Unknown keys and wrong types are refused, so that a mistake is seen where it is made. Data never travels in a message:
results lie in blob storage under names that follow from the chain and the cell.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.errors import Malformed
from shared.names import ChainId, CommandId, Name, Sha256

REQUEST_LIMIT: Final = 64 * 1024
"""Bytes of a request's body. Service Bus Standard takes 256 KB a message; a request needs a fraction of it."""

ShortText = Annotated[str, Field(max_length=2_000)]
Reason = Annotated[str, Field(max_length=8_000)]


class Queue(StrEnum):
    """The queues, by the setting that names each one in an environment."""

    CHAIN_REQUESTS = "chain-requests"
    CHAIN_EVENTS = "chain-events"
    RUN_EVENTS = "run-events"
    EXPERIMENTATION = "experimentation"
    EVALUATION = "evaluation"
    REGISTRATION = "registration"
    DEPLOYMENT = "deployment"
    REPORTING = "reporting"
    NOTIFICATION = "notification"


class ChainKind(StrEnum):
    """What a chain is for; each kind has its plan in `plans.py`."""

    PR = "pr"
    CI = "ci"
    CD = "cd"
    DATASET = "dataset"
    POST_PRODUCTION = "post_production"


class Message(BaseModel):
    """A frozen message that refuses unknown keys and wrong types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1


# ---------------------------------------------------------------------------------------------------------- requests


class DatasetUpload(BaseModel):
    """A dataset that was uploaded: which dataset of the use case it is, and the blob that holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    blob: Annotated[str, Field(max_length=1_024)]
    """The blob's name in the container `datasets`: `<use case>/<dataset>/<file>`."""


class ChainRequest(Message):
    """A pipeline, a dataset upload or a person asks for a chain. Queue: chain-requests."""

    type: Literal["ChainRequest"] = "ChainRequest"
    request_id: Annotated[str, Field(min_length=1, max_length=200)]
    """Names the request: the same id, use case and kind always mean the same chain."""
    kind: ChainKind
    use_case: Name
    environment: Name = "dev"
    commit: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{7,64}$")] | None = None
    branch: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    build_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    pull_request: Annotated[int, Field(gt=0)] | None = None
    requester: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    bundle: Sha256 | None = None
    """The zipped use case folder of the commit, in the container `bundles`; none: the use case shipped with the app."""
    variants: Annotated[str, Field(max_length=2_000)] = "*"
    """`*` (every variant), `defaults`, or `variant,node.variant,…`."""
    dataset: DatasetUpload | None = None
    """Only for kind dataset (the upload) and post_production (the production log)."""
    flow_version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None = None
    """Only for kind cd: the registered version to deploy; none: the latest."""
    traffic: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percent for the new deployment; none: what the use case's configuration says."""


# ---------------------------------------------------------------------------------------------------------- commands


class Command(Message):
    """An order to one capability. `look` counts how often a scheduled message looked at long work again."""

    id: CommandId
    chain: ChainId
    issued_at: AwareDatetime
    look: Annotated[int, Field(ge=0)] = 0


class PrepareChain(Command):
    """Freeze the use case (bundle), validate it, store the run matrix. Answer: ChainPrepared."""

    type: Literal["PrepareChain"] = "PrepareChain"


class RegisterData(Command):
    """Register the chain's datasets whose content is new. Answer: DataRegistered."""

    type: Literal["RegisterData"] = "RegisterData"


class RunCell(Command):
    """Run one cell of the run matrix. Answer: RunFinished."""

    type: Literal["RunCell"] = "RunCell"
    cell: Annotated[int, Field(ge=0)]


class ImportLog(Command):
    """Take one production log as a run, so that evaluators can read it. Answer: RunFinished."""

    type: Literal["ImportLog"] = "ImportLog"
    cell: Annotated[int, Field(ge=0)]


class EvaluateRun(Command):
    """Run one evaluator on one run. Answer: EvaluationFinished."""

    type: Literal["EvaluateRun"] = "EvaluateRun"
    cell: Annotated[int, Field(ge=0)]
    evaluator: Name


class CheckGates(Command):
    """Compare the metrics with the gates and the registered baseline, choose the candidate. Answer: GatesChecked."""

    type: Literal["CheckGates"] = "CheckGates"


class BuildReport(Command):
    """Build the chain's CSV and HTML report. Answer: ReportBuilt."""

    type: Literal["BuildReport"] = "BuildReport"


class RegisterFlow(Command):
    """Register the candidate as a model if its content is new. Answer: FlowRegistered."""

    type: Literal["RegisterFlow"] = "RegisterFlow"


class RequestApproval(Command):
    """Send every approver a link. Answer: ApprovalRequested."""

    type: Literal["RequestApproval"] = "RequestApproval"


class RemindApprovers(Command):
    """Remind those who have not answered. Answer: Notified."""

    type: Literal["RemindApprovers"] = "RemindApprovers"


class Deploy(Command):
    """Create the deployment at 0 % traffic and look at it until it is ready. Answer: DeploymentReady."""

    type: Literal["Deploy"] = "Deploy"


class RunEndpointTest(Command):
    """Call the new deployment directly with the sample request. Answer: EndpointTested."""

    type: Literal["RunEndpointTest"] = "RunEndpointTest"


class ShiftTraffic(Command):
    """Give the new deployment its share of the traffic. Answer: TrafficShifted."""

    type: Literal["ShiftTraffic"] = "ShiftTraffic"


class RunIntegrationTest(Command):
    """Call the endpoint as its users do, through the traffic split. Answer: IntegrationTested."""

    type: Literal["RunIntegrationTest"] = "RunIntegrationTest"


class RollBack(Command):
    """Restore the traffic that was there before and remove the new deployment. Answer: RolledBack."""

    type: Literal["RollBack"] = "RollBack"


class PublishReport(Command):
    """Rebuild the report with what happened since, and publish it under its stable address. Answer: ReportPublished."""

    type: Literal["PublishReport"] = "PublishReport"


class CommentPullRequest(Command):
    """Write the chain's result as the pull request's comment. Answer: Notified."""

    type: Literal["CommentPullRequest"] = "CommentPullRequest"


class SendAlert(Command):
    """Tell the owners that a new dataset shows a regression. Answer: Notified."""

    type: Literal["SendAlert"] = "SendAlert"


class FinishTask(Command):
    """Give the chain's result back to whoever asked for the chain. Answer: Notified."""

    type: Literal["FinishTask"] = "FinishTask"


AnyCommand = Annotated[
    PrepareChain
    | RegisterData
    | RunCell
    | ImportLog
    | EvaluateRun
    | CheckGates
    | BuildReport
    | RegisterFlow
    | RequestApproval
    | RemindApprovers
    | Deploy
    | RunEndpointTest
    | ShiftTraffic
    | RunIntegrationTest
    | RollBack
    | PublishReport
    | CommentPullRequest
    | SendAlert
    | FinishTask,
    Field(discriminator="type"),
]

QUEUE_OF: Final[dict[type[Command], Queue]] = {
    PrepareChain: Queue.EXPERIMENTATION,
    RunCell: Queue.EXPERIMENTATION,
    ImportLog: Queue.EXPERIMENTATION,
    EvaluateRun: Queue.EVALUATION,
    CheckGates: Queue.EVALUATION,
    RegisterData: Queue.REGISTRATION,
    RegisterFlow: Queue.REGISTRATION,
    Deploy: Queue.DEPLOYMENT,
    RunEndpointTest: Queue.DEPLOYMENT,
    ShiftTraffic: Queue.DEPLOYMENT,
    RunIntegrationTest: Queue.DEPLOYMENT,
    RollBack: Queue.DEPLOYMENT,
    BuildReport: Queue.REPORTING,
    PublishReport: Queue.REPORTING,
    RequestApproval: Queue.NOTIFICATION,
    RemindApprovers: Queue.NOTIFICATION,
    CommentPullRequest: Queue.NOTIFICATION,
    SendAlert: Queue.NOTIFICATION,
    FinishTask: Queue.NOTIFICATION,
}
"""The routing table: which queue carries which command."""


# ------------------------------------------------------------------------------------------------------------ events


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


class AssetRef(BaseModel):
    """One version of a registered data asset or model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]


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
    """An approver answered; the first answer to the evidence at hand decides."""

    type: Literal["ApprovalAnswered"] = "ApprovalAnswered"
    approver: Annotated[str, Field(min_length=1, max_length=200)]
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
    | RolledBack
    | ReportPublished
    | Notified
    | CommandFailed
    | CancelRequested
    | ChainSuperseded,
    Field(discriminator="type"),
]

ANSWERS: Final[dict[type[Command], tuple[type[Answer], ...]]] = {
    PrepareChain: (ChainPrepared, CommandFailed),
    RegisterData: (DataRegistered, CommandFailed),
    RunCell: (RunFinished, CommandFailed),
    ImportLog: (RunFinished, CommandFailed),
    EvaluateRun: (EvaluationFinished, CommandFailed),
    CheckGates: (GatesChecked, CommandFailed),
    BuildReport: (ReportBuilt, CommandFailed),
    RegisterFlow: (FlowRegistered, CommandFailed),
    RequestApproval: (ApprovalRequested, CommandFailed),
    RemindApprovers: (Notified, CommandFailed),
    Deploy: (DeploymentReady, DeploymentFailed, CommandFailed),
    RunEndpointTest: (EndpointTested, CommandFailed),
    ShiftTraffic: (TrafficShifted, CommandFailed),
    RunIntegrationTest: (IntegrationTested, CommandFailed),
    RollBack: (RolledBack, CommandFailed),
    PublishReport: (ReportPublished, CommandFailed),
    CommentPullRequest: (Notified, CommandFailed),
    SendAlert: (Notified, CommandFailed),
    FinishTask: (Notified, CommandFailed),
}
"""Which events answer which command."""

COMMANDS: Final[dict[str, type[Command]]] = {command.__name__: command for command in QUEUE_OF}
"""Commands by type name."""

_COMMANDS: Final = TypeAdapter[AnyCommand](AnyCommand)
_EVENTS: Final = TypeAdapter[AnyEvent](AnyEvent)


def parse_request(body: bytes) -> ChainRequest:
    """Read a request's body.

    Raises:
        Malformed: naming each key, what was expected and what was found.
    """
    if len(body) > REQUEST_LIMIT:
        raise Malformed(
            f"The request has {len(body):,} bytes; at most {REQUEST_LIMIT:,} are allowed. Put data in blobs."
        )
    try:
        return ChainRequest.model_validate_json(body)
    except ValidationError as error:
        raise Malformed(f"The request is not valid: {problems(error)}") from error


def parse_command(body: bytes) -> AnyCommand:
    """Read a command. Raises Malformed as `parse_request` does."""
    try:
        return _COMMANDS.validate_json(body)
    except ValidationError as error:
        raise Malformed(f"The command is not valid: {problems(error)}") from error


def parse_event(body: bytes) -> AnyEvent:
    """Read an event. Raises Malformed as `parse_request` does."""
    try:
        return _EVENTS.validate_json(body)
    except ValidationError as error:
        raise Malformed(f"The event is not valid: {problems(error)}") from error


def problems(error: ValidationError) -> str:
    """Every problem of a validation in one line: key, what is wrong, what was found (shortened)."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "the body"
        found = repr(problem.get("input"))
        shown = found if len(found) <= 80 else found[:77] + "…"
        match problem["type"]:
            case "extra_forbidden":
                lines.append(f"unknown key {key!r}: remove it or correct its spelling")
            case "missing":
                lines.append(f"the key {key!r} is missing")
            case _:
                lines.append(f"{key}: {problem['msg']} (found {shown})")
    return "; ".join(lines)


def event_id(cause: str) -> str:
    """The id of the event that answers `cause`: the same work always gives the same id."""
    return f"{cause}/answer"


def stamp(at: datetime) -> str:
    """A time for ids and logs: ISO 8601 in UTC, to the second."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
