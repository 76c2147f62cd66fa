"""One command → work through a port → one event. Every capability queue's function ends here.

What may happen to a command: it is done (an event); it is stale (the chain no longer awaits it: nothing); its work
goes on elsewhere (the same command comes back later, as a look); a service is throttled (the same); it can never be
done (the event CommandFailed); a service is away for a while (the same command comes back, later each time); or a fault
that nobody expected (raise: the queue delivers it again). The last attempt of either is CommandFailed, so that no chain
waits for ever.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

from shared import chain_store, dead_letters, telemetry
from shared.answers import LookAgain, answer_to
from shared.chain.messages import (
    Answer,
    AnyCommand,
    BuildReport,
    CancelRuns,
    CheckGates,
    Command,
    CommandFailed,
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
    parse_command,
)
from shared.chain.state import Chain
from shared.claim_check import fetched
from shared.delivery import Delivery
from shared.envelopes import send_command, send_event
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, Malformed, NotFound, Throttled, Transient
from shared.ports import Ports
from shared.process_secrets import hidden
from shared.telemetry import Handling

log = logging.getLogger("genaiops.commands")

PATIENCE: Final = timedelta(hours=24)
"""How long a command may be looked at, or throttled, before it counts as failed."""
PAUSES_S: Final = (2.0, 8.0, 30.0, 60.0)
"""Seconds before a command that met a passing fault is tried again; behind the last it counts as failed."""
DEPLOY_PATIENCE: Final = timedelta(hours=1)
"""The same for a deployment: minutes are usual, and traffic waits for it."""


def perform(ports: Ports, delivery: Delivery) -> None:
    """Handle a message of a capability queue. Raises a passing fault, unless this delivery is the last."""
    with telemetry.handling(ports, f"perform {delivery.queue}", delivery) as handling:
        _perform(ports, delivery, handling)


def _perform(ports: Ports, delivery: Delivery, handling: Handling) -> None:
    try:
        delivery = fetched(ports, delivery)
        command = parse_command(delivery.body)
        handling.tell(chain=command.chain, command=command.type, attempt=command.attempt, look=command.look)
        handling.name = f"perform {command.type}"
        chain, _ = chain_store.load(ports.blobs, command.chain)
    except (Malformed, NotFound) as error:
        handling.failed("malformed", str(error))
        dead_letters.reject(ports, delivery, str(error))
        return
    if isinstance(command, ShowProgress):
        from shared.pipeline_tasks.progress import show

        show(ports, chain)
        return
    step = chain.step.step.value if chain.step is not None else None
    handling.tell(kind=chain.request.kind, use_case=chain.request.use_case, step=step)
    if command.id not in chain.awaiting:
        handling.tell(outcome="stale")
        log.info("%s: %s is stale: the chain does not await it", command.id, command.type)
        _stop_run(ports, chain, command)
        return
    answer = _answer(ports, chain, command, last=delivery.count >= ports.settings.max_delivery_count)
    match answer:
        case Answer():
            handling.tell(outcome=type(answer).__name__)
            send_event(ports, answer)
            if isinstance(answer, CommandFailed):
                _stop_run(ports, chain, command)
        case LookAgain():
            handling.tell(outcome="look again")
            if not command.hint:  # else the scheduled look comes anyway
                again = {"look": command.look + 1, "attempt": 0}  # it went well: faults are counted in a row
                _come_back(ports, command.model_copy(update=again), answer.seconds)
        case _Later():
            handling.tell(outcome="try again")
            _come_back(ports, command.model_copy(update={"attempt": command.attempt + 1}), answer.seconds)
        case _:
            assert_never(answer)


@dataclass(frozen=True)
class _Later:
    """A fault passes by: the same command is tried again after `seconds`."""

    seconds: float


def _come_back(ports: Ports, command: AnyCommand, seconds: float) -> None:
    due = ports.clock.now() + timedelta(seconds=seconds)
    send_command(ports, command, f"{command.id}/look/{command.look}/attempt/{command.attempt}", due)


def _stop_run(ports: Ports, chain: Chain, command: AnyCommand) -> None:
    """Nobody waits for the run of this command any more: it must not go on, and cost, unseen.

    Where it cannot be stopped now, the command comes back as a hint, which is stale by then, a few times.
    """
    if not isinstance(command, RunCell | EvaluateRun):
        return
    from shared.experimentation.cancel import cancel_unwanted

    try:
        cancel_unwanted(ports, chain, command)
    except GenAIOpsError as error:
        attempt = command.attempt + 1 if command.hint else 0
        log.warning("%s: its run could not be stopped: %s", command.id, error)
        if attempt < len(PAUSES_S) and not isinstance(error, BusinessFailure):
            again = {"look": command.look or 1, "attempt": attempt, "hint": True}
            pause = error.retry_after if isinstance(error, Throttled) else PAUSES_S[attempt]
            due = ports.clock.now() + timedelta(seconds=pause)
            send_command(ports, command.model_copy(update=again), f"{command.id}/stop/{command.look}/{attempt}", due)
    except Exception:  # the message itself is done with: it must not become a dead letter
        log.exception("%s: its run could not be stopped", command.id)


def _answer(ports: Ports, chain: Chain, command: AnyCommand, *, last: bool) -> Answer | LookAgain | _Later:
    started = ports.clock.now()
    try:
        answer = _work(ports, chain, command)
    except Throttled as error:
        _met("throttled", error)
        log.warning("%s: %s is throttled, again in %g s: %s", command.id, command.type, error.retry_after, error)
        answer = LookAgain(error.retry_after)
    except (BusinessFailure, Malformed) as error:
        _met("malformed" if isinstance(error, Malformed) else "business failure", error)
        return _failed(ports, command, str(error))
    except (Transient, Conflict) as error:
        _met("transient", error)
        if command.attempt < len(PAUSES_S):
            pause = PAUSES_S[command.attempt]
            log.warning("%s: %s met a passing fault, again in %g s: %s", command.id, command.type, pause, error)
            return _Later(pause)
        attempts = len(PAUSES_S) + 1
        return _failed(ports, command, f"{command.type} failed {attempts} times, the last time with: {error}")
    except Exception as error:
        _met("unexpected", error)
        log.exception("%s: %s failed", command.id, command.type)
        if not last:
            raise
        what = str(error) if isinstance(error, GenAIOpsError) else f"{type(error).__name__}: {error}"
        return _failed(ports, command, f"{command.type} failed at every delivery, the last time with: {what}")
    patience = DEPLOY_PATIENCE if isinstance(command, Deploy) else PATIENCE
    if isinstance(answer, LookAgain) and started - command.issued_at > patience:
        late = Transient(f"{command.type} did not end within {patience.total_seconds() / 3600:g} h.")
        _met("transient", late)
        return _failed(ports, command, str(late))
    return _clean(answer) if isinstance(answer, Answer) else answer


def _met(family: str, error: Exception) -> None:
    handling = telemetry.current()
    if handling is not None:
        handling.failed(family, str(error))


def _failed(ports: Ports, command: Command, reason: str) -> CommandFailed:
    return CommandFailed(**answer_to(ports, command), reason=hidden(reason)[:8_000])


def _clean(answer: Answer) -> Answer:
    """The answer without secrets in its texts: a service's error may quote the request that it refuses."""
    texts = {name: getattr(answer, name, None) for name in ("reason", "detail")}
    cleaned = {name: hidden(text) for name, text in texts.items() if isinstance(text, str) and hidden(text) != text}
    return answer.model_copy(update=cleaned) if cleaned else answer


