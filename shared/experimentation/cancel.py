"""Stopping the runs of a chain that was cancelled or superseded, so that they stop costing tokens."""

from __future__ import annotations

from shared import chain_store, result_store
from shared.answers import answer_to
from shared.chain.messages import CancelRuns, RunsCancelled
from shared.chain.state import Chain
from shared.ports import Ports
from shared.results import cell_folder


def cancel_runs(ports: Ports, chain: Chain, command: CancelRuns) -> RunsCancelled:
    """Cancel every run that was ordered and has left no record, and the evaluations of the others."""
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    for cell in prepared.cells[: chain.progress.next_cell]:
        if result_store.record(ports.blobs, cell_folder(chain.id, cell.name)) is None:
            ports.runner.cancel(f"{chain.id}-{cell.name}")
            continue
        for evaluator in prepared.evaluators_of(cell.dataset):
            ports.runner.cancel(f"{chain.id}-{cell.name}-{evaluator.evaluator}")
    return RunsCancelled(**answer_to(ports, command))
