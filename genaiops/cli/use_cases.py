"""`validate` and `plan`: what is wrong with a use case folder, and what a chain would run. Neither runs anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.outcome import ExitCode
from genaiops.cli.output import print_json, print_table, say
from genaiops.cli.wiring import Kind

if TYPE_CHECKING:
    from shared.use_case.model import Problem

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
    environments = environment or _environments(folder)
    problems = _problems(folder, environments, configured.data)
    if as_json:
        listed = [
            {"file": _shown(folder, p.file), "line": p.line, "key": p.key, "message": p.message} for p in problems
        ]
        print_json({"valid": not problems, "environments": environments, "problems": listed})
    else:
        for problem in problems:
            say(f"{_shown(folder, problem.file)}:{problem.line}: {problem.key}: {problem.message}")
        if problems:
            say(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in {folder}", "red")
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
        f"{counts['runs']} runs with {counts['lines']} lines, {counts['evaluations']} evaluations with "
        f"{counts['evaluation_lines']} lines, {counts['model_calls']} model calls. Nothing was run."
    )


def _environments(folder: Path) -> list[str]:
    from shared.use_case.load import DEFAULT_ENVIRONMENT
    from shared.use_case.sources import overlays

    return sorted({DEFAULT_ENVIRONMENT, *overlays(folder)})


def _problems(folder: Path, environments: list[str], data: Path) -> list[Problem]:
    """Every problem in any of the environments, each once, by file and line."""
    from shared.use_case.load import load
    from shared.use_case.problems import InvalidUseCase

    found: dict[Problem, None] = {}
    for environment in environments:
        try:
            load(folder, environment, data=data)
        except InvalidUseCase as error:
            found.update(dict.fromkeys(error.problems))
    return sorted(found, key=lambda problem: (problem.file, problem.line))


def _shown(folder: Path, file: str) -> str:
    """The file's path as an editor can open it from here."""
    import os

    path = folder / file
    return os.path.relpath(path) if path.exists() else file
