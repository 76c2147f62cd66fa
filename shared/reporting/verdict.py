"""The verdict: one sentence that a busy reader understands, and the reasons for it. Pure, and free of clocks.

It is part of the evidence, so that the approver approves exactly this sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.chain.messages import ChainKind
from shared.chain.state import ChainStatus
from shared.evaluation.gates_model import GateResult
from shared.evaluation.spread import mean
from shared.pages.words import difference, number, plural, spread_words
from shared.reporting.facts import CellFacts, Facts


@dataclass(frozen=True)
class Reading:
    """What the results say."""

    tone: str
    """`good`, `warn` or `bad`."""
    headline: str
    reasons: tuple[str, ...]


def reading(facts: Facts) -> Reading:
    """Read the results for people."""
    failed = _failures(facts)
    gates = facts.candidate_gates
    missed = [gate for gate in gates if not gate.passed]
    regressions = facts.gates.regressions if facts.gates else ()
    chosen = _chosen(facts)
    if not facts.cells:
        return _nothing_run(facts)
    if failed:
        return Reading("bad", f"Incomplete: {failed[0]}", (*failed[1:], *(_missed(gate) for gate in missed), *chosen))
    if missed:
        headline = f"Not good enough: {facts.candidate or 'no choice'} misses {len(missed)} of {_gates(len(gates))}"
        return Reading("bad", headline, (*(_missed(gate) for gate in missed), *regressions, *chosen))
    if regressions:
        return Reading("warn", "Worse than the registered baseline", (*regressions, *chosen))
    if gates:
        headline = f"Good: {facts.candidate} meets {'its gate' if len(gates) == 1 else f'all {len(gates)} gates'}"
        return Reading("good", headline, (*chosen, *_tightest(gates)))
    if facts.gates is not None:
        return Reading("good", f"Chosen: {facts.candidate or 'nothing'}; no gate is configured", chosen)
    count = len(facts.labels)
    headline = f"Compared: {plural(count, 'choice')} on {plural(len({c.cell.dataset for c in facts.cells}), 'dataset')}"
    return Reading("good", headline, ("This chain has no gates: compare the metrics below.",))


def release_verdict(facts: Facts, approved: Mapping[str, Any]) -> Reading:
    """Read a release: what was deployed, how that ended, and what the approved results said."""
    chain = facts.chain
    what = f"{facts.prepared.use_case}" + (f" version {chain.flow.version}" if chain.flow else "")
    results = f"The approved results (chain {approved['chain']}): {approved['verdict']['headline']}."
    reasons = (results, *approved["verdict"]["reasons"])
    match chain.outcome:
        case None | ChainStatus.SUCCEEDED if chain.deployment:
            return Reading("good", f"Deployed: {what}", reasons)
        case None | ChainStatus.SUCCEEDED:
            return Reading("warn", f"To be deployed: {what}", reasons)
        case _:
            return Reading("bad", f"Not deployed: {what}", (chain.reason, *reasons) if chain.reason else reasons)


def _nothing_run(facts: Facts) -> Reading:
    if facts.chain.request.kind is not ChainKind.CD:
        return Reading("warn", "Nothing was run", ("The chain prepared no run: see its log.",))
    version = facts.chain.request.flow_version
    what = f"version {version}" if version else "the latest registered version"
    return Reading("good", f"Deployment of {what} of {facts.prepared.use_case}", ("A release runs no experiments.",))


def _failures(facts: Facts) -> tuple[str, ...]:
    runs = [c for c in facts.cells if c.run is None or not c.run.succeeded]
    evaluations = [
        (c, name)
        for c in facts.cells
        if c.run is not None and c.run.succeeded
        for name, run in c.evaluations.items()
        if run is None or not run.succeeded
    ]
    said = []
    if runs:
        said.append(f"{len(runs)} of {plural(len(facts.cells), 'run')} failed")
        said += [
            f"{facts.called(c.cell)} on {c.cell.dataset}: {(c.run.reason if c.run else '') or 'no results'}"
            for c in runs[:5]
        ]
    if evaluations:
        said.append(f"{plural(len(evaluations), 'evaluation')} failed")
        said += [f"{name} of {facts.called(c.cell)} on {c.cell.dataset}" for c, name in evaluations[:5]]
    return tuple(said)


def _chosen(facts: Facts) -> tuple[str, ...]:
    if facts.gates is None or facts.gates.choose_by is None or facts.candidate is None:
        return ()
    evaluator, metric = facts.gates.choose_by
    means = {
        label: found
        for label, cells in facts.by_label.items()
        if (found := _score(cells, evaluator, metric)) is not None
    }
    if facts.candidate not in means:
        return ()
    text = (
        f"{facts.candidate} was chosen by {metric} of {evaluator}: {number(means[facts.candidate])} on average over "
        f"the datasets{' and repetitions' if facts.repetitions > 1 else ''}, of {plural(len(means), 'choice')}"
    )
    if facts.default in means and facts.default != facts.candidate:
        gap = means[facts.candidate] - means[facts.default or ""]
        text += f"; {difference(gap)} against the default"
    return (text + ".",)


def _missed(gate: GateResult) -> str:
    value = "is missing" if gate.value is None else f"is {number(gate.value)}"
    against = "" if gate.baseline is None else f" (baseline: {number(gate.baseline)})"
    if gate.spread is not None:
        value += f" on average of {spread_words(gate.spread)}"
    return f"{gate.metric} of {gate.evaluator} on {gate.dataset} {value}; it must be {gate.limit}{against}."


def _tightest(gates: Iterable[GateResult]) -> tuple[str, ...]:
    worse = [g for g in gates if g.value is not None and g.baseline is not None and g.value != g.baseline]
    return tuple(
        f"{g.metric} of {g.evaluator} on {g.dataset}: {difference((g.value or 0) - (g.baseline or 0))} "
        "against the registered baseline."
        for g in worse[:4]
    )


def _score(cells: Iterable[CellFacts], evaluator: str, metric: str) -> float | None:
    """As the candidate is chosen: the mean over datasets of the mean over repetitions."""
    by_dataset: dict[str, list[float]] = {}
    for cell in cells:
        if (value := cell.measured(evaluator, metric)) is not None:
            by_dataset.setdefault(cell.cell.dataset, []).append(value)
    return mean(mean(values) for values in by_dataset.values()) if by_dataset else None


def _gates(count: int) -> str:
    return plural(count, "gate")
