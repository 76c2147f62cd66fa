"""What a chain reused of earlier runs and what it paid for itself, in words. Pure.

Told from the runs' own records, which name the run that each line comes from; the lines say how many model calls that
saved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.chain.messages import ChainKind
from shared.pages.words import plural
from shared.reporting.facts import CellFacts, Facts
from shared.results import Origin, RunRecord
from shared.use_case.model import Reuse

_NAMED_ORIGINS: Final = 3
_CELL: Final = re.compile(r"(?P<chain>.+?)-[0-9]{5}-.+-[0-9a-f]{8}(-.+)?")
"""A run's name: its chain's id, its cell's name and, for an evaluation, the evaluator."""


@dataclass(frozen=True)
class Taken:
    """What of one run or evaluation was reused."""

    facts: CellFacts
    evaluator: str
    """Empty for the run of the flow."""
    sentence: str


@dataclass(frozen=True)
class ReuseReport:
    """What was reused in all."""

    sentence: str
    """The whole in one sentence or two, for the page's top."""
    taken: tuple[Taken, ...]
    """Every run and evaluation that reused lines."""
    lines: int
    lines_reused: int
    evaluation_lines: int
    evaluation_lines_reused: int
    model_calls: int
    """Made for this chain."""
    model_calls_saved: int
    """Those that reused lines made when they were run."""

    def as_evidence(self, facts: Facts) -> dict[str, object]:
        """For `evidence.json`."""
        return {
            "policy": facts.prepared.reuse.value,
            "fresh": facts.chain.request.fresh,
            "lines": self.lines,
            "lines_reused": self.lines_reused,
            "evaluation_lines": self.evaluation_lines,
            "evaluation_lines_reused": self.evaluation_lines_reused,
            "model_calls": self.model_calls,
            "model_calls_saved": self.model_calls_saved,
        }


def read_reuse(facts: Facts, model_calls_saved: int) -> ReuseReport:
    """What the records say; `model_calls_saved` is counted where the lines are read."""
    runs = [cell.run for cell in facts.cells if cell.run]
    evaluations = [run for cell in facts.cells for run in cell.evaluations.values() if run]
    counted = ReuseReport(
        sentence="",
        taken=tuple(_taken(facts)),
        lines=sum(run.lines for run in runs),
        lines_reused=sum(run.reused_lines for run in runs),
        evaluation_lines=sum(run.lines for run in evaluations),
        evaluation_lines_reused=sum(run.reused_lines for run in evaluations),
        model_calls=sum(run.model_calls for run in (*runs, *evaluations)),
        model_calls_saved=model_calls_saved,
    )
    return ReuseReport(**{**vars(counted), "sentence": _sentence(facts, counted)})


def _taken(facts: Facts) -> Iterable[Taken]:
    for cell in facts.cells:
        for evaluator, run in (("", cell.run), *cell.evaluations.items()):
            if run is not None and run.reused_lines:
                yield Taken(cell, evaluator, told(run))


def told(run: RunRecord) -> str:
    """`38 of 40 lines from the run of 2026-11-20 14:03 of chain …`, with every run that lines come from."""
    share = f"all {plural(run.lines, 'line')}" if run.reused_lines >= run.lines else ""
    share = share or f"{run.reused_lines:,} of {plural(run.lines, 'line')}"
    sources = _sources(run.origins)
    if not sources:
        return f"{share} from earlier runs"
    if len(sources) == 1:
        return f"{share} from {sources[0].words}"
    named = "; ".join(f"{source.lines:,} from {source.words}" for source in sources[:_NAMED_ORIGINS])
    rest = sources[_NAMED_ORIGINS:]
    runs = sum(source.runs for source in rest)
    others = f"; {sum(source.lines for source in rest):,} from {plural(runs, 'older run')}" if rest else ""
    return f"{share}: {named}{others}"


@dataclass(frozen=True)
class _Source:
    """Runs of one chain that ended within the same minute: people tell them apart no further."""

    at: str
    of: str
    runs: int
    lines: int

    @property
    def words(self) -> str:
        return f"{'the run' if self.runs == 1 else plural(self.runs, 'run')} of {self.at} {self.of}"


def _sources(origins: Iterable[Origin]) -> list[_Source]:
    """The newest first, as the origins are."""
    found: dict[tuple[str, str], _Source] = {}
    for origin in origins:
        named = _CELL.fullmatch(origin.run)
        of = f"of chain {named['chain']}" if named else origin.run
        at = f"{origin.ended_at:%Y-%m-%d %H:%M}"
        before = found.get((at, of), _Source(at, of, 0, 0))
        found[at, of] = _Source(at, of, before.runs + 1, before.lines + origin.lines)
    return list(found.values())


def _sentence(facts: Facts, counted: ReuseReport) -> str:
    logged = facts.chain.request.kind is ChainKind.POST_PRODUCTION
    if not counted.lines and not counted.evaluation_lines:
        return "Nothing was run for this chain."
    reused = counted.lines_reused + counted.evaluation_lines_reused
    made = f"{plural(counted.model_calls, 'model call')} {'was' if counted.model_calls == 1 else 'were'} made"
    source = "The lines come from a production log. " if logged else ""
    if not reused:
        return f"{source}{_why_nothing(facts, logged=logged)} {_capital(made)}."
    own = 0 if logged else counted.lines
    if reused == own + counted.evaluation_lines:
        return (
            f"{source}Everything was reused: all lines of {_runs(facts, logged=logged)} come from earlier ones. "
            f"{_capital(made)}{_saved(counted)}."
        )
    parts = [] if logged else [f"{counted.lines_reused:,} of {plural(own, 'line')}"]
    if counted.evaluation_lines:
        parts.append(f"{counted.evaluation_lines_reused:,} of {plural(counted.evaluation_lines, 'evaluation line')}")
    newest = max((o.ended_at for run in _records(facts) for o in run.origins), default=None)
    since = f" (the newest of {newest:%Y-%m-%d %H:%M})" if newest else ""
    return f"{source}Reused from earlier runs{since}: {' and '.join(parts)}. {_capital(made)}{_saved(counted)}."


def _why_nothing(facts: Facts, *, logged: bool) -> str:
    what = "every evaluation was run for this chain" if logged else "all lines were run for this chain"
    if facts.chain.request.fresh:
        return "Nothing was reused: fresh runs were asked for."
    if facts.prepared.reuse is Reuse.NONE:
        return f"Nothing was reused: {what}, as `reuse: none` asks for."
    return f"Nothing was reused: {what}, since no earlier run had the same inputs under the same configuration."


def _records(facts: Facts) -> Iterable[RunRecord]:
    return (run for cell in facts.cells for run in (cell.run, *cell.evaluations.values()) if run)


def _runs(facts: Facts, *, logged: bool) -> str:
    evaluations = sum(run is not None for cell in facts.cells for run in cell.evaluations.values())
    parts = [] if logged else [plural(sum(cell.run is not None for cell in facts.cells), "run")]
    return " and ".join((*parts, *([plural(evaluations, "evaluation")] if evaluations else [])))


def _saved(counted: ReuseReport) -> str:
    return f", {counted.model_calls_saved:,} saved" if counted.model_calls_saved else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
