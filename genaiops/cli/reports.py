"""`report`: where a chain's report is, and its files written out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.output import print_json, say
from shared.errors import NotFound

CONTAINER = "reports"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="The chain's id.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the files (default: written-reports/<chain> in GENAIOPS_HOME)."),
    ] = None,
    *,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
) -> None:
    """Write a chain's report files out and print their paths; the page comes first."""
    wired = wiring.ports()
    one = wiring.chain_named(wired, chain)
    names = [info.name for info in wired.blobs.list(CONTAINER, f"{one.id}/")]
    if not names:
        raise NotFound(f"The chain {one.id} has no report yet; it is {one.status.replace('_', ' ')}.")
    folder = (out or wired.settings.home / "written-reports" / one.id).absolute()
    written = []
    for name in sorted(names, key=lambda name: (not name.endswith(".html"), name)):
        target = folder.joinpath(*name.split("/")[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        with wired.blobs.open(CONTAINER, name) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)  # the lines of a large dataset do not fit into memory
        written.append(target)
    if as_json:
        print_json({"chain": one.id, "files": [str(path) for path in written]})
    else:
        for path in written:
            say(str(path))
    if open_it:
        typer.launch(written[0].as_uri())
