"""What the report's page shows, in the order in which people ask: the verdict, the figures, the lines, the proof.

Turns facts into what the template prints; the template decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.chain.messages import ChainKind
from shared.chain.state import Chain, Step, StepState
from shared.pages.page import render_html
from shared.pages.words import milliseconds, number, plural
from shared.reporting.charts import Bar, bar_chart
from shared.reporting.facts import Facts
from shared.reporting.scores import Table
from shared.reporting.survey import Survey
from shared.reporting.verdict import Reading
from shared.results import Tokens
from shared.visible import visible

if TYPE_CHECKING:
    from markupsafe import Markup

_CHARTS: Final = 6
_BARS: Final = 16


@dataclass(frozen=True)
class Cost:
    """What one choice cost over all datasets."""

    label: str
    is_candidate: bool
    flow: Tokens
    evaluation: Tokens
    lines: int
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
    evidence: str,
    settings: str,
    final: bool,
    built_at: datetime,
) -> str:
    """The page's text."""
    costs = _costs(facts)
    return render_html(
        "report.html",
        facts=facts,
        chain=facts.chain,
        prepared=facts.prepared,
        survey=survey,
        verdict=verdict,
        tables=scores,
        figures=_figures(facts, scores, costs),
        costs=costs,
        tokens=sum((cell.tokens for cell in facts.cells), Tokens()),
        reuse=_reuse(facts),
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


def _costs(facts: Facts) -> tuple[Cost, ...]:
    costs = []
    for label in facts.labels:
        cells = [cell for cell in facts.cells if cell.cell.label == label]
        runs = [cell.run for cell in cells if cell.run]
        evaluations = [run for cell in cells for run in cell.evaluations.values() if run]
        costs.append(
            Cost(
                label=label,
                is_candidate=label == facts.candidate,
                flow=sum((run.tokens for run in runs), Tokens()),
                evaluation=sum((run.tokens for run in evaluations), Tokens()),
                lines=sum(run.lines for run in runs),
                p50_ms=max((run.latency.p50_ms for run in runs), default=0.0),
                p95_ms=max((run.latency.p95_ms for run in runs), default=0.0),
                max_ms=max((run.latency.max_ms for run in runs), default=0.0),
                failed=sum(run.failed_lines for run in runs),
                retries=sum(run.retries for run in (*runs, *evaluations)),
            )
        )
    return tuple(costs)


def _reuse(facts: Facts) -> str:
    """What was run for this chain and what was not: told from the runs' names, which begin with their chain's id."""
    runs = [run for cell in facts.cells for run in (cell.run, *cell.evaluations.values()) if run]
    others = sorted({run.name for run in runs if not run.name.startswith(f"{facts.chain.id}-")})
    if not runs:
        return "Nothing was run for this chain."
    if others:
        return f"{plural(len(others), 'run')} of {len(runs)} came from other chains: {', '.join(others[:10])}."
    if facts.chain.request.kind is ChainKind.POST_PRODUCTION:
        return "The lines come from a production log; every evaluation was run for this chain."
    return "Nothing was reused: all lines were run for this chain."


def _figures(facts: Facts, scores: Iterable[Table], costs: tuple[Cost, ...]) -> tuple[Figure, ...]:
    if len(facts.labels) < 2:
        return ()
    figures: list[Figure] = []
    for table, metric in _headline(facts, scores):
        if len(figures) == _CHARTS:
            break
        at = table.metrics.index(metric)
        bars = [
            Bar(row.label, value, number(value), main=row.is_candidate)
            for row in table.rows
            if row.scores and (value := row.scores[at].value) is not None
        ]
        # Bars of one length say nothing that the table does not say.
        if len({bar.value for bar in bars}) > 1:
            lower = " (less is better)" if metric in table.lower_is_better else ""
            figures.append(_figure(len(figures), f"{metric} of {table.evaluator} on {table.dataset}{lower}", bars))
    tokens = [
        Bar(c.label, c.flow.total / c.lines, number(round(c.flow.total / c.lines, 1)), main=c.is_candidate)
        for c in costs
        if c.lines
    ]
    if len({bar.text for bar in tokens}) > 1:
        figures.append(_figure(len(figures), "Tokens a line (less is cheaper)", tokens))
    latency = [Bar(c.label, c.p95_ms, milliseconds(c.p95_ms), main=c.is_candidate) for c in costs if c.lines]
    if len({bar.text for bar in latency}) > 1:
        figures.append(_figure(len(figures), "Latency of the slowest 5 % (p95)", latency))
    return tuple(figures)


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
    top = 1.0 if all(0 <= bar.value <= 1 for bar in bars) else 0.0
    # Too many choices for a chart: the candidate and the first ones stand for all, the table has the rest.
    shown = sorted(bars, key=lambda bar: not bar.main)[:_BARS] if len(bars) > _BARS else bars
    if len(bars) > len(shown):
        caption += f", {len(shown)} of {len(bars)} choices"
    caption = visible(caption)
    described = "; ".join(f"{visible(bar.label)} {bar.text}" for bar in shown)
    return Figure(caption=caption, svg=bar_chart(f"chart-{index}", caption, described, shown, top=top))
