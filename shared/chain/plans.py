"""Plans: which steps a chain of each kind walks, as data. Pure.

A step belongs to the plan always; whether it is walked is asked when its turn comes (`wanted`), because that depends on
how the chain went: a closing step runs after a failure too, the others do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.chain.messages import (
    BuildReport,
    CancelRuns,
    ChainKind,
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
    RemoveIdle,
    RequestApproval,
    RollBack,
    RunCell,
    RunEndpointTest,
    RunIntegrationTest,
    SendAlert,
    ShiftTraffic,
)
from shared.chain.state import Chain, ChainStatus, Step, StepStatus

PLANS: Final[dict[ChainKind, tuple[Step, ...]]] = {
    ChainKind.PR: (
        Step.PREPARATION,
        Step.EXPERIMENTATION,
        Step.EVALUATION,
        Step.CANCELLATION,
        Step.GATES,
        Step.REPORT,
        Step.COMMENT,
        Step.RESULT,
    ),
    ChainKind.CI: (
        Step.PREPARATION,
        Step.DATA_REGISTRATION,
        Step.EXPERIMENTATION,
        Step.EVALUATION,
        Step.CANCELLATION,
        Step.GATES,
        Step.REPORT,
        Step.FLOW_REGISTRATION,
        Step.APPROVAL,
        Step.DEPLOYMENT,
        Step.ENDPOINT_TEST,
        Step.TRAFFIC,
        Step.INTEGRATION_TEST,
        Step.CLEAN_UP,
        Step.ROLLBACK,
        Step.REPORT_PUBLISHING,
        Step.RESULT,
    ),
    ChainKind.CD: (
        Step.PREPARATION,
        Step.APPROVAL,
        Step.DEPLOYMENT,
        Step.ENDPOINT_TEST,
        Step.TRAFFIC,
        Step.INTEGRATION_TEST,
        Step.CLEAN_UP,
        Step.ROLLBACK,
        Step.REPORT_PUBLISHING,
        Step.RESULT,
    ),
    ChainKind.DATASET: (
        Step.PREPARATION,
        Step.DATA_REGISTRATION,
        Step.EXPERIMENTATION,
        Step.EVALUATION,
        Step.CANCELLATION,
        Step.GATES,
        Step.REPORT,
        Step.ALERT,
        Step.RESULT,
    ),
    ChainKind.POST_PRODUCTION: (
        Step.PREPARATION,
        Step.LOG_IMPORT,
        Step.EVALUATION,
        Step.CANCELLATION,
        Step.REPORT,
        Step.RESULT,
    ),
}


@dataclass(frozen=True)
class StepRule:
    """What a step orders, and when it is walked."""

    orders: type[Command]
    when: str
    """When the step is walked, in words, for the docs; `wanted` decides it."""
    closing: bool = False
    """Whether it may run after the outcome is known; its failure then changes nothing."""


_GOING_WELL: Final = "while nothing has failed"
_DEPLOYING: Final = "while nothing has failed, if the chain deploys"

RULES: Final[dict[Step, StepRule]] = {
    Step.PREPARATION: StepRule(PrepareChain, _GOING_WELL),
    Step.DATA_REGISTRATION: StepRule(RegisterData, _GOING_WELL),
    Step.EXPERIMENTATION: StepRule(RunCell, _GOING_WELL),
    Step.LOG_IMPORT: StepRule(ImportLog, _GOING_WELL),
    Step.EVALUATION: StepRule(EvaluateRun, _GOING_WELL),
    Step.CANCELLATION: StepRule(CancelRuns, "if cancelled or superseded after runs began", closing=True),
    Step.GATES: StepRule(CheckGates, _GOING_WELL),
    Step.REPORT: StepRule(BuildReport, "if a run ended, unless cancelled or superseded", closing=True),
    Step.COMMENT: StepRule(CommentPullRequest, "if there is a pull request, unless superseded", closing=True),
    Step.FLOW_REGISTRATION: StepRule(RegisterFlow, _GOING_WELL),
    Step.APPROVAL: StepRule(RequestApproval, _DEPLOYING),
    Step.DEPLOYMENT: StepRule(Deploy, _DEPLOYING),
    Step.ENDPOINT_TEST: StepRule(RunEndpointTest, _DEPLOYING),
    Step.TRAFFIC: StepRule(ShiftTraffic, _DEPLOYING),
    Step.INTEGRATION_TEST: StepRule(RunIntegrationTest, _DEPLOYING),
    Step.CLEAN_UP: StepRule(RemoveIdle, "if the deployment passed its tests", closing=True),
    Step.ROLLBACK: StepRule(RollBack, "if the chain failed or was cancelled after it began to deploy", closing=True),
    Step.REPORT_PUBLISHING: StepRule(PublishReport, "if there is a report, or something was deployed", closing=True),
    Step.ALERT: StepRule(SendAlert, "if the new dataset misses a gate", closing=True),
    Step.RESULT: StepRule(FinishTask, "always", closing=True),
}

DEPLOYING: Final = frozenset(
    {Step.APPROVAL, Step.DEPLOYMENT, Step.ENDPOINT_TEST, Step.TRAFFIC, Step.INTEGRATION_TEST},
)
"""Steps that a ci chain walks only if its use case deploys after ci."""

TOUCHING_ENDPOINT: Final = frozenset(
    {Step.DEPLOYMENT, Step.ENDPOINT_TEST, Step.TRAFFIC, Step.INTEGRATION_TEST, Step.ROLLBACK},
)
"""Steps that a cancellation lets end, so that the rollback knows what there is to undo."""


def wanted(step: Step, chain: Chain) -> bool:
    """Whether the chain walks this step, now that its turn has come."""
    outcome = chain.outcome
    stopped = outcome in (ChainStatus.CANCELLED, ChainStatus.SUPERSEDED)
    progress = chain.progress
    match step:
        case Step.REPORT:
            return progress.runs_completed + progress.runs_failed > 0 and not stopped
        case Step.CANCELLATION:
            return stopped and (began(chain, Step.EXPERIMENTATION) or began(chain, Step.LOG_IMPORT))
        case Step.COMMENT:
            return chain.request.pull_request is not None and outcome is not ChainStatus.SUPERSEDED
        case Step.CLEAN_UP:
            return outcome is None and chain.deployment is not None
        case Step.ROLLBACK:
            return outcome in (ChainStatus.FAILED, ChainStatus.CANCELLED) and began(chain, Step.DEPLOYMENT)
        case Step.REPORT_PUBLISHING:
            return (chain.report is not None or chain.deployment is not None) and not stopped
        case Step.ALERT:
            return bool(chain.missed_gates)
        case Step.RESULT:
            return True
        case _ if step in DEPLOYING and not chain.deploys:
            return False
        case _:
            return outcome is None


def began(chain: Chain, step: Step) -> bool:
    """Whether the chain has entered this step."""
    return any(s.step is step and s.status not in (StepStatus.PENDING, StepStatus.SKIPPED) for s in chain.steps)
