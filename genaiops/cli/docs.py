"""`docs` writes the pages that are made from the code: message catalogue, state diagram, command line reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genaiops.cli.outcome import Refused
from genaiops.cli.output import say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(docs)


def docs(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a page is out of date.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Where the pages lie (default: docs/ of this code).")] = None,
) -> None:
    """Write the docs' pages that are made from the code."""
    target = folder or Path(__file__).parents[2] / "docs"
    stale = []
    for name, text in pages().items():
        path = target / name
        current = path.read_text(encoding="utf-8") if path.is_file() else None
        if current == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            say(f"wrote {path}")
    if check and stale:
        raise Refused(f"Out of date in {target}: {', '.join(stale)}. Run `make docs` and commit the result.")
    if not stale:
        say("All pages are up to date.")


def pages() -> dict[str, str]:
    """Every generated page, by its name in the docs' folder."""
    from genaiops.cli.reference import command_line_reference
    from shared.chain import describe

    return {
        "messages.md": describe.message_catalogue().rstrip("\n") + "\n",
        "chain.md": describe.state_diagram().rstrip("\n") + "\n",
        "reference/command-line.md": command_line_reference(),
    }
