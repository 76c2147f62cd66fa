"""`validate` and `plan`: what is wrong with a use case folder, and what a chain would run. Neither runs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.checking import environments_of, problems_of, shown, told
from genaiops.cli.outcome import ExitCode
from genaiops.cli.output import plural, print_json, print_table, say
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
    as_json: JsonOption = False,
) -> None:
    """Check a use case folder; every problem is named with file and line."""
    configured = wiring.settings()
    folder = wiring.use_case_folder(use_case, configured)
    environments = environment or environments_of(folder)
    problems, more = problems_of(folder, environments, configured.data)
    if as_json:
        listed = [{"file": shown(folder, p.file), "line": p.line, "key": p.key, "message": p.message} for p in problems]
        print_json({"valid": not problems, "environments": environments, "problems": listed, "more": more})
    elif problems:
        *lines, count = told(folder, problems, more)
        for line in lines:
            say(line)
        say(count, "red")
    else:
        say(f"{folder} is valid in {', '.join(environments)}.", "green")
    if problems:
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
    as_json: JsonOption = False,
) -> None:
    """Show what a chain would run, with counts of runs, evaluations, lines and model calls."""
    from genaiops.cli.plan import Asked, planned
    from shared.chain.messages import ChainKind

    configured = wiring.settings()
    folder = wiring.use_case_folder(use_case, configured)
    result = planned(folder, Asked(ChainKind(kind), environment, variants, dataset, file), configured)
    if as_json:
        print_json(result.as_json())
        return
    say(f"A {kind} chain of {result.use_case} ({environment}) walks: {', '.join(result.steps)}.")
    counts = result.counts()
    if result.plan is not None:
        rows = (
            (r.cell.dataset, r.cell.label, r.lines, r.model_calls, ", ".join(e.evaluator for e in r.evaluations))
            for r in result.plan.runs
        )
        print_table(("dataset", "variants and parameters", "lines", "model calls", "evaluators"), rows)
    say(
        f"{plural(counts['runs'], 'run')} with {plural(counts['lines'], 'line')}, "
        f"{plural(counts['evaluations'], 'evaluation')} with {plural(counts['evaluation_lines'], 'line')}, "
        f"{plural(counts['model_calls'], 'model call')}. Nothing was run."
    )
