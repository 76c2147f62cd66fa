"""What rows become: a cell's inputs through its mappings, with the cell's own inputs in their place; a log's lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shared.datasets import mapping
from shared.experimentation.matrix import Cell, PreparedDataset
from shared.results import LineRecord, LineStatus

INPUTS: Final = "inputs."
"""Begins the parameters that take the place of a mapping."""


def mapped(mappings: Mapping[str, object], parameters: Mapping[str, object]) -> dict[str, object]:
    """The mappings with the parameters `inputs.<input>` in their place."""
    own = {key.removeprefix(INPUTS): value for key, value in parameters.items() if key.startswith(INPUTS)}
    return {**mappings, **own}


def cell_inputs(dataset: PreparedDataset, cell: Cell, data: Iterable[dict[str, object]]) -> Iterator[dict[str, object]]:
    """The inputs of every line of a cell, in order. Raises Malformed where a row lacks a mapped column."""
    mappings = mapped(dataset.mappings, cell.parameters)
    for number, row in enumerate(data):
        yield mapping.apply(mappings, row, line=number, dataset=dataset.name)


def log_lines(data: Iterable[dict[str, object]]) -> Iterator[LineRecord]:
    """The rows of a production log as the lines of a run: they hold what went into the flow and what came out."""
    return (
        LineRecord(line=number, status=LineStatus.COMPLETED, inputs=row, outputs=row, attempts=0)
        for number, row in enumerate(data)
    )
