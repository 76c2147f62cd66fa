"""What a run's lines add up to: counts, tokens, latency, the verdict and its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from shared.adapters.local.flow_runner.latencies import Latencies
from shared.ports import RunSpec, RunStatus
from shared.results import LineRecord, LineStatus, RunRecord, Tokens

_NAMED: Final = 10
"""Failed lines that the reason names."""
NOTHING_RAN: Final = "none"
"""The engine of a run whose every line was known."""


class Summary:
    """Adds up the lines of one run as they end."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self.engine = NOTHING_RAN
        self.models: tuple[str, ...] = ()
        self.aggregation_error = ""
        self.completed = 0
        self._failures: dict[int, str] = {}
        self._failed = 0
        self._tokens = [0, 0]
        self._retries = 0
        self._model_calls = 0
        self._latencies = Latencies()
        self._metrics: dict[str, float] = {}

    def add(self, record: LineRecord) -> None:
        """Count a line that has ended."""
        if record.status is LineStatus.COMPLETED:
            self.completed += 1
        else:
            self._failed += 1
            self._failures[record.line] = record.error
            if len(self._failures) > 4 * _NAMED:  # lines end in any order: keep the first by number
                self._failures = dict(sorted(self._failures.items())[:_NAMED])
        self._tokens[0] += record.tokens.prompt
        self._tokens[1] += record.tokens.completion
        self._retries += max(0, record.attempts - 1)
        self._model_calls += record.model_calls
        self._latencies.add(record.latency_ms)

    def add_metrics(self, answer: dict[str, Any]) -> None:
        """Take what the aggregation answered."""
        self._metrics = answer["metrics"]
        self.aggregation_error = answer["error"]
        self._tokens[0] += answer["prompt_tokens"]
        self._tokens[1] += answer["completion_tokens"]
        self._retries += answer["retries"]
        self._model_calls += answer["model_calls"]

    def close(self, started: datetime, *, cancelled: bool) -> tuple[RunStatus, RunRecord]:
        """The run's status and record."""
        lines = self.completed + self._failed
        of = lines + self._spec.known_count
        reasons = []
        succeeded = not cancelled
        if cancelled:
            reasons.append("the run was cancelled")
        elif not of:
            succeeded = False
            reasons.append("the run has no lines")
        if self._failed:
            share = self._failed / of
            tolerated = self._spec.tolerated_failures
            succeeded = succeeded and share <= tolerated
            known = f", those known from earlier runs among them ({self._spec.known_count})" if of > lines else ""
            reasons.append(
                f"{self._described(lines)} That is {100 * share:.3g} % of the lines{known}; "
                f"{100 * tolerated:.3g} % are tolerated"
            )
        if self.aggregation_error:
            succeeded = False
            reasons.append(f"the aggregation failed: {self.aggregation_error}")
        status = RunStatus.CANCELLED if cancelled else RunStatus.COMPLETED if succeeded else RunStatus.FAILED
        return status, RunRecord(
            name=self._spec.name,
            succeeded=succeeded,
            reason="; ".join(reasons),
            lines=lines,
            failed_lines=self._failed,
            metrics=self._metrics,
            tokens=Tokens(prompt=self._tokens[0], completion=self._tokens[1]),
            model_calls=self._model_calls,
            latency=self._latencies.percentiles(),
            retries=self._retries,
            started_at=started,
            ended_at=datetime.now(UTC),
            engine=self.engine,
            models=self.models,
        )

    def _described(self, lines: int) -> str:
        first = sorted(self._failures.items())[:_NAMED]
        numbers = ", ".join(str(number + 1) for number, _ in first) + (", …" if self._failed > len(first) else "")
        named = f"line {numbers}" if self._failed == 1 else f"lines {numbers}"
        errors: dict[str, int] = {}
        for number, error in first:
            errors.setdefault(error, number)
        told = " ".join(f"Line {number + 1}: {error[:400]}" for error, number in list(errors.items())[:3])
        return f"{self._failed} of {lines} lines failed ({named}). {told}{'' if told.endswith('.') else '.'}"
