"""Walking a plan: entering, ending and failing steps, ordering commands, keeping the journal. Pure.

`decide.py` says what an event means; this is how the chain then goes on. A `Walk` is one decision in the making: it
holds the chain so far and what is to be sent, and is thrown away after it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from shared.chain.messages import ApprovalReminderDue, ApprovalTimedOut, Command, EvaluateRun, ImportLog, RunCell
from shared.chain.plans import RULES, TOUCHING_ENDPOINT, wanted
from shared.chain.state import ApprovalState, Chain, ChainStatus, LogEntry, Outgoing, Step, StepStatus

AWAITED_PER_CELL: Final = 4
"""So many commands, per cell in flight, may be awaited before further cells are ordered."""


class Walk:
    """One decision in the making."""

    def __init__(self, chain: Chain, at: datetime) -> None:
        self.chain = chain.model_copy(update={"updated_at": at})
        self.at = at
        self.messages: list[Outgoing] = []

    # -------------------------------------------------------------------------------------------------------- steps

    def walk_on(self) -> None:
        """Enter the next step that is wanted; end the chain behind the last one."""
        while (step := self.chain.step) is not None:
            if wanted(step.step, self.chain):
                self.change_step(status=StepStatus.RUNNING, started_at=self.at)
                if self.enter(step.step):
                    return
                self.change_step(status=StepStatus.DONE, ended_at=self.at)
            else:
                self.change_step(status=StepStatus.SKIPPED)
            self.set(current=self.chain.current + 1)
        status = self.chain.outcome or ChainStatus.SUCCEEDED
        self.set(status=status, outcome=status, ended_at=self.at, awaiting={})
        text = f"The chain ended: {status}." + (f" {self.chain.reason}" if self.chain.reason else "")
        self.log(text, "info" if status is ChainStatus.SUCCEEDED else "error")

    def enter(self, step: Step) -> bool:
        """Order what the step needs; False where there is nothing to wait for."""
        match step:
            case Step.EXPERIMENTATION | Step.LOG_IMPORT:
                self.order_cells()
                return self.chain.progress.cells > 0
            case Step.EVALUATION:
                if self.awaits(EvaluateRun):
                    return True
                self.end_evaluation()  # walks on
            case Step.APPROVAL:
                self.ask_for_approval()
            case Step.RESULT:
                self.set(outcome=self.chain.outcome or ChainStatus.SUCCEEDED)
                self.order(RULES[step].orders)
            case _:
                self.order(RULES[step].orders)
        return True

    def order_cells(self) -> None:
        """Order the next cells, as far as there is room.

        What is awaited is bounded, evaluations included: the state stays small and a slow evaluator holds runs back.
        """
        command = ImportLog if self.step is Step.LOG_IMPORT else RunCell
        progress = self.chain.progress
        room = progress.cells_in_flight - sum(kind == command.__name__ for kind in self.chain.awaiting.values())
        room = min(room, progress.cells_in_flight * AWAITED_PER_CELL - len(self.chain.awaiting))
        until = min(progress.cells, progress.next_cell + max(room, 0))
        for cell in range(progress.next_cell, until):
            self.order(command, cell=cell)
        self.progress(next_cell=until)

    def end_runs_if_done(self) -> None:
        progress = self.chain.progress
        if progress.next_cell == progress.cells and not self.awaits(RunCell) and not self.awaits(ImportLog):
            self.end_step(
                f"{counted(progress.runs_completed + progress.runs_failed, 'run')}, {progress.runs_failed} failed"
            )

    def evaluation_ended(self) -> None:
        """There is room for a further cell, or, behind the last one, the evaluation has ended."""
        if self.step is not Step.EVALUATION:
            self.order_cells()
        elif not self.awaits(EvaluateRun):
            self.end_evaluation()

    def end_evaluation(self) -> None:
        """All runs and evaluations have ended: only now does a failed one fail the chain, for the report's sake."""
        progress = self.chain.progress
        said = counted(progress.evaluations_completed + progress.evaluations_failed, "evaluation")
        failed = []
        if progress.runs_failed:
            failed.append(f"{progress.runs_failed} of {progress.cells} runs failed")
        if progress.evaluations_failed:
            failed.append(f"{progress.evaluations_failed} of {progress.evaluations_started} evaluations failed")
        if failed:
            self.fail_step(" and ".join(failed) + "; the log and the report name the lines.")
        else:
            self.end_step(f"{said}, 0 failed")

    def ask_for_approval(self) -> None:
        terms, evidence = self.chain.terms, self.chain.evidence
        assert terms is not None  # ChainPrepared sets both, and comes before every step but the first
        assert evidence is not None
        deadline = self.at + timedelta(minutes=terms.timeout_minutes)
        self.set(
            status=ChainStatus.AWAITING_APPROVAL,
            approval=ApprovalState(
                evidence=evidence,
                approvers=terms.approvers,
                required=terms.required,
                groups=terms.groups,
                requester_may_approve=terms.requester_may_approve,
                requested_at=self.at,
                deadline=deadline,
            ),
        )
        self.order(RULES[Step.APPROVAL].orders)
        base = f"{self.chain.id}/approval/{evidence[:12]}"
        if 0 < terms.reminder_minutes < terms.timeout_minutes:
            due = self.at + timedelta(minutes=terms.reminder_minutes)
            reminder = ApprovalReminderDue(id=f"{base}/reminder", chain=self.chain.id, at=due, evidence=evidence)
            self.messages.append(Outgoing(message=reminder, due=due))
        timeout = ApprovalTimedOut(id=f"{base}/timeout", chain=self.chain.id, at=deadline, evidence=evidence)
        self.messages.append(Outgoing(message=timeout, due=deadline))

    def end_step(self, detail: str, *, walk_on: bool = True) -> None:
        """The step is done: go on."""
        step = self.chain.steps[self.chain.current]
        self.change_step(status=StepStatus.DONE, ended_at=self.at, detail=detail)
        said = (detail or "done").rstrip(".")
        self.log(f"{step.step.value.replace('_', ' ').capitalize()}: {said}.")
        self.set(current=self.chain.current + 1)
        if walk_on:
            self.walk_on()

    def fail_step(self, reason: str, outcome: ChainStatus = ChainStatus.FAILED) -> None:
        """The step has failed: fix the outcome if it is not known yet, and go on to the closing steps."""
        step = self.chain.steps[self.chain.current].step
        self.change_step(status=StepStatus.FAILED, ended_at=self.at, detail=reason)
        self.log(f"{step.value.replace('_', ' ').capitalize()}: {reason}", "error")
        self.set(current=self.chain.current + 1, awaiting={}, status=ChainStatus.RUNNING)
        if not (RULES[step].closing and step is not Step.REPORT):
            self.close(outcome, reason)
        self.walk_on()

    def stop(self, outcome: ChainStatus, reason: str) -> None:
        """Stop what is under way, at once or, while an endpoint is being changed, after the answer."""
        self.close(outcome, reason)
        self.log(reason, "warning")
        step = self.step
        if step in TOUCHING_ENDPOINT or RULES[step].closing:
            return
        self.change_step(status=StepStatus.FAILED, ended_at=self.at, detail=reason)
        self.set(current=self.chain.current + 1, awaiting={}, status=ChainStatus.RUNNING)
        self.walk_on()

    def close(self, outcome: ChainStatus, reason: str) -> None:
        """Fix the outcome: the first one stays."""
        if self.chain.outcome is None:
            self.set(outcome=outcome, reason=reason)

    # ------------------------------------------------------------------------------------------------------ helpers

    @property
    def step(self) -> Step:
        return self.chain.steps[self.chain.current].step

    def set(self, **changes: object) -> None:
        self.chain = self.chain.model_copy(update=changes)

    def progress(self, **changes: int) -> None:
        self.set(progress=self.chain.progress.model_copy(update=changes))

    def change_step(self, **changes: object) -> None:
        steps = list(self.chain.steps)
        steps[self.chain.current] = steps[self.chain.current].model_copy(update=changes)
        self.set(steps=tuple(steps))

    def traffic_is(self, traffic: dict[str, int]) -> None:
        if self.chain.deployment is not None:
            self.set(deployment=self.chain.deployment.model_copy(update={"traffic": traffic}))

    def answered(self, cause: str) -> None:
        self.set(awaiting={key: value for key, value in self.chain.awaiting.items() if key != cause})

    def awaits(self, command: type[Command]) -> bool:
        return command.__name__ in self.chain.awaiting.values()

    def order(self, command: type[Command], **fields: Any) -> None:
        """Number a command, await it, and put it into what is to be sent."""
        number = self.chain.commands + 1
        ordered = command(id=f"{self.chain.id}/{number}", chain=self.chain.id, issued_at=self.at, **fields)
        self.messages.append(Outgoing(message=ordered))
        self.set(commands=number, awaiting={**self.chain.awaiting, ordered.id: command.__name__})

    def log(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        number = self.chain.log_lines + 1
        entry = LogEntry(number=number, at=self.at, level=level, text=text)
        self.set(log_lines=number, journal=(*self.chain.journal, entry))


def split_in_words(traffic: dict[str, int]) -> str:
    """Traffic in words: `blue 90 %, green 10 %`."""
    return ", ".join(f"{name} {percent} %" for name, percent in traffic.items() if percent) or "0 %"


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 run`, `12 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
