"""The lines to run, as a JSON Lines file on disk: one row a line, read once and never all in memory.

A row of a flow of nodes has its inputs as columns, since column mapping cannot reach deeper; a row of any other flow
has them in one column, so that lines may bring different ones. Every row has the line's number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared.errors import BusinessFailure
from shared.nesting import DEEPEST, is_deeper

NUMBER: Final = "genaiops_line"
FILLED: Final = "genaiops_filled"
"""Names of inputs that the line did not bring: columns must be there in every row."""
INPUTS: Final = "inputs"


@dataclass
class Delta:
    """The file, and what is known of it once it is written."""

    file: Path
    lines: int = 0
    columns: tuple[str, ...] = ()
    """Inputs that any line brings, of a flow of nodes."""
    refused: dict[int, str] = field(default_factory=dict)
    """Lines that are not in it, with the reason."""


def write_delta(
    file: Path,
    lines: Iterable[tuple[int, Mapping[str, object]]],
    *,
    is_dag: bool,
    defaults: Mapping[str, object],
) -> Delta:
    """Write the lines.

    Args:
        file: where; it is made.
        lines: with their numbers.
        is_dag: whether the flow has nodes.
        defaults: of the inputs of a flow of nodes, for lines that do not bring them.

    Raises:
        BusinessFailure: an input has no JSON form.
        Anything that reading the lines raises.
    """
    delta = Delta(file)
    columns: dict[str, None] = {}
    uneven = False
    with file.open("w", encoding="utf-8") as stream:
        for number, inputs in lines:
            clean = _clean(number, inputs)
            if clean is None:
                delta.refused[number] = f"An input of the line is nested deeper than {DEEPEST} levels."
                continue
            uneven = uneven or (delta.lines > 0 and clean.keys() != columns.keys())
            columns |= dict.fromkeys(clean)
            row = {**clean, NUMBER: number} if is_dag else {NUMBER: number, INPUTS: clean}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            delta.lines += 1
    delta.columns = tuple(columns)
    if is_dag and uneven:
        _even_out(delta, defaults)
    return delta


def nothing_to_run(file: Path, *, is_dag: bool) -> None:
    """The file of a run that only aggregates what earlier runs have answered."""
    row = {NUMBER: -1} if is_dag else {NUMBER: -1, INPUTS: {}}
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")


def read_rows(rows: Iterable[bytes], *, is_dag: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of such a file: number and inputs as they were given."""
    for text in rows:
        if not text.strip():
            continue
        row = json.loads(text)
        number = row.pop(NUMBER)
        filled = row.pop(FILLED, ())
        yield number, {name: value for name, value in row.items() if name not in filled} if is_dag else row[INPUTS]


def _even_out(delta: Delta, defaults: Mapping[str, object]) -> None:
    """Have every row bring every column for which the flow has a default; the others are the service's to refuse."""
    whole = delta.file.with_suffix(".whole")
    with delta.file.open(encoding="utf-8") as given, whole.open("w", encoding="utf-8") as stream:
        for text in given:
            row = json.loads(text)
            lacking = [name for name in delta.columns if name not in row and name in defaults]
            if lacking:
                row |= {**{name: defaults[name] for name in lacking}, FILLED: lacking}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    whole.replace(delta.file)


def _clean(number: int, inputs: Mapping[str, object]) -> dict[str, Any] | None:
    """The inputs as any JSON reader reads them; None where they are nested too deeply."""
    try:
        clean: dict[str, Any] = json.loads(
            json.dumps(dict(inputs), ensure_ascii=False).encode("utf-8", errors="replace")
        )
    except RecursionError:
        return None
    except (TypeError, ValueError) as error:
        raise BusinessFailure(f"Line {number + 1} has an input without a JSON form: {error}.") from error
    return None if any(is_deeper(value) for value in clean.values()) else clean
