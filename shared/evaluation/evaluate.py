"""Running one evaluator on one run: the run's lines beside the rows that hold the ground truth.

Line i of the run belongs to row i of the truth dataset. Lines that failed have no outputs: they are left out, and the
record says how many; the metrics come from the evaluator's aggregation over all lines that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shared import chain_store, model_connections, result_store, run_tags
from shared.answers import LookAgain, answer_to
from shared.chain.messages import EvaluateRun, EvaluationFinished
from shared.chain.state import Chain
from shared.errors import BusinessFailure
from shared.evaluation.inputs import evaluator_inputs
from shared.experimentation import reuse
from shared.experimentation.matrix import Cell, PreparedChain, PreparedEvaluator
from shared.experimentation.run import dataset_rows, ended, stored
from shared.ports import Ports, RunOutcome, RunSpec
from shared.results import LineStatus, RunRecord, cell_folder, evaluation_folder
from shared.use_case.opened import open_use_case


def evaluate_run(ports: Ports, chain: Chain, command: EvaluateRun) -> EvaluationFinished | LookAgain:
    """Run the evaluator, or find it run."""
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    cell = prepared.cells[command.cell]
    chosen = [e for e in prepared.evaluators_of(cell.dataset) if e.evaluator == command.evaluator]
    if not chosen:
        raise BusinessFailure(f"The evaluator {command.evaluator!r} does not evaluate runs on {cell.dataset!r}.")
    evaluator = chosen[0]
    folder = evaluation_folder(chain.id, cell.name, evaluator.evaluator)
    record = result_store.record(ports.blobs, folder)
    if record is None:
        name = f"{chain.id}-{cell.name}-{evaluator.evaluator}"
        outcome = ended(
            ports, name, lambda: _spec(ports, chain, prepared, cell, evaluator, command, name), look=command.look
        )
        if isinstance(outcome, LookAgain):
            return outcome
        record = stored(ports, folder, _told(outcome, _left_out(ports, chain, cell)))
    digest = reuse.evaluation_digest(prepared, cell, evaluator)
    reuse.settle(ports.blobs, evaluator.configuration, digest, folder, record)
    return _finished(ports, command, record)


def _spec(
    ports: Ports,
    chain: Chain,
    prepared: PreparedChain,
    cell: Cell,
    evaluator: PreparedEvaluator,
    command: EvaluateRun,
    name: str,
) -> RunSpec:
    use_case = open_use_case(ports, prepared.bundle, prepared.use_case, prepared.environment)
    flow = next(e for e in use_case.evaluators if e.name == evaluator.evaluator)
    folder = evaluation_folder(chain.id, cell.name, evaluator.evaluator)
    digest = reuse.evaluation_digest(prepared, cell, evaluator)
    siblings = prepared.sharing(evaluator.configuration)
    found = reuse.notes(
        ports.blobs, evaluator.configuration, prepared.reuse, digest, siblings=siblings, not_of=chain.id
    )
    known = reuse.pin(ports.blobs, folder, found, _inputs(ports, chain, prepared, cell, evaluator))
    return RunSpec(
        name=name,
        flow=flow.flow,
        flow_file=flow.flow_file,
        flow_digest=evaluator.flow_digest,
        package=use_case.name,
        root=use_case.folder,
        lines=(
            inputs for number, inputs in _inputs(ports, chain, prepared, cell, evaluator) if number not in known.numbers
        ),
        line_numbers=[number for number in _completed(ports, chain, cell) if number not in known.numbers],
        known_lines=reuse.pinned_lines(ports.blobs, folder) if known.count else (),
        known_count=known.count,
        connections=model_connections.resolved(ports.settings, use_case.connections),
        environment=model_connections.variables_of(ports.settings, use_case),
        concurrency=use_case.concurrency,
        line_timeout_s=use_case.line_timeout_s,
        tolerated_failures=use_case.tolerated_failures,
        tags=run_tags.of_run(chain, command),
        runtime=use_case.runtime,
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
    ports: Ports, chain: Chain, prepared: PreparedChain, cell: Cell, evaluator: PreparedEvaluator
) -> Iterator[tuple[int, dict[str, object]]]:
    """The evaluator's inputs for every completed line, with the line's number."""
    run_lines = result_store.lines(ports.blobs, cell_folder(chain.id, cell.name))
    truth = prepared.dataset(evaluator.truth_dataset)
    return evaluator_inputs(evaluator, truth, dataset_rows(ports, truth), run_lines)


def _finished(ports: Ports, command: EvaluateRun, record: RunRecord) -> EvaluationFinished:
    return EvaluationFinished(
        **answer_to(ports, command),
        cell=command.cell,
        evaluator=command.evaluator,
        succeeded=record.succeeded,
        reason=record.reason,
    )
