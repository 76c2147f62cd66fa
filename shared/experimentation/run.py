"""Running one cell of the run matrix, and taking a production log as a run.

Rows are streamed from the frozen dataset, mapped to the flow's inputs, handed to the flow runner under the name
`<chain>-<cell>`, and its lines and record are stored. A cell whose record is there has been run: it is not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import assert_never

from shared import chain_store, model_connections, result_store, run_tags
from shared.answers import LookAgain, answer_to
from shared.chain.messages import ImportLog, RunCell, RunFinished
from shared.chain.state import Chain
from shared.datasets.read import rows
from shared.errors import BusinessFailure, NotFound
from shared.experimentation import reuse
from shared.experimentation.inputs import INPUTS, cell_inputs, log_lines
from shared.experimentation.matrix import Cell, PreparedChain, PreparedDataset
from shared.experimentation.progress import ProgressNotes
from shared.experimentation.tally import Tally
from shared.ports import Ports, RunOutcome, RunSpec, RunStatus
from shared.process_secrets import hidden
from shared.results import RunRecord, cell_folder
from shared.telemetry.chains import run_ended
from shared.use_case.opened import open_use_case


def run_cell(ports: Ports, chain: Chain, command: RunCell) -> RunFinished | LookAgain:
    """Run the cell, or find it run."""
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    cell = _cell(prepared, command.cell)
    folder = cell_folder(chain.id, cell.name)
    record = result_store.record(ports.blobs, folder)
    if record is None:
        name = f"{chain.id}-{cell.name}"
        outcome = ended(ports, name, lambda: _begun(ports, chain, prepared, cell, command, name), look=command.look)
        if isinstance(outcome, LookAgain):
            return outcome
        record = stored(ports, folder, outcome)
    reuse.settle(ports.blobs, cell.configuration, cell.digest, folder, record)
    return _finished(ports, command, prepared, cell, record)


def import_log(ports: Ports, chain: Chain, command: ImportLog) -> RunFinished:
    """Take a production log as a run: its rows hold what went into the flow and what came out."""
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    cell = _cell(prepared, command.cell)
    folder = cell_folder(chain.id, cell.name)
    record = result_store.record(ports.blobs, folder)
    if record is None:
        dataset = prepared.dataset(cell.dataset)
        now = ports.clock.now()
        record = RunRecord(
            name=f"{chain.id}-{cell.name}",
            succeeded=True,
            lines=dataset.rows,
            failed_lines=0,
            started_at=now,
            ended_at=now,
            engine="production log",
        )
        result_store.write(ports.blobs, folder, record, log_lines(dataset_rows(ports, dataset)))
    return _finished(ports, command, prepared, cell, record)


def dataset_rows(ports: Ports, dataset: PreparedDataset) -> Iterator[dict[str, object]]:
    """The rows of a frozen dataset that the chain uses, one at a time."""
    with ports.blobs.open(dataset.container, dataset.blob) as stream:
        yield from islice(rows(stream, dataset.source), dataset.rows)


def ended(ports: Ports, name: str, spec: Callable[[], RunSpec], *, look: int) -> RunOutcome | LookAgain:
    """The ended run of that name: started with `spec` or, at a later look, found. LookAgain while it is under way.

    Raises:
        BusinessFailure: it was cancelled, or cannot be run.
    """
    outcome = _looked(ports, name) if look else None
    if outcome is None:
        outcome = ports.runner.start(spec())
    match outcome.status:
        case RunStatus.RUNNING:
            return LookAgain(ports.settings.look_seconds)
        case RunStatus.CANCELLED:
            raise BusinessFailure(f"The run {name} was cancelled.")
        case RunStatus.COMPLETED | RunStatus.FAILED:
            return outcome
        case _:
            assert_never(outcome.status)


def _looked(ports: Ports, name: str) -> RunOutcome | None:
    """The run as it is; None where the runner lost it, so that it is started again under the same name."""
    try:
        return ports.runner.look(name)
    except NotFound:
        return None


def stored(ports: Ports, folder: str, outcome: RunOutcome) -> RunRecord:
    """Store what a run left behind, together with the lines that it had no need to run."""
    outcome = _clean(outcome)
    assert outcome.record is not None  # the port: an ended run has a record
    took = outcome.record.tokens
    run_ended(succeeded=outcome.record.succeeded, prompt_tokens=took.prompt, completion_tokens=took.completion)
    known = reuse.pinned(ports.blobs, folder)
    if known is None:
        # Nothing was pinned, or another look at the same end (two events tell of it) has stored the result and removed
        # the pins: then the record is there, and these lines alone are not the whole result.
        there = result_store.record(ports.blobs, folder)
        if there is not None:
            return there
        result_store.write(ports.blobs, folder, outcome.record, outcome.lines)
        return outcome.record
    tally = Tally(reuse.merged(outcome.lines, reuse.pinned_lines(ports.blobs, folder)))
    result_store.write_lines(ports.blobs, folder, tally)
    record = tally.added_to(outcome.record, known)
    result_store.write_record(ports.blobs, folder, record)
    return record


def _clean(outcome: RunOutcome) -> RunOutcome:
    """The outcome without secrets in its reasons: a runner in the cloud has those from services. Outputs stay."""
    record = outcome.record
    if record is not None:
        record = record.model_copy(update={"reason": hidden(record.reason)})
    lines = (line.model_copy(update={"error": hidden(line.error)}) if line.error else line for line in outcome.lines)
    return replace(outcome, record=record, lines=lines)


def _begun(ports: Ports, chain: Chain, prepared: PreparedChain, cell: Cell, command: RunCell, name: str) -> RunSpec:
    """The run to start. Where it has lines to run, the runner learns of the evaluations that will follow."""
    spec = _spec(ports, chain, prepared, cell, command, name)
    if spec.known_count < prepared.dataset(cell.dataset).rows:
        use_case = open_use_case(ports, prepared.bundle, prepared.use_case, prepared.environment)
        flows = {evaluator.name: evaluator for evaluator in use_case.evaluators}
        for evaluator in prepared.evaluators_of(cell.dataset):
            flow = flows[evaluator.evaluator]
            ports.runner.prepare(
                replace(
                    spec,
                    flow=flow.flow,
                    flow_file=flow.flow_file,
                    flow_digest=evaluator.flow_digest,
                    lines=(),
                    line_numbers=None,
                    known_lines=(),
                    known_count=0,
                    variants={},
                    parameters={},
                )
            )
    return spec


def _spec(ports: Ports, chain: Chain, prepared: PreparedChain, cell: Cell, command: RunCell, name: str) -> RunSpec:
    use_case = open_use_case(ports, prepared.bundle, prepared.use_case, prepared.environment)
    folder = cell_folder(chain.id, cell.name)
    siblings = prepared.sharing(cell.configuration)
    found = reuse.notes(
        ports.blobs, cell.configuration, prepared.reuse, cell.digest, siblings=siblings, not_of=chain.id
    )
    known = reuse.pin(ports.blobs, folder, found, _numbered(ports, prepared, cell))
    return RunSpec(
        name=name,
        flow=use_case.flow,
        flow_file=use_case.flow_file,
        flow_digest=prepared.flow_digest,
        package=use_case.name,
        root=use_case.folder,
        lines=(inputs for number, inputs in _numbered(ports, prepared, cell) if number not in known.numbers),
        line_numbers=unknown(prepared.dataset(cell.dataset).rows, known),
        known_lines=reuse.pinned_lines(ports.blobs, folder) if known.count else (),
        known_count=known.count,
        variants=cell.variants,
        parameters={key: value for key, value in cell.parameters.items() if not key.startswith(INPUTS)},
        connections=model_connections.resolved(ports.settings, use_case.connections),
        environment=model_connections.variables_of(ports.settings, use_case),
        concurrency=use_case.concurrency,
        line_timeout_s=use_case.line_timeout_s,
        tolerated_failures=use_case.tolerated_failures,
        on_progress=ProgressNotes(ports, folder),
        tags=run_tags.of_run(chain, command),
        runtime=use_case.runtime,
    )


def _numbered(ports: Ports, prepared: PreparedChain, cell: Cell) -> Iterator[tuple[int, dict[str, object]]]:
    """The cell's inputs with their lines' numbers."""
    dataset = prepared.dataset(cell.dataset)
    return enumerate(cell_inputs(dataset, cell, dataset_rows(ports, dataset)))


def unknown(rows: int, known: reuse.Known) -> Sequence[int] | None:
    """The numbers of the lines that are run; None: of all of them."""
    return [number for number in range(rows) if number not in known.numbers] if known.count else None


def _cell(prepared: PreparedChain, index: int) -> Cell:
    if index >= len(prepared.cells):
        raise BusinessFailure(f"The run matrix has {len(prepared.cells)} cells; there is no cell {index}.")
    return prepared.cells[index]


def _finished(
    ports: Ports, command: RunCell | ImportLog, prepared: PreparedChain, cell: Cell, record: RunRecord
) -> RunFinished:
    return RunFinished(
        **answer_to(ports, command),
        cell=cell.index,
        succeeded=record.succeeded,
        reason=record.reason,
        evaluators=tuple(e.evaluator for e in prepared.evaluators_of(cell.dataset)) if record.succeeded else (),
    )
