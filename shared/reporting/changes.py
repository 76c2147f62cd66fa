"""Lines that changed: where the candidate does worse than the registered version did, or than the default choice.

The registered version's lines are those that the chain which measured it last left behind. They count only where data
and evaluators are the same; else the default choice of this chain stands in.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shared import chain_store
from shared.errors import Malformed, NotFound
from shared.experimentation.matrix import Cell, PreparedChain
from shared.ports import BlobStore
from shared.reporting import facts as reading
from shared.reporting.facts import Facts, Line

WORST: Final = 5
"""Changed lines that are kept."""


@dataclass(frozen=True)
class ChangedLine:
    """One line that does worse now."""

    dataset: str
    line: int
    """From 1."""
    against: str
    """What it did better under."""
    inputs: Mapping[str, object]
    expected: Mapping[str, object]
    before: Mapping[str, object]
    now: Mapping[str, object]
    score_before: float
    score_now: float | None
    """None: it failed, or could not be evaluated."""
    error: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Changes:
    """What the comparison found."""

    against: tuple[str, ...]
    """With what was compared; empty: there was nothing to compare with."""
    compared: int = 0
    """Lines."""
    better: int = 0
    worse: int = 0
    worst: tuple[ChangedLine, ...] = ()
    """At most `WORST`, the largest loss first."""


@dataclass(frozen=True)
class _Side:
    """One run to compare: whose it is, and where its lines lie."""

    called: str
    facts: Facts
    cell: Cell


def find(blobs: BlobStore, facts: Facts) -> Changes:
    """Compare the candidate's lines, in one pass; of repeated runs, the first repetition."""
    label = facts.candidate or facts.default
    pairs = [
        (_Side(label or "", facts, cell), before)
        for cell in _cells(facts.prepared, label)
        if (before := _registered(blobs, facts, cell) or _default(facts, cell)) is not None
    ]
    compared = better = worse = 0
    worst: list[tuple[float, int, int, ChangedLine]] = []
    for order, (now, before) in enumerate(pairs):
        for old, new in _joined(blobs, before, now):
            if old.score is None or old.failed:
                continue
            failed = new.failed or any(evaluation.error for evaluation in new.evaluations.values())
            if new.score is None and not failed:
                continue
            score = None if failed else new.score
            compared += 1
            loss = float("inf") if score is None else old.score - score
            better += loss < 0
            worse += loss > 0
            # A heap whose smallest item is the best line kept. Positions break ties, so that lines are never compared.
            rank = (loss, -order, -new.record.line)
            if loss > 0 and (len(worst) < WORST or rank > worst[0][:3]):
                item = (*rank, _changed(now.cell.dataset, before.called, old, new, score))
                (heapq.heappush if len(worst) < WORST else heapq.heapreplace)(worst, item)
    return Changes(
        against=tuple(dict.fromkeys(before.called for _, before in pairs)),
        compared=compared,
        better=better,
        worse=worse,
        worst=tuple(line for *_, line in sorted(worst, key=lambda item: item[:3], reverse=True)),
    )


def _changed(dataset: str, against: str, old: Line, new: Line, score: float | None) -> ChangedLine:
    troubles = [new.record.error, *(evaluation.error for evaluation in new.evaluations.values())]
    return ChangedLine(
        dataset=dataset,
        line=new.record.line + 1,
        against=against,
        inputs=new.record.inputs,
        expected=new.expected or old.expected,
        before=old.record.outputs,
        now=new.record.outputs,
        score_before=old.score or 0.0,
        score_now=score,
        error=next(filter(None, troubles), ""),
    )


def _cells(prepared: PreparedChain, label: str | None) -> list[Cell]:
    return [cell for cell in prepared.cells if cell.label == label and cell.repetition == 0]


def _registered(blobs: BlobStore, facts: Facts, cell: Cell) -> _Side | None:
    """The registered version's run on the same data under the same evaluators, if it is still there."""
    baseline = facts.gates.baseline if facts.gates else None
    if baseline is None or not baseline.chain or baseline.chain == facts.chain.id:
        return None
    try:
        chain = chain_store.load(blobs, baseline.chain)[0]
        prepared = chain_store.read_prepared(blobs, baseline.chain)
    except (NotFound, Malformed):
        return None  # removed since, or written by another version
    if _measure(prepared, cell.dataset) != _measure(facts.prepared, cell.dataset):
        return None
    found = next((old for old in _cells(prepared, baseline.label) if old.dataset == cell.dataset), None)
    if found is None:
        return None
    old = Facts(chain=chain, prepared=prepared, cells=(), gates=None)
    return _Side(f"version {baseline.version}", old, found)


def _measure(prepared: PreparedChain, dataset: str) -> object:
    """What a line's score depends on beside the flow: two that are equal measure alike."""
    contents = {known.name: known.content_hash for known in prepared.datasets}
    return contents.get(dataset), {
        (e.evaluator, e.flow_digest, contents.get(e.truth_dataset)) for e in prepared.evaluators_of(dataset)
    }


def _default(facts: Facts, cell: Cell) -> _Side | None:
    if facts.default is None or cell.label == facts.default:
        return None
    found = next((other for other in _cells(facts.prepared, facts.default) if other.dataset == cell.dataset), None)
    return _Side(f"the default choice {facts.default}", facts, found) if found else None


def _joined(blobs: BlobStore, before: _Side, now: _Side) -> Iterator[tuple[Line, Line]]:
    """Lines that both have, in order; both sides are streamed."""
    olds = reading.lines(blobs, before.facts, before.cell)
    old = next(olds, None)
    for new in reading.lines(blobs, now.facts, now.cell):
        while old is not None and old.record.line < new.record.line:
            old = next(olds, None)
        if old is None:
            return
        if old.record.line == new.record.line:
            yield old, new
