"""What the report's page shows, in the order in which people ask: the verdict, the figures, the lines, the proof.

Turns facts into what the template prints; the template decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.chain.state import Chain, Step, StepState
from shared.pages.page import render_html
from shared.pages.words import milliseconds, number
from shared.reporting.charts import Bar, bar_chart
from shared.reporting.facts import Facts
from shared.reporting.portions import Portion, portion
from shared.reporting.reuse import ReuseReport
from shared.reporting.scores import Row, Score, Table
from shared.reporting.survey import Survey
from shared.reporting.verdict import Reading
from shared.results import Tokens
from shared.visible import visible

if TYPE_CHECKING:
    from markupsafe import Markup

_CHARTS: Final = 6
_BARS: Final = 16
_OPEN_TABLES: Final = 12
_TABLES: Final = 60
_GATES: Final = 200
_LOG: Final = 1_000
_TAKEN: Final = 0
"""Every run's reuse is folded: the sentence says the whole."""


@dataclass(frozen=True)
class Cost:
    """What one choice cost over all datasets."""

    label: str
    is_candidate: bool
    flow: Tokens
    """Spent by this chain, as is the next."""
    evaluation: Tokens
    tokens_a_line: float | None
    """Whether the lines were run or reused: choices compare by it."""
    model_calls: int
    """Made by this chain, evaluations included."""
    lines: int
    reused: int
    p50_ms: float
    """The highest of its runs, as are the following two."""
    p95_ms: float
    max_ms: float
    failed: int
    retries: int


@dataclass(frozen=True)
class Figure:
    """A chart with its caption."""

    caption: str
    svg: Markup


def report_html(
    facts: Facts,
    survey: Survey,
    verdict: Reading,
    scores: tuple[Table, ...],
    *,
    reuse: ReuseReport,
    evidence: str,
    settings: str,
    final: bool,
    built_at: datetime,
) -> str:
    """The page's text."""
    costs = _costs(facts, survey)
    return render_html(
        "report.html",
        facts=facts,
        chain=facts.chain,
        prepared=facts.prepared,
        survey=survey,
        verdict=verdict,
        tables=portion([(table, _rows(table)) for table in scores], opened=_OPEN_TABLES, most=_TABLES),
        figures=_figures(facts, scores, costs),
        costs=portion(costs, lambda cost: cost.is_candidate or cost.label == facts.default),
        gates=portion(facts.candidate_gates, lambda gate: not gate.passed, opened=_GATES, most=_GATES),
        datasets=portion(facts.prepared.datasets),
        log=portion(facts.log[::-1], opened=_LOG, most=_LOG),
        called=facts.called,
        tokens=sum((cell.tokens for cell in facts.cells), Tokens()),
        reuse=reuse,
        taken=portion(reuse.taken, lambda taken: taken.facts.cell.label == facts.candidate, opened=_TAKEN),
        opened=facts.candidate or facts.default or next(iter(facts.labels), ""),
        engines=tuple(dict.fromkeys(cell.run.engine for cell in facts.cells if cell.run)),
        evidence=evidence,
        settings=settings,
        final=final,
        steps_before=_steps_before_publishing(facts.chain),
        built_at=built_at,
    )


def _steps_before_publishing(chain: Chain) -> tuple[StepState, ...]:
    """What the page can tell the end of: it is written by its publishing, which is under way then."""
    order = [step.step for step in chain.steps]
    return chain.steps[: order.index(Step.REPORT_PUBLISHING)] if Step.REPORT_PUBLISHING in order else chain.steps


def _rows(table: Table) -> Portion[Row]:
    return portion(
        table.rows,
        lambda row: row.is_candidate or row.is_default or bool(row.note) or any(score.best for score in row.scores),
    )


