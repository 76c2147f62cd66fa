"""Printing: tables and text for people, JSON for scripts; colours only on a terminal, and never with NO_COLOR.

Text from users and models is printed as it is: square brackets in it are no markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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
    """A console on the stream as it is now (tests replace it). Piped output is never folded."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 200
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)


def say(text: str = "", style: str | None = None) -> None:
    """Print one line for people."""
    console().print(text, style=style)


def complain(text: str) -> None:
    """Print one line to standard error."""
    console(stderr=True).print(text, style="red")


def print_json(value: object) -> None:
    """Print JSON for a script."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_line(value: object) -> None:
    """Print JSON on one line, at once: a script reads along."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """A table; a cell that reads like a status has its colour."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    built = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        built.add_column(column, overflow="fold")
    for row in rows:
        cells = ["" if cell is None else str(cell) for cell in row]
        built.add_row(*(Text(cell, style=STYLES.get(cell.replace(" ", "_"), "")) for cell in cells))
    return built


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table for people; in a pipe without the blanks that only a terminal's width asks for."""
    screen = console()
    built = table(columns, rows, title=title)
    if sys.stdout.isatty():
        screen.print(built)
        return
    with screen.capture() as captured:
        screen.print(built)
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
