"""`validate` and `plan`: what is wrong with a use case folder, and what a chain would run. Neither runs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.checking import env_file_of, environments_of, findings_of, line_of, listed, told
from genaiops.cli.outcome import ExitCode
from genaiops.cli.output import print_json, say
from genaiops.cli.wiring import Kind

UseCaseArgument = Annotated[
    str, typer.Argument(metavar="USE_CASE", help="A use case folder, or the name of one under flows/.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(validate)
    app.command()(plan)


def validate(
    use_case: UseCaseArgument,
    environment: Annotated[
        list[str] | None, typer.Option("--environment", "-e", help="Repeatable (default: dev and every overlay).")
    ] = None,
    *,
    no_environment: Annotated[
        bool,
        typer.Option(
            "--no-environment", help="Leave out what an installation has: variables, connections, data assets."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a use case folder; every problem is named with file and line. Warnings alone leave it valid.

    Data assets are looked for in this installation's registry, where there is one.
    """
    configured = wiring.settings()
    folder = wiring.use_case_folder(use_case, configured)
    environments = environment or environments_of(folder)
    env_file = env_file_of(configured) if not no_environment else None
    ports = wiring.ports_of_installation() if env_file is not None else None
    found = findings_of(folder, environments, configured.data, env_file, ports)
    if not as_json:
        for warning in found.warnings:
            say(f"warning: {line_of(folder, warning)}", "yellow")
    if as_json:
        problems, warnings = listed(folder, found.problems), listed(folder, found.warnings)
        answer = {"environments": environments, "problems": problems, "more": found.more, "warnings": warnings}
        print_json({"valid": not problems, **answer})
    elif found.problems:
        *lines, count = told(folder, found.problems, found.more)
        for line in lines:
            say(line)
        say(count, "red")
    else:
        say(f"{folder} is valid in {', '.join(environments)}.", "green")
    if found.problems:
        raise typer.Exit(ExitCode.NO)


def plan(
    use_case: UseCaseArgument,
    kind: Annotated[Kind, typer.Option(help="pr, ci, cd, dataset or post_production.")] = "ci",
    environment: Annotated[str, typer.Option("--environment", "-e", help="Whose overlay applies.")] = "dev",
    variants: Annotated[str, typer.Option(help="`*` (every variant), `defaults`, or `variant,node.variant,…`.")] = "*",
    dataset: Annotated[
        str | None, typer.Option(help="For dataset and post_production: the dataset that would be uploaded.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The file that would be uploaded.", exists=True, dir_okay=False)
    ] = None,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="As if nothing of earlier chains could be reused.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a chain would run, reuse and cost, and whether that is within the use case's budget.

    Lines that earlier chains have run are found where this installation keeps its results. Tokens are estimated. The
    exit code is 1 for a chain that its budget refuses.
    """
    from genaiops.cli.plan import Asked, planned
    from genaiops.cli.plan_table import show
    from shared.chain.messages import ChainKind

    wired = wiring.ports_of_installation()
    configured = wired.settings if wired else wiring.settings()
    folder = wiring.use_case_folder(use_case, configured)
    asked = Asked(ChainKind(kind), environment, variants, dataset, file, fresh)
    result = planned(folder, asked, configured, wired)
    if as_json:
        print_json(result.as_json())
    else:
        show(result, asked)
    if result.over_budget:
        raise typer.Exit(ExitCode.NO)
