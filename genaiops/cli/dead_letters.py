"""`dead-letters list|show|replay|discard`: messages that nobody could handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaiops.cli import wiring
from genaiops.cli.output import print_json, print_table, say, when

if TYPE_CHECKING:
    from shared.dead_letters import DeadLetter

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Identifier = Annotated[str, typer.Argument(metavar="ID", help="As `dead-letters list` shows it.")]

group = typer.Typer(no_args_is_help=True, help="Messages that nobody could handle.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="dead-letters")


@group.command("list")
def list_(*, as_json: JsonOption = False) -> None:
    """List the dead letters, newest first."""
    from shared import dead_letters

    letters = dead_letters.listed(wiring.ports())
    if as_json:
        print_json([_facts(letter) for letter in letters])
    elif not letters:
        say("There are no dead letters.")
    else:
        rows = ((x.id, x.queue, when(x.dead_lettered_at), x.chain, f"{x.reason}: {x.description}") for x in letters)
        print_table(("id", "queue", "since", "chain", "reason"), rows)


@group.command()
def show(identifier: Identifier, *, as_json: JsonOption = False) -> None:
    """Show one dead letter with its body."""
    from shared import dead_letters

    letter = dead_letters.find(wiring.ports(), identifier)
    if as_json:
        print_json({**_facts(letter), "body": letter.body.decode("utf-8", "replace")})
        return
    for name, value in _facts(letter).items():
        if value not in (None, ""):
            say(f"{name:<18}{value}")
    say()
    say(letter.body_preview)


@group.command()
def replay(identifier: Identifier, *, as_json: JsonOption = False) -> None:
    """Send a dead letter to its queue again; the record is removed."""
    from shared import dead_letters

    letter = dead_letters.replay(wiring.ports(), identifier)
    print_json(_facts(letter)) if as_json else say(f"{letter.id} was sent to {letter.queue} again.")


@group.command()
def discard(identifier: Identifier, *, as_json: JsonOption = False) -> None:
    """Remove a dead letter for good."""
    from shared import dead_letters

    letter = dead_letters.discard(wiring.ports(), identifier)
    print_json(_facts(letter)) if as_json else say(f"{letter.id} was discarded.")


def _facts(letter: DeadLetter) -> dict[str, Any]:
    return letter.model_dump(mode="json", exclude={"body_base64"})
