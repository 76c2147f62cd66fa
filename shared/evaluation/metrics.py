"""Metrics of a chain, read from the records of its evaluations."""

from __future__ import annotations

from shared import result_store
from shared.experimentation.matrix import PreparedChain
from shared.ports import BlobStore
from shared.results import evaluation_folder

Metrics = dict[str, dict[str, float]]
"""Experiment dataset → `<evaluator>.<metric>` → value."""


def metrics_by_dataset(blobs: BlobStore, chain_id: str, prepared: PreparedChain, label: str) -> Metrics:
    """The metrics of one choice of variants and parameters; what did not succeed is missing."""
    metrics: Metrics = {}
    for cell in prepared.cells:
        if cell.label != label:
            continue
        for evaluator in prepared.evaluators_of(cell.dataset):
            record = result_store.record(blobs, evaluation_folder(chain_id, cell.name, evaluator.evaluator))
            if record is None or not record.succeeded:
                continue
            values = metrics.setdefault(cell.dataset, {})
            values.update({f"{evaluator.evaluator}.{name}": value for name, value in record.metrics.items()})
    return metrics
