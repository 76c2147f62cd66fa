"""Metrics of a chain, read from the records of its evaluations. A metric that is no number counts as not measured.

A choice that was run several times has, for each metric, the mean of the repetitions that measured it, with its spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared import result_store
from shared.evaluation.spread import Spread, spread
from shared.experimentation.matrix import Cell, PreparedChain
from shared.ports import BlobStore
from shared.results import evaluation_folder

Metrics = dict[str, dict[str, float]]
"""Experiment dataset → `<evaluator>.<metric>` → value."""
Spreads = dict[str, dict[str, Spread]]
"""As `Metrics`, with how far the repetitions lie apart."""


def spreads_by_label(blobs: BlobStore, chain_id: str, prepared: PreparedChain) -> dict[str, Spreads]:
    """The metrics of every choice of variants and parameters, in one pass over the cells."""
    cells: dict[str, list[Cell]] = {}
    for cell in prepared.cells:
        cells.setdefault(cell.label, []).append(cell)
    return {label: _spreads(blobs, chain_id, prepared, group) for label, group in cells.items()}


def means(spreads: Mapping[str, Mapping[str, Spread]]) -> Metrics:
    """The one value of each metric."""
    return {dataset: {name: found.mean for name, found in by_name.items()} for dataset, by_name in spreads.items()}


def metrics_by_dataset(blobs: BlobStore, chain_id: str, prepared: PreparedChain, label: str) -> Metrics:
    """The metrics of one choice; what did not succeed is missing."""
    return means(_spreads(blobs, chain_id, prepared, (cell for cell in prepared.cells if cell.label == label)))


def _spreads(blobs: BlobStore, chain_id: str, prepared: PreparedChain, cells: Iterable[Cell]) -> Spreads:
    values: dict[str, dict[str, list[float]]] = {}
    for cell in cells:
        for evaluator in prepared.evaluators_of(cell.dataset):
            record = result_store.record(blobs, evaluation_folder(chain_id, cell.name, evaluator.evaluator))
            if record is None or not record.succeeded:
                continue
            by_name = values.setdefault(cell.dataset, {})
            for name, value in record.metrics.items():
                by_name.setdefault(f"{evaluator.evaluator}.{name}", []).append(value)
    return {
        dataset: {name: found for name, several in by_name.items() if (found := spread(several)) is not None}
        for dataset, by_name in values.items()
    }