def _costs(facts: Facts, survey: Survey) -> tuple[Cost, ...]:
    costs = []
    lines = {cell.facts.cell.index: cell for cell in survey.cells}
    for label, cells in facts.by_label.items():
        runs = [cell.run for cell in cells if cell.run]
        evaluations = [run for cell in cells for run in cell.evaluations.values() if run]
        read = [lines[cell.cell.index] for cell in cells]
        total = sum(cell.total for cell in read)
        costs.append(
            Cost(
                label=label,
                is_candidate=label == facts.candidate,
                flow=sum((run.tokens for run in runs), Tokens()),
                evaluation=sum((run.tokens for run in evaluations), Tokens()),
                tokens_a_line=sum(cell.tokens for cell in read) / total if total else None,
                model_calls=sum(run.model_calls for run in (*runs, *evaluations)),
                lines=sum(run.lines for run in runs),
                reused=sum(run.reused_lines for run in runs),
                p50_ms=max((run.latency.p50_ms for run in runs), default=0.0),
                p95_ms=max((run.latency.p95_ms for run in runs), default=0.0),
                max_ms=max((run.latency.max_ms for run in runs), default=0.0),
                failed=sum(run.failed_lines for run in runs),
                retries=sum(run.retries for run in (*runs, *evaluations)),
            )
        )
    return tuple(costs)


def _figures(facts: Facts, scores: Iterable[Table], costs: tuple[Cost, ...]) -> tuple[Figure, ...]:
    if len(facts.labels) < 2:
        return ()
    figures: list[Figure] = []
    for table, metric in _headline(facts, scores):
        if len(figures) == _CHARTS:
            break
        at = table.metrics.index(metric)
        bars = [
            _bar(row, row.scores[at], value)
            for row in table.rows
            if row.scores and (value := row.scores[at].value) is not None
        ]
        # Bars of one length say nothing that the table does not say.
        if len({bar.value for bar in bars}) > 1:
            lower = " (less is better)" if metric in table.lower_is_better else ""
            figures.append(_figure(len(figures), f"{metric} of {table.evaluator} on {table.dataset}{lower}", bars))
    tokens = [
        Bar(c.label, c.tokens_a_line, number(round(c.tokens_a_line, 1)), main=c.is_candidate)
        for c in costs
        if c.tokens_a_line is not None
    ]
    if len({bar.text for bar in tokens}) > 1:
        figures.append(_figure(len(figures), "Tokens a line (less is cheaper)", tokens))
    latency = [Bar(c.label, c.p95_ms, milliseconds(c.p95_ms), main=c.is_candidate) for c in costs if c.lines]
    if len({bar.text for bar in latency}) > 1:
        figures.append(_figure(len(figures), "Latency of the slowest 5 % (p95)", latency))
    return tuple(figures)


def _bar(row: Row, score: Score, value: float) -> Bar:
    spread = score.spread
    if spread is None or spread.repetitions == 1:
        return Bar(row.label, value, number(value), main=row.is_candidate)
    text = f"{number(value)} ({number(spread.min)} to {number(spread.max)})"
    return Bar(row.label, value, text, main=row.is_candidate, low=spread.min, high=spread.max)


def _headline(facts: Facts, scores: Iterable[Table]) -> list[tuple[Table, str]]:
    """The metrics worth a chart: the one that chooses, those with gates, then the first of each evaluator."""
    gates = facts.gates
    asked = [gates.choose_by] if gates and gates.choose_by else []
    asked += [(result.evaluator, result.metric) for result in facts.candidate_gates]
    tables = list(scores)
    wanted = [(t, m) for evaluator, m in dict.fromkeys(asked) for t in tables if t.evaluator == evaluator]
    wanted += [(t, t.metrics[0]) for t in tables if t.metrics]
    unique = {(t.dataset, t.evaluator, m): (t, m) for t, m in wanted if m in t.metrics}
    return list(unique.values())


def _figure(index: int, caption: str, bars: list[Bar]) -> Figure:
    # Most metrics are shares: then a full bar is 1, so that a small difference looks small.
    top = 1.0 if all(0 <= bar.value <= 1 for bar in bars) and all((bar.high or 0) <= 1 for bar in bars) else 0.0
    # Too many choices for a chart: the candidate and the first ones stand for all, the table has the rest.
    shown = sorted(bars, key=lambda bar: not bar.main)[:_BARS] if len(bars) > _BARS else bars
    if len(bars) > len(shown):
        caption += f", {len(shown)} of {len(bars)} choices"
    caption = visible(caption)
    described = "; ".join(f"{visible(bar.label)} {bar.text}" for bar in shown)
    return Figure(caption=caption, svg=bar_chart(f"chart-{index}", caption, described, shown, top=top))
