"""`start` keeps the functions up on this machine; `demo` shows one whole chain and ends."""

from __future__ import annotations

from typing import Annotated

import typer

from genaiops.cli.output import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(start)
    app.command()(demo)


def start(
    *,
    port: Annotated[
        int | None, typer.Option(help="Port of the functions and the dashboard (default: GENAIOPS_HTTP_PORT or 7071).")
    ] = None,
    bus: Annotated[
        str | None,
        typer.Option(
            help="Take the queues from this Service Bus namespace or emulator: host name, or connection string "
            "(default: GENAIOPS_BUS, else queues of its own)."
        ),
    ] = None,
) -> None:
    """Run the functions, the dashboard and the endpoints on this machine until Ctrl-C or SIGTERM."""
    import os

    from genaiops.embedded import run_until_stopped
    from shared import settings

    if port is not None:
        os.environ["GENAIOPS_HTTP_PORT"] = str(port)
    if bus is not None:
        os.environ["GENAIOPS_BUS"] = bus
    run_until_stopped(settings.read(), say)


def demo(
    *,
    interactive: Annotated[bool, typer.Option("--interactive", help="Wait for you to approve on the page.")] = False,
) -> None:
    """Show one whole chain on real input: experiments, report, approval, deployment, re-evaluation."""
    from genaiops.demo import run

    raise typer.Exit(int(run(interactive=interactive)))
