"""Metrics of a chain, read from the records of its evaluations. A metric that is no number counts as not measured."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from shared import result_store
from shared.experimentation.matrix import Cell, PreparedChain
from shared.ports import BlobStore
from shared.results import evaluation_folder

Metrics = dict[str, dict[str, float]]
"""Experiment dataset → `<evaluator>.<metric>` → value."""


def metrics_by_label(blobs: BlobStore, chain_id: str, prepared: PreparedChain) -> dict[str, Metrics]:
    """The metrics of every choice of variants and parameters, in one pass over the cells."""
    cells: dict[str, list[Cell]] = {}
    for cell in prepared.cells:
        cells.setdefault(cell.label, []).append(cell)
    return {label: _metrics(blobs, chain_id, prepared, group) for label, group in cells.items()}


def metrics_by_dataset(blobs: BlobStore, chain_id: str, prepared: PreparedChain, label: str) -> Metrics:
    """The metrics of one choice; what did not succeed is missing."""
    return _metrics(blobs, chain_id, prepared, (cell for cell in prepared.cells if cell.label == label))


def _metrics(blobs: BlobStore, chain_id: str, prepared: PreparedChain, cells: Iterable[Cell]) -> Metrics:
    metrics: Metrics = {}
    for cell in cells:
        for evaluator in prepared.evaluators_of(cell.dataset):
            record = result_store.record(blobs, evaluation_folder(chain_id, cell.name, evaluator.evaluator))
            if record is None or not record.succeeded:
                continue
            values = metrics.setdefault(cell.dataset, {})
            values.update(
                {f"{evaluator.evaluator}.{name}": value for name, value in record.metrics.items() if isfinite(value)}
            )
    return metrics
