"""`new` writes a use case folder to start from; it validates and runs as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from genaiops.cli import wiring
from genaiops.cli.outcome import Refused
from genaiops.cli.output import say

Kind = Literal["dag", "function", "class", "prompty"]
"""`genaiops.new.Kind`, spelled out: a test holds the two together."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(new)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The use case's name, and its folder's.")],
    kind: Annotated[Kind, typer.Option(help="What the flow is made of.")] = "dag",
    into: Annotated[
        Path | None, typer.Option(help="The folder to put it into (default: flows/).", file_okay=False)
    ] = None,
) -> None:
    """Write a new use case folder, with a flow, an evaluator and a dataset, that validates and runs at once.

    A folder of that name is never touched.
    """
    from genaiops.new import new_use_case
    from shared.errors import Conflict

    configured = wiring.settings()
    try:
        folder = new_use_case(name, kind, into or configured.flows)
    except Conflict as error:
        raise Refused(str(error)) from error
    shown = os.path.relpath(folder)
    say(f"Made {shown}: a use case with a flow of the kind {kind}. README.md in it says what is where.")
    say(f"  check it:  python -m genaiops validate {shown}")
    say(f"  count it:  python -m genaiops plan {shown}")
    say(f"  run it:    python -m genaiops submit {shown} --wait   (needs `python -m genaiops start` elsewhere)")
