"""Commands: orders to one capability each, in the imperative; each says what is done and which event answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.chain.requests import Message
from shared.names import ChainId, CommandId, Name


class Command(Message):
    """An order to one capability. `look` counts how often a scheduled message looked at long work again."""

    id: CommandId
    chain: ChainId
    issued_at: AwareDatetime
    look: Annotated[int, Field(ge=0)] = 0
    attempt: Annotated[int, Field(ge=0)] = 0
    """How often a passing fault sent it back to its queue."""
    hint: bool = False
    """A look that an event brought: unlike the scheduled ones it does not come back by itself."""


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


class CancelRuns(Command):
    """Stop the runs of a chain that was cancelled or superseded. Answer: RunsCancelled."""

    type: Literal["CancelRuns"] = "CancelRuns"


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


class RemoveIdle(Command):
    """Remove the endpoint's deployments without traffic that no chain is at work on. Answer: IdleRemoved."""

    type: Literal["RemoveIdle"] = "RemoveIdle"


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


class ShowProgress(Command):
    """Show how the chain moves to the pipeline's tasks that wait for it, and on its pull request. Nothing answers it.

    It says only that there may be something new: whoever performs it looks at the chain as it is by then.
    """

    type: Literal["ShowProgress"] = "ShowProgress"


AnyCommand = Annotated[
    PrepareChain
    | RegisterData
    | RunCell
    | ImportLog
    | EvaluateRun
    | CancelRuns
    | CheckGates
    | BuildReport
    | RegisterFlow
    | RequestApproval
    | RemindApprovers
    | Deploy
    | RunEndpointTest
    | ShiftTraffic
    | RunIntegrationTest
    | RemoveIdle
    | RollBack
    | PublishReport
    | CommentPullRequest
    | SendAlert
    | FinishTask
    | ShowProgress,
    Field(discriminator="type"),
]
