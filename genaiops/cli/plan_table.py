"""`plan` for people: what is run on which dataset, what evaluates it, and how that stands to the budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from genaiops.cli.output import print_table, say
from shared.use_case.model import Reuse

if TYPE_CHECKING:
    from genaiops.cli.plan import Asked, Planned
    from shared.experimentation.plan import Plan

MOST_ROWS: Final = 200
"""Rows of a table; `--json` has all."""
COLUMNS: Final = ("runs", "lines", "reused", "model calls", "tokens (estimated)")


@dataclass(frozen=True)
class _Sum:
    """What several runs, or evaluations, take together."""

    runs: int = 0
    lines: int = 0
    reused: int = 0
    model_calls: int = 0
    tokens: int = 0

    def with_one(self, lines: int, reused: int, model_calls: int, tokens: int) -> _Sum:
        return _Sum(
            self.runs + 1,
            self.lines + lines,
            self.reused + reused,
            self.model_calls + model_calls,
            self.tokens + tokens,
        )

    def cells(self) -> tuple[str, ...]:
        return tuple(f"{count:,}" for count in (self.runs, self.lines, self.reused, self.model_calls, self.tokens))


def show(result: Planned, asked: Asked) -> None:
    """Print the plan."""
    say(f"A {asked.kind} chain of {result.use_case} ({asked.environment}) walks: {', '.join(result.steps)}.")
    plan = result.plan
    if plan is not None:
        _print(("dataset", "variants and parameters", *COLUMNS), _runs(plan))
        evaluations = _evaluations(plan)
        if evaluations:
            _print(("evaluator", "dataset", *COLUMNS), evaluations)
    counts = result.counts()
    say(
        f"{_count(counts['runs'], 'run')} with {_count(counts['lines'], 'line')}, "
        f"{_count(counts['evaluations'], 'evaluation')} with {_count(counts['evaluation_lines'], 'line')}, "
        f"{_count(counts['reused'], 'line')} of them reused, {_count(counts['model_calls'], 'model call')}, "
        f"about {_count(counts['tokens'], 'token')}. Nothing was run."
    )
    if plan is not None:
        for line in _remarks(plan, asked):
            say(line)
    _budget(result)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _runs(plan: Plan) -> list[tuple[str, ...]]:
    """A row for each choice on each dataset, its repetitions together."""
    sums: dict[tuple[str, str], _Sum] = {}
    for run in plan.runs:
        key = run.cell.dataset, run.cell.label
        sums[key] = sums.get(key, _Sum()).with_one(run.lines, run.reused, run.model_calls, run.tokens)
    return [(*key, *found.cells()) for key, found in sums.items()]


def _evaluations(plan: Plan) -> list[tuple[str, ...]]:
    """A row for each evaluator on each dataset, all choices together."""
    sums: dict[tuple[str, str], _Sum] = {}
    for run in plan.runs:
        for e in run.evaluations:
            key = e.evaluator, run.cell.dataset
            sums[key] = sums.get(key, _Sum()).with_one(e.lines, e.reused, e.model_calls, e.tokens)
    return [(*key, *found.cells()) for key, found in sums.items()]


def _print(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    print_table(columns, rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        say(f"… and {len(rows) - MOST_ROWS:,} more rows; --json lists every run.")


def _remarks(plan: Plan, asked: Asked) -> Iterable[str]:
    if asked.fresh:
        yield "Nothing is reused: --fresh asks for that."
    elif plan.chain.reuse is Reuse.NONE:
        yield "Nothing is reused: experiment.yaml says `reuse: none`."
    if plan.calls_assumed:
        yield "Flows of Python code are assumed to call their model once a line; files do not tell."
    if plan.evaluations and 0 < plan.reused < plan.lines + plan.evaluation_lines:
        yield "Evaluations of lines that are yet to be run may be reused too: their inputs are not known before."


def _budget(result: Planned) -> None:
    budget, counts = result.budget, result.counts()
    limits = (
        ("runs", counts["runs"], budget.max_runs),
        ("model calls", counts["model_calls"], budget.max_model_calls),
        ("tokens", counts["tokens"], budget.max_tokens),
    )
    said = [f"{count:,} of at most {limit:,} {what}" for what, count, limit in limits if limit is not None]
    if not said or result.plan is None:
        return
    if result.over_budget:
        say(f"Beyond the budget: {'; '.join(result.over_budget)}. A chain would be refused.", "red")
    else:
        say(f"Within the budget: {', '.join(said)}.", "green")
