"""The command line's root: registers every command, and turns errors into one line and an exit code."""

from __future__ import annotations

import io
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from genaiops.cli import (
    assets,
    dead_letters,
    decisions,
    docs,
    follow,
    host,
    image,
    manifests,
    new,
    reports,
    submit,
    use_cases,
)
from genaiops.cli.outcome import MEANING, ExitCode, exit_code_of
from genaiops.cli.output import complain

EPILOG = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANING.items()) + "."


class _Commands(TyperGroup):
    """Errors raised on purpose end a command with one line; a traceback only comes with --debug."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            complain("Interrupted.")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except Exception as error:
            if type(error).__module__.startswith(("typer.", "click.")) or isinstance(error, BrokenPipeError):
                raise  # usage errors, exits and `| head`: typer's own business
            if ctx.params.get("debug"):
                traceback.print_exc()
            code = exit_code_of(error)
            unexpected = f"Unexpected {type(error).__name__}: " if code is ExitCode.BUG else ""
            hint = " (--debug shows where)" if code is ExitCode.BUG else ""
            complain(f"{unexpected}{error}{hint}")
            raise typer.Exit(code) from error


app = typer.Typer(
    name="genaiops",
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option("--debug", envvar="GENAIOPS_DEBUG", help="Show tracebacks.")] = False,
) -> None:
    """Chains for prompt flow: experiments, evaluation, approval and deployment, driven by messages."""
    del debug  # read by _Commands from the context


for module in (host, submit, follow, decisions, reports, new, use_cases, image, manifests, assets, dead_letters, docs):
    module.register(app)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows `?` instead of failing
    app(prog_name="python -m genaiops")
