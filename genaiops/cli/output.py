"""Printing: tables and text for people, JSON for scripts; colours only on a terminal, and never with NO_COLOR.

Text from users and models is printed as it is: square brackets in it are no markup. Characters that a terminal would
obey, or that hide or reorder text, are written out.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.visible import for_terminal, in_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLENTY: Final = 200
"""Columns of a table that goes into a file."""
NARROWEST: Final = 40
STYLES = {
    "succeeded": "green",
    "done": "green",
    "approved": "green",
    "failed": "red",
    "rejected": "red",
    "running": "cyan",
    "awaiting_approval": "yellow",
    "warning": "yellow",
    "error": "red",
    "pending": "dim",
    "skipped": "dim",
}


def console(*, stderr: bool = False) -> Console:
    """A console on the stream as it is now (tests replace it). Lines of text are never folded, tables to its width."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _piped_width()
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)


def _piped_width() -> int:
    """Columns of a table in a pipe: COLUMNS, else those of the terminal that reads along, else plenty."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) > 0:
        return max(int(columns), NARROWEST)
    for stream in (sys.__stderr__, sys.__stdin__):
        try:
            if stream is not None and stream.isatty():
                return max(os.get_terminal_size(stream.fileno()).columns, NARROWEST)
        except (OSError, ValueError):  # closed, or no file
            continue
    return PLENTY


def say(text: str = "", style: str | None = None) -> None:
    """Print one line for people."""
    console().print(_inert(for_terminal(text)), style=style)


def complain(text: str) -> None:
    """Print one line to standard error."""
    console(stderr=True).print(_inert(for_terminal(text)), style="red")


def _inert(text: str) -> str:
    """The text without what an agent of Azure Pipelines (TF_BUILD) obeys: `##vso[` and `##[`, anywhere in a line.

    https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands: it reads all that a step prints, and an
    error repeats what a pull request wrote.
    """
    return re.sub("#(?=#)", "# ", text) if os.environ.get("TF_BUILD") else text


def _inert_json(text: str) -> str:
    """The same of JSON, in which two of them can only stand within a string."""
    return text.replace("##", "\\u0023\\u0023") if os.environ.get("TF_BUILD") else text


def print_json(value: object) -> None:
    """Print JSON for a script."""
    sys.stdout.write(_inert_json(in_json(json.dumps(value, indent=2, ensure_ascii=False))) + "\n")


def print_json_line(value: object) -> None:
    """Print JSON on one line, at once: a script reads along."""
    sys.stdout.write(_inert_json(in_json(json.dumps(value, ensure_ascii=False))) + "\n")
    sys.stdout.flush()


def first_line(text: str) -> str:
    """The beginning of a text of several lines, for a table."""
    head, _, rest = text.partition("\n")
    return f"{head} …" if rest else head


def plural(count: int, noun: str) -> str:
    """`1 run`, `12 runs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """A table; a cell that reads like a status has its colour. The first column names the row and is not folded."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    built = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        built.add_column(column, overflow="fold", no_wrap=index == 0)
    for row in rows:
        cells = ["" if cell is None else _inert(for_terminal(str(cell))) for cell in row]
        built.add_row(*(Text(cell, style=STYLES.get(cell.replace(" ", "_"), "")) for cell in cells))
    return built


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table for people; in a pipe without the blanks that only a terminal's width asks for."""
    screen = console()
    built = table(columns, rows, title=title)
    if sys.stdout.isatty():
        screen.print(built, soft_wrap=False)
        return
    with screen.capture() as captured:
        screen.print(built, soft_wrap=False)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in captured.get().rstrip().splitlines()))


def when(at: datetime | None) -> str:
    """A time for people, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def duration(start: datetime | None, end: datetime | None) -> str:
    """How long something took: `0.4 s`, `3 min 05 s`."""
    if start is None or end is None:
        return ""
    seconds = max((end - start).total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
