"""The inputs of an evaluator: line i of a run beside row i of the dataset that holds the ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.datasets import mapping
from shared.errors import BusinessFailure
from shared.experimentation.matrix import PreparedDataset, PreparedEvaluator
from shared.results import LineRecord, LineStatus


def evaluator_inputs(
    evaluator: PreparedEvaluator,
    truth: PreparedDataset,
    data: Iterable[dict[str, object]],
    run_lines: Iterable[LineRecord],
) -> Iterator[tuple[int, dict[str, object]]]:
    """The inputs for every completed line of a run, with the line's number.

    Args:
        evaluator: its mappings.
        truth: the dataset that `data` are the rows of.
        data: every row, in order.
        run_lines: lines of the run in ascending order; some may be missing.

    Raises:
        BusinessFailure: a line has no row.
        Malformed: a row or the run lacks what a mapping names.
    """
    numbered = enumerate(data)
    for line in run_lines:
        row = next((row for number, row in numbered if number == line.line), None)
        if row is None:
            raise BusinessFailure(
                f"{truth.name} ({truth.source}) has {truth.rows} rows, but the run on {evaluator.experiment_dataset} "
                f"has more: line i of the run is evaluated with row i, so give it as many rows."
            )
        if line.status is LineStatus.COMPLETED:
            inputs = mapping.apply(
                evaluator.mappings,
                row,
                line.outputs,
                run_inputs=line.inputs,
                line=line.line,
                dataset=truth.name,
            )
            yield line.line, inputs
