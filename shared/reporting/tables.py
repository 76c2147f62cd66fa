"""CSV for people who open it in a spreadsheet: complete, and with nothing in it that a spreadsheet would run.

Text from a model that begins like a formula gets an apostrophe in front; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shared.pages.words import text_of
from shared.reporting.facts import Facts, Line
from shared.reporting.scores import Table

if TYPE_CHECKING:
    from typing import BinaryIO

# Excel, LibreOffice and Google Sheets take these for the beginning of a formula; in some locales the wide ones too.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

# A terminal obeys some of these when the file is printed, and a spreadsheet may end the file at a NUL. Tab, CR and LF
# stay.
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

LINE_COLUMNS: Final = (
    "cell",
    "dataset",
    "variant",
    "line",
    "status",
    "error",
    "attempts",
    "latency_ms",
    "prompt_tokens",
    "completion_tokens",
)
METRIC_COLUMNS: Final = (
    "dataset",
    "evaluator",
    "metric",
    "variant",
    "value",
    "min",
    "max",
    "stdev",
    "repetitions",
    "is_best",
    "is_candidate",
    "is_default",
    "difference_to_default",
    "difference_to_baseline",
)


def neutral(value: object) -> str:
    """A cell's text: formulas neutralised, control characters written out, all but texts and numbers as JSON."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case _:
            text = _CONTROL.sub(lambda found: f"‹U+{ord(found[0]):04X}›", text_of(value))
            return "'" + text if text.startswith(_FORMULA) else text


def metrics_csv(tables: Iterable[Table]) -> bytes:
    """One row for each metric of each choice; `value` is the mean of its repetitions."""
    rows = (
        (
            table.dataset,
            table.evaluator,
            metric,
            row.label,
            score.value,
            score.spread.min if score.spread else None,
            score.spread.max if score.spread else None,
            score.spread.stdev if score.spread else None,
            score.spread.repetitions if score.spread else 0,
            score.best,
            row.is_candidate,
            row.is_default,
            score.to_default,
            score.to_baseline,
        )
        for table in tables
        for row in table.rows
        for metric, score in zip(table.metrics, row.scores, strict=True)
    )
    target = io.BytesIO()
    write(target, METRIC_COLUMNS, rows)
    return target.getvalue()


def line_values(line: Line) -> dict[str, object]:
    """A line's own columns: inputs, expected values, outputs and scores."""
    values: dict[str, object] = {f"inputs.{key}": value for key, value in line.record.inputs.items()}
    values |= {f"expected.{key}": value for key, value in line.expected.items()}
    values |= {f"outputs.{key}": value for key, value in line.record.outputs.items()}
    for name, evaluation in line.evaluations.items():
        values |= {f"scores.{name}.{key}": value for key, value in evaluation.outputs.items()}
        if evaluation.error:
            values[f"evaluation_error.{name}"] = evaluation.error
    return values


def write_lines(
    target: BinaryIO, facts: Facts, columns: Sequence[str], lines: Iterable[tuple[int, Line]], *, more: bool = False
) -> None:
    """Write `lines.csv`: (index of the cell in `facts.cells`, line), with the given own columns.

    `more`: lines have values beyond those columns, which go into the column `more` as JSON.
    """
    repeated, reused = facts.repetitions > 1, any(c.run is not None and c.run.reused_lines for c in facts.cells)
    known = frozenset(columns)

    def rows() -> Iterator[Sequence[object]]:
        for index, line in lines:
            cell, record = facts.cells[index].cell, line.record
            values: Mapping[str, object] = line_values(line)
            yield (
                cell.name,
                cell.dataset,
                cell.label,
                *((cell.repetition + 1,) if repeated else ()),
                record.line + 1,
                record.status.value,
                record.error,
                record.attempts,
                record.latency_ms,
                record.tokens.prompt,
                record.tokens.completion,
                *((record.origin.run if record.origin else None,) if reused else ()),
                *(values.get(column) for column in columns),
                *(({k: v for k, v in values.items() if k not in known} or None,) if more else ()),
            )

    header = [*LINE_COLUMNS]
    if repeated:
        header.insert(header.index("line"), "repetition")
    if reused:
        header.append("reused_from")
    write(target, (*header, *columns, *(("more",) if more else ())), rows())


def write(target: BinaryIO, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as RFC 4180 CSV in UTF-8."""
    text = io.TextIOWrapper(target, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([neutral(name) for name in header])
    for row in rows:
        writer.writerow([neutral(value) for value in row])
    text.detach()
