"""Every message of the system and how it travels: which queue carries it, which event answers which command, parsing.

A command is an order to one capability ("run this cell"); an event is a fact about a chain ("the run ended"). Both have
ids: a command's is `<chain>/<n>`, an event's is derived from its cause, and the Service Bus MessageId is that id.
Messages are versioned, frozen and closed: unknown keys and wrong types are refused, so that a mistake is seen where it
is made. Data never travels in a message: results lie in blob storage under names that follow from chain and cell.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import TypeAdapter, ValidationError

from shared.chain.commands import (
    AnyCommand,
    BuildReport,
    CancelRuns,
    CheckGates,
    Command,
    CommentPullRequest,
    Deploy,
    EvaluateRun,
    FinishTask,
    ImportLog,
    PrepareChain,
    PublishReport,
    RegisterData,
    RegisterFlow,
    RemindApprovers,
    RemoveIdle,
    RequestApproval,
    RollBack,
    RunCell,
    RunEndpointTest,
    RunIntegrationTest,
    SendAlert,
    ShiftTraffic,
    ShowProgress,
)
from shared.chain.events import (
    Answer,
    AnyEvent,
    ApprovalAnswered,
    ApprovalReminderDue,
    ApprovalRequested,
    ApprovalTerms,
    ApprovalTimedOut,
    CancelRequested,
    Candidate,
    ChainPrepared,
    ChainRequested,
    ChainSuperseded,
    CommandFailed,
    DataRegistered,
    DeploymentFailed,
    DeploymentReady,
    EndpointTested,
    EvaluationFinished,
    Event,
    FlowRegistered,
    GatesChecked,
    IdleRemoved,
    IntegrationTested,
    Notified,
    ReportBuilt,
    ReportPublished,
    RolledBack,
    RunFinished,
    RunsCancelled,
    TrafficShifted,
    TrafficSplit,
    Verdict,
)
from shared.chain.requests import (
    AzureDevOps,
    ChainKind,
    ChainRequest,
    DatasetUpload,
    Message,
)
from shared.errors import Malformed

__all__ = [
    "ANSWERS",
    "COMMANDS",
    "QUEUE_OF",
    "REQUEST_LIMIT",
    "Answer",
    "AnyCommand",
    "AnyEvent",
    "ApprovalAnswered",
    "ApprovalReminderDue",
    "ApprovalRequested",
    "ApprovalTerms",
    "ApprovalTimedOut",
    "AzureDevOps",
    "BuildReport",
    "CancelRequested",
    "CancelRuns",
    "Candidate",
    "ChainKind",
    "ChainPrepared",
    "ChainRequest",
    "ChainRequested",
    "ChainSuperseded",
    "CheckGates",
    "Command",
    "CommandFailed",
    "CommentPullRequest",
    "DataRegistered",
    "DatasetUpload",
    "Deploy",
    "DeploymentFailed",
    "DeploymentReady",
    "EndpointTested",
    "EvaluateRun",
    "EvaluationFinished",
    "Event",
    "FinishTask",
    "FlowRegistered",
    "GatesChecked",
    "IdleRemoved",
    "ImportLog",
    "IntegrationTested",
    "Message",
    "Notified",
    "PrepareChain",
    "PublishReport",
    "Queue",
    "RegisterData",
    "RegisterFlow",
    "RemindApprovers",
    "RemoveIdle",
    "ReportBuilt",
    "ReportPublished",
    "RequestApproval",
    "RollBack",
    "RolledBack",
    "RunCell",
    "RunEndpointTest",
    "RunFinished",
    "RunIntegrationTest",
    "RunsCancelled",
    "SendAlert",
    "ShiftTraffic",
    "ShowProgress",
    "TrafficShifted",
    "TrafficSplit",
    "Verdict",
    "event_id",
    "parse_command",
    "parse_event",
    "parse_request",
    "problems",
]

REQUEST_LIMIT: Final = 64 * 1024
"""Bytes of a request's body. Service Bus Standard takes 256 KB a message; a request needs a fraction of it."""


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


QUEUE_OF: Final[dict[type[Command], Queue]] = {
    PrepareChain: Queue.EXPERIMENTATION,
    RunCell: Queue.EXPERIMENTATION,
    ImportLog: Queue.EXPERIMENTATION,
    CancelRuns: Queue.EXPERIMENTATION,
    EvaluateRun: Queue.EVALUATION,
    CheckGates: Queue.EVALUATION,
    RegisterData: Queue.REGISTRATION,
    RegisterFlow: Queue.REGISTRATION,
    Deploy: Queue.DEPLOYMENT,
    RunEndpointTest: Queue.DEPLOYMENT,
    ShiftTraffic: Queue.DEPLOYMENT,
    RunIntegrationTest: Queue.DEPLOYMENT,
    RemoveIdle: Queue.DEPLOYMENT,
    RollBack: Queue.DEPLOYMENT,
    BuildReport: Queue.REPORTING,
    PublishReport: Queue.REPORTING,
    RequestApproval: Queue.NOTIFICATION,
    RemindApprovers: Queue.NOTIFICATION,
    CommentPullRequest: Queue.NOTIFICATION,
    SendAlert: Queue.NOTIFICATION,
    FinishTask: Queue.NOTIFICATION,
    ShowProgress: Queue.NOTIFICATION,
}
"""The routing table: which queue carries which command."""

ANSWERS: Final[dict[type[Command], tuple[type[Answer], ...]]] = {
    PrepareChain: (ChainPrepared, CommandFailed),
    RegisterData: (DataRegistered, CommandFailed),
    RunCell: (RunFinished, CommandFailed),
    ImportLog: (RunFinished, CommandFailed),
    EvaluateRun: (EvaluationFinished, CommandFailed),
    CancelRuns: (RunsCancelled, CommandFailed),
    CheckGates: (GatesChecked, CommandFailed),
    BuildReport: (ReportBuilt, CommandFailed),
    RegisterFlow: (FlowRegistered, CommandFailed),
    RequestApproval: (ApprovalRequested, CommandFailed),
    RemindApprovers: (Notified, CommandFailed),
    Deploy: (DeploymentReady, DeploymentFailed, CommandFailed),
    RunEndpointTest: (EndpointTested, CommandFailed),
    ShiftTraffic: (TrafficShifted, CommandFailed),
    RunIntegrationTest: (IntegrationTested, CommandFailed),
    RemoveIdle: (IdleRemoved, CommandFailed),
    RollBack: (RolledBack, CommandFailed),
    PublishReport: (ReportPublished, CommandFailed),
    CommentPullRequest: (Notified, CommandFailed),
    SendAlert: (Notified, CommandFailed),
    FinishTask: (Notified, CommandFailed),
    ShowProgress: (),
}
"""Which events answer which command; one without any is never awaited."""

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
