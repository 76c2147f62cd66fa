"""Gates: the metrics against their limits and the registered baseline, and the choice of the candidate.

The records of all evaluations are read, a candidate is chosen (the variant with the best mean of the metric that the
use case names; on a dataset chain the registered one), every gate is held against every choice for the report, and
only the candidate's misses count. A choice that was run several times is held by the mean of its repetitions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from shared import chain_store
from shared.answers import answer_to
from shared.chain.messages import Candidate, ChainKind, CheckGates, GatesChecked
from shared.chain.state import Chain
from shared.evaluation.gates_model import Baseline, GateResult, GatesDocument, write_gates
from shared.evaluation.metrics import Metrics, Spreads, means, spreads_by_label
from shared.evaluation.spread import Spread, mean
from shared.experimentation.matrix import Cell, PreparedChain
from shared.ports import Asset, Ports
from shared.registration.register import (
    BRANCH,
    COMMIT,
    DATASETS,
    EVIDENCE_CHAIN,
    LABEL,
    METRICS,
    registered_flow,
)
from shared.use_case.model import Gate, Gates
from shared.use_case.opened import open_use_case

ROUNDING: Final = 1e-9
"""A drop of exactly the allowed size is allowed, whatever binary fractions make of it."""


def check_gates(ports: Ports, chain: Chain, command: CheckGates) -> GatesChecked:
    """Choose the candidate, check the gates, store `gates.json`."""
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    gates = open_use_case(ports, prepared.bundle, prepared.use_case, prepared.environment).gates
    labels = list(dict.fromkeys(cell.label for cell in prepared.cells))
    spreads = spreads_by_label(ports.blobs, chain.id, prepared)
    metrics = {label: means(found) for label, found in spreads.items()}
    baseline_ref = prepared.baseline
    registered = registered_flow(ports, baseline_ref.name, baseline_ref.version) if baseline_ref else None
    stays = registered.tags.get(LABEL) if registered and chain.request.kind is ChainKind.DATASET else None
    candidate = choose(prepared.cells, metrics, gates, stays)
    baseline: Metrics = _metrics_of(registered) if registered else {}
    planned = Counter((cell.label, cell.dataset) for cell in prepared.cells)
    datasets = {gate: _datasets(prepared, gate) for gate in gates.checks}
    results = tuple(
        with_spread(result, spreads[label], planned[label, result.dataset])
        for label in labels
        for gate in gates.checks
        for result in held(gate, label, metrics[label], datasets[gate], baseline=baseline, candidate=candidate)
    )
    missed = tuple(sentence(result) for result in results if result.is_candidate and not result.passed)
    regressions = tuple(
        sentence(result)
        for result in results
        if result.is_candidate and not result.passed and result.baseline is not None
    )
    write_gates(
        ports.blobs,
        chain.id,
        GatesDocument(
            candidate_label=candidate.label if candidate else None,
            choose_by=gates.choose_by,
            results=results,
            regressions=regressions,
            baseline=known_baseline(registered) if registered else None,
        ),
    )
    if candidate is None:
        missed = ("no variant has the metrics on every dataset that a candidate needs", *missed)
    return GatesChecked(**answer_to(ports, command), candidate=candidate, missed=missed, regressions=regressions)


def known_baseline(registered: Asset) -> Baseline:
    """The registered version as it is now."""
    tags = registered.tags
    return Baseline(
        name=registered.name,
        version=registered.version,
        label=tags.get(LABEL, ""),
        chain=tags.get(EVIDENCE_CHAIN, ""),
        branch=tags.get(BRANCH, ""),
        commit=tags.get(COMMIT, ""),
        metrics=_metrics_of(registered),
        datasets=json.loads(tags.get(DATASETS, "{}")),
    )


def _metrics_of(registered: Asset) -> Metrics:
    metrics: Metrics = json.loads(registered.tags.get(METRICS, "{}"))
    return metrics


def choose(
    cells: tuple[Cell, ...], metrics: Mapping[str, Metrics], gates: Gates, stays: str | None = None
) -> Candidate | None:
    """The candidate: `stays` if it was run, else the best by `choose_by` (earlier wins a tie), else the default.

    Its cell is the first repetition of its label on the first dataset.
    """
    cells = tuple(cell for cell in cells if cell.repetition == 0)
    first = {cell.label: cell for cell in reversed(cells)}
    if stays in first:
        return Candidate(label=stays, cell=first[stays].index)
    if gates.choose_by is None:
        default = next((cell for cell in cells if cell.is_default), cells[0] if cells else None)
        return Candidate(label=default.label, cell=default.index) if default else None
    name = ".".join(gates.choose_by)
    evaluated = {dataset for values in metrics.values() for dataset, by_name in values.items() if name in by_name}
    scores = {
        label: mean(values[dataset][name] for dataset in evaluated)
        for label, values in metrics.items()
        if evaluated and all(name in values.get(dataset, {}) for dataset in evaluated)
    }
    if not scores:
        return None
    best = max(scores, key=lambda label: (scores[label], first[label].is_default, -first[label].index))
    return Candidate(label=best, cell=first[best].index)


def held(
    gate: Gate,
    label: str,
    metrics: Metrics,
    datasets: tuple[str, ...],
    *,
    baseline: Metrics,
    candidate: Candidate | None,
) -> Iterator[GateResult]:
    """The gate against one choice on each of its datasets, one result per limit. A metric that is missing misses."""
    name = f"{gate.evaluator}.{gate.metric}"
    for dataset in datasets:
        value = metrics.get(dataset, {}).get(name)
        before = baseline.get(dataset, {}).get(name)
        limits: list[tuple[str, bool, float | None, bool]] = []
        if gate.at_least is not None:
            limits.append((f"at least {gate.at_least:g}", value is not None and value >= gate.at_least, None, False))
        if gate.at_most is not None:
            limits.append((f"at most {gate.at_most:g}", value is not None and value <= gate.at_most, None, True))
        if gate.max_drop is not None:
            near = value is not None and (before is None or value >= before - gate.max_drop - ROUNDING)
            known = "" if before is not None else " (there is none yet)"
            limits.append((f"at most {gate.max_drop:g} below the baseline{known}", near, before, False))
        for limit, passed, compared, lower_is_better in limits:
            yield GateResult(
                evaluator=gate.evaluator,
                metric=gate.metric,
                dataset=dataset,
                label=label,
                value=value,
                limit=limit,
                baseline=compared,
                lower_is_better=lower_is_better,
                passed=passed,
                is_candidate=candidate is not None and candidate.label == label,
            )


def _datasets(prepared: PreparedChain, gate: Gate) -> tuple[str, ...]:
    """The experiment datasets of this chain that the gate speaks of."""
    ran = dict.fromkeys(cell.dataset for cell in prepared.cells)
    return tuple(
        dataset
        for dataset in ran
        if gate.dataset in (None, dataset)
        and any(e.evaluator == gate.evaluator for e in prepared.evaluators_of(dataset))
    )


def with_spread(result: GateResult, spreads: Spreads, planned: int) -> GateResult:
    """The result with how far the repetitions lie apart, where more than one was planned."""
    if planned == 1:
        return result
    found = spreads.get(result.dataset, {}).get(f"{result.evaluator}.{result.metric}")
    return result.model_copy(update={"spread": found, "repetitions_planned": planned})


def sentence(result: GateResult) -> str:
    """A gate that was missed, for people: what was measured, and what it must be."""
    what = f"{result.evaluator}.{result.metric} of {result.label} on {result.dataset}"
    value = "was not measured" if result.value is None else f"is {result.value:.4g}"
    was = f" of {result.baseline:.4g}" if result.baseline is not None else ""
    return f"{what} {value}{_spread(result)}; it must be {result.limit}{was}"


def _spread(result: GateResult) -> str:
    found: Spread | None = result.spread
    if found is None:
        return ""
    failed = result.repetitions_planned - found.repetitions
    return (
        f" on average of {found.repetitions} repetition{'' if found.repetitions == 1 else 's'}"
        f" ({found.min:.4g} to {found.max:.4g}{f', {failed} more failed' if failed else ''})"
    )
