"""Running one evaluator on one run: the run's lines beside the rows that hold the ground truth.

Line i of the run belongs to row i of the truth dataset. Lines that failed have no outputs: they are left out, and the
record says how many; the metrics come from the evaluator's aggregation over all lines that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from shared import chain_store, model_connections, result_store
from shared.answers import LookAgain, answer_to
from shared.chain.messages import EvaluateRun, EvaluationFinished
from shared.chain.state import Chain
from shared.datasets import mapping
from shared.errors import BusinessFailure
from shared.experimentation.matrix import Cell, PreparedChain, PreparedEvaluator
from shared.experimentation.run import dataset_rows, ended, stored
from shared.ports import Ports, RunOutcome, RunSpec
from shared.results import LineRecord, LineStatus, RunRecord, cell_folder, evaluation_folder
from shared.use_case.opened import open_use_case


def evaluate_run(ports: Ports, chain: Chain, command: EvaluateRun) -> EvaluationFinished | LookAgain:
    """Run the evaluator, or find it run."""
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    cell = prepared.cells[command.cell]
    folder = evaluation_folder(chain.id, cell.name, command.evaluator)
    record = result_store.record(ports.blobs, folder)
    if record is None:
        chosen = [e for e in prepared.evaluators_of(cell.dataset) if e.evaluator == command.evaluator]
        if not chosen:
            raise BusinessFailure(f"The evaluator {command.evaluator!r} does not evaluate runs on {cell.dataset!r}.")
        name = f"{chain.id}-{cell.name}-{command.evaluator}"
        outcome = ended(ports, name, lambda: _spec(ports, chain, prepared, cell, chosen[0], name), look=command.look)
        if isinstance(outcome, LookAgain):
            return outcome
        record = stored(ports, folder, _told(outcome, _left_out(ports, chain, cell)))
    return _finished(ports, command, record)


def _spec(
    ports: Ports, chain: Chain, prepared: PreparedChain, cell: Cell, evaluator: PreparedEvaluator, name: str
) -> RunSpec:
    use_case = open_use_case(ports, prepared.bundle, prepared.use_case, prepared.environment)
    flow = next(e.flow for e in use_case.evaluators if e.name == evaluator.evaluator)
    run_lines = result_store.lines(ports.blobs, cell_folder(chain.id, cell.name))
    return RunSpec(
        name=name,
        flow=flow,
        flow_digest=evaluator.flow_digest,
        lines=_inputs(ports, prepared, evaluator, run_lines),
        line_numbers=_completed(ports, chain, cell),
        connections=model_connections.resolved(ports.settings, use_case.connections),
        concurrency=use_case.concurrency,
        line_timeout_s=use_case.line_timeout_s,
        tolerated_failures=use_case.tolerated_failures,
    )


def _told(outcome: RunOutcome, left_out: str) -> RunOutcome:
    """The outcome with what was left out in its reason."""
    record = outcome.record
    if record is not None and left_out:
        record = record.model_copy(update={"reason": f"{record.reason} {left_out}".strip()})
    return replace(outcome, record=record)


def _left_out(ports: Ports, chain: Chain, cell: Cell) -> str:
    run = result_store.record(ports.blobs, cell_folder(chain.id, cell.name))
    if run is None or not run.failed_lines:
        return ""
    return f"{run.failed_lines} of {run.lines} lines were left out, since the run failed on them."


def _completed(ports: Ports, chain: Chain, cell: Cell) -> list[int]:
    """The numbers of the run's completed lines: the evaluator is given those, in this order."""
    lines = result_store.lines(ports.blobs, cell_folder(chain.id, cell.name))
    return [line.line for line in lines if line.status is LineStatus.COMPLETED]


def _inputs(
    ports: Ports, prepared: PreparedChain, evaluator: PreparedEvaluator, run_lines: Iterable[LineRecord]
) -> Iterator[dict[str, object]]:
    """The evaluator's inputs for every completed line."""
    truth = prepared.dataset(evaluator.truth_dataset)
    data = dataset_rows(ports, truth)
    for line in run_lines:
        row = next(data, None)
        if row is None:
            raise BusinessFailure(
                f"{truth.name} ({truth.source}) has {truth.rows} rows, but the run on {evaluator.experiment_dataset} "
                f"has more: line i of the run is evaluated with row i, so give it as many rows."
            )
        if line.status is LineStatus.COMPLETED:
            yield mapping.apply(
                evaluator.mappings,
                row,
                line.outputs,
                run_inputs=line.inputs,
                line=line.line,
                dataset=truth.name,
            )


def _finished(ports: Ports, command: EvaluateRun, record: RunRecord) -> EvaluationFinished:
    return EvaluationFinished(
        **answer_to(ports, command),
        cell=command.cell,
        evaluator=command.evaluator,
        succeeded=record.succeeded,
        reason=record.reason,
    )