def _work(ports: Ports, chain: Chain, command: AnyCommand) -> Answer | LookAgain:
    """The routing table: which capability performs which command. Each is imported when it is first needed."""
    match command:
        case PrepareChain():
            from shared.experimentation.prepare import prepare

            return prepare(ports, chain, command)
        case RunCell():
            from shared.experimentation.run import run_cell

            return run_cell(ports, chain, command)
        case CancelRuns():
            from shared.experimentation.cancel import cancel_runs

            return cancel_runs(ports, chain, command)
        case ImportLog():
            from shared.experimentation.run import import_log

            return import_log(ports, chain, command)
        case EvaluateRun():
            from shared.evaluation.evaluate import evaluate_run

            return evaluate_run(ports, chain, command)
        case CheckGates():
            from shared.evaluation.gates import check_gates

            return check_gates(ports, chain, command)
        case RegisterData():
            from shared.registration.register import register_data

            return register_data(ports, chain, command)
        case RegisterFlow():
            from shared.registration.register import register_flow

            return register_flow(ports, chain, command)
        case Deploy() | RunEndpointTest() | ShiftTraffic() | RunIntegrationTest() | RemoveIdle() | RollBack():
            from shared.deployment import steps

            return steps.perform(ports, chain, command)
        case BuildReport() | PublishReport():
            from shared.reporting import steps as reporting

            return reporting.perform(ports, chain, command)
        case RequestApproval() | RemindApprovers() | CommentPullRequest() | SendAlert() | FinishTask():
            from shared.notification import notify

            return notify.perform(ports, chain, command)
        case ShowProgress():
            raise AssertionError("It is performed before anybody asks whether it is awaited.")
        case _:
            assert_never(command)
