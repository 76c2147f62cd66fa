"""Stopping runs that nobody waits for any more, so that they stop costing tokens.

A chain that is cancelled or superseded orders it for all its runs. One that was being submitted at that moment is
stopped by its own command, which comes back and is stale; one whose command was given up, by whoever gave it up.
"""

from __future__ import annotations

from shared import chain_store, result_store
from shared.answers import answer_to
from shared.chain.messages import CancelRuns, EvaluateRun, RunCell, RunsCancelled
from shared.chain.state import Chain
from shared.errors import NotFound
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


def cancel_unwanted(ports: Ports, chain: Chain, command: RunCell | EvaluateRun) -> None:
    """Stop the run of this command, which the chain does not await: mostly it has ended. Raises as the runner does."""
    try:
        cell = chain_store.read_prepared(ports.blobs, chain.id).cells[command.cell]
    except (NotFound, IndexError):
        return  # no run without a matrix
    name = f"{chain.id}-{cell.name}"
    ports.runner.cancel(f"{name}-{command.evaluator}" if isinstance(command, EvaluateRun) else name)
