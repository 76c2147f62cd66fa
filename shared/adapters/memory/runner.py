"""A flow runner in memory, where a Python function stands for a flow; it ships so that users can test with it."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.adapters.memory.clock import ManualClock
from shared.errors import BusinessFailure, NotFound
from shared.ports import Clock, RunOutcome, RunSpec, RunStatus
from shared.results import LineRecord, LineStatus, RunRecord

FlowFunction = Callable[[Mapping[str, object], RunSpec], Mapping[str, object]]
"""One line: the mapped inputs and the run's spec (variants, parameters) → outputs. What it raises fails the line."""
Aggregation = Callable[[Sequence[LineRecord]], Mapping[str, float]]
"""The completed lines, those known from earlier runs among them, in line order → metrics."""

ERROR_LIMIT: Final = 4000


@dataclass
class _Run:
    outcome: RunOutcome
    looks_left: int
    cancelled: bool = False


class MemoryFlowRunner:
    """FlowRunner over functions by flow folder name: `MemoryFlowRunner({"triage": lambda inputs, spec: {...}})`.

    A run is computed once, when it is first started; starting its name again finds it. `looks` makes it a runner that
    takes its time, as a cloud's does: a run shows as RUNNING until it was looked at so often.
    """

    def __init__(
        self,
        flows: Mapping[str, FlowFunction],
        aggregations: Mapping[str, Aggregation] | None = None,
        *,
        clock: Clock | None = None,
        looks: int = 0,
    ) -> None:
        self._flows = flows
        self._aggregations = aggregations or {}
        self._clock = clock or ManualClock()
        self._looks = looks
        self._mutex = threading.RLock()
        self._runs: dict[str, _Run] = {}
        self.started: list[RunSpec] = []
        """What was really run, in order: repeated starts are not in it."""

    def prepare(self, spec: RunSpec) -> None:
        """A function needs no loading."""

    def start(self, spec: RunSpec) -> RunOutcome:
        """Run, or find the run of that name. Raises BusinessFailure where no function stands for the flow."""
        with self._mutex:
            if spec.name not in self._runs:
                if spec.flow.name not in self._flows:
                    known = ", ".join(sorted(self._flows))
                    raise BusinessFailure(f"No function stands for the flow folder {spec.flow.name!r}. Known: {known}.")
                self.started.append(spec)
                self._runs[spec.name] = _Run(self._run(spec), self._looks)
            return self._shown(self._runs[spec.name])

    def look(self, name: str) -> RunOutcome:
        """Look at a run that was started. Raises NotFound."""
        with self._mutex:
            if name not in self._runs:
                raise NotFound(f"There is no run {name!r}.")
            run = self._runs[name]
            run.looks_left = max(0, run.looks_left - 1)
            return self._shown(run)

    def cancel(self, name: str) -> None:
        """Stop a run; one that has ended or does not exist is no error."""
        with self._mutex:
            run = self._runs.get(name)
            if run is not None and run.looks_left > 0:
                run.cancelled = True

    def ended_unnoticed(self) -> Iterable[Mapping[str, str]]:
        """Tags of the runs that the next look shows as ended."""
        with self._mutex:
            waiting = [spec for spec in self.started if self._runs[spec.name].looks_left == 1]
        return [dict(spec.tags) for spec in waiting]

    def _shown(self, run: _Run) -> RunOutcome:
        if run.cancelled:
            return RunOutcome(RunStatus.CANCELLED)
        return RunOutcome(RunStatus.RUNNING) if run.looks_left > 0 else run.outcome

    def _run(self, spec: RunSpec) -> RunOutcome:
        started_at = self._clock.now()
        function = self._flows[spec.flow.name]
        aggregation = self._aggregations.get(spec.flow.name) if spec.aggregate else None
        lines = tuple(
            _line(function, spec, number, inputs, keeps=aggregation is not None)
            for number, inputs in spec.numbered_lines()
        )
        completed = [line for line in lines if line.status is LineStatus.COMPLETED]
        known = spec.known_lines if aggregation is not None else ()
        aggregated = list(heapq.merge(completed, known, key=lambda line: line.line))
        if spec.on_progress is not None:
            spec.on_progress(len(lines))
        failed = len(lines) - len(completed)
        metrics: Mapping[str, float] = {}
        if aggregation is not None and aggregated:
            metrics = aggregation(aggregated)
        succeeded = failed <= spec.tolerated_failures * (len(lines) + spec.known_count)
        first = next((line.error for line in lines if line.error), "")
        record = RunRecord(
            name=spec.name,
            succeeded=succeeded,
            reason=f"{failed} of {len(lines)} lines failed; the first: {first}" if failed else "",
            lines=len(lines),
            failed_lines=failed,
            metrics=metrics,
            started_at=started_at,
            ended_at=self._clock.now(),
            engine="memory",
            models=tuple(connection.shown for connection in spec.connections.values()),
        )
        return RunOutcome(RunStatus.COMPLETED if succeeded else RunStatus.FAILED, record, lines)


def _line(
    function: FlowFunction, spec: RunSpec, number: int, inputs: Mapping[str, object], *, keeps: bool
) -> LineRecord:
    try:
        outputs = function(inputs, spec)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"[:ERROR_LIMIT]
        return LineRecord(line=number, status=LineStatus.FAILED, inputs=inputs, error=text)
    return LineRecord(
        line=number,
        status=LineStatus.COMPLETED,
        inputs=inputs,
        outputs=outputs,
        aggregated=dict(outputs) if keeps else None,
    )
