"""`status` shows where chains are; `watch` stays with one until it has ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.outcome import exit_code_for
from genaiops.cli.output import (
    STYLES,
    console,
    duration,
    first_line,
    print_json,
    print_json_line,
    print_table,
    say,
    table,
    when,
)  # fmt: skip
from shared.visible import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from genaiops.cli.progress import Snapshot
    from shared.chain.state import Chain, LogEntry
    from shared.ports import Ports

BAR = 60
"""Columns of the bar that shows how many lines are done."""
STAND_IN_ANSWERED = (
    "The stand-in model answered (rules, not an LLM): the scores say nothing about a real model, and its answers to "
    "prompts that it does not know make little sense. A connection in .env or the environment asks a real one."
)
SHOWN_TROUBLES = 5
"""Warnings and errors under the steps: the last ones."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(watch)


def status(
    chain: Annotated[
        str | None, typer.Argument(metavar="[CHAIN]", help="A chain's id; none: the chains that changed last.")
    ] = None,
    *,
    limit: Annotated[int, typer.Option(help="At most so many chains.", min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show one chain with its steps, or the chains that changed last."""
    from shared import chain_store

    wired = wiring.ports()
    if chain is not None:
        one = wiring.chain_named(wired, chain)
        print_json(one.model_dump(mode="json")) if as_json else _show(wired, one)
        return
    chains = chain_store.recent(wired.blobs, limit)
    if as_json:
        print_json([each.model_dump(mode="json") for each in chains])
    elif not chains:
        say("There are no chains yet. `python -m genaiops submit <use case>` asks for one.")
    else:
        rows = (
            (c.id, c.request.kind, _words(c.status), _step(c), when(c.created_at), _time(c), first_line(c.reason))
            for c in chains
        )
        print_table(("chain", "kind", "status", "step", "created", "time", "reason"), rows)


def watch(
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="The chain's id; it need not have begun yet.")],
    *,
    timeout: Annotated[float | None, typer.Option(help="Seconds until the command gives up (default: never).")] = None,
    patience: Annotated[float, typer.Option(help="Seconds to wait until the chain begins.")] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Follow a chain until it has ended: steps, runs, lines done. The exit code is the chain's outcome."""
    from shared.errors import NotFound

    wired = wiring.ports()
    try:
        identifier = wiring.chain_named(wired, chain).id
    except NotFound:
        identifier = chain  # it may be on its way
    raise typer.Exit(show_until_end(wired, identifier, timeout=timeout, patience=patience, as_json=as_json))


def show_until_end(
    ports: Ports, identifier: str, *, timeout: float | None, patience: float, as_json: bool, counts: bool = True
) -> int:
    """Follow the chain on the terminal; returns the exit code. Raises TimedOut.

    Without `counts`, nothing but the container of the chains is read.
    """
    from genaiops.cli.progress import follow

    snapshots = follow(ports, identifier, timeout=timeout, patience=patience, counts=counts)
    once = _Once()
    if as_json:
        last = None
        for last in snapshots:
            print_json_line(last.as_json())
    elif sys.stdout.isatty():
        last = _live(snapshots)
    else:
        last = _lines(snapshots, once)
    assert last is not None  # follow() ends only after a final snapshot
    if not as_json:
        chain = last.chain
        say(
            f"{chain.id} ended as {chain.status} after {_time(chain)}. {once(chain.reason)}".rstrip(),
            STYLES.get(chain.status),
        )
        if chain.report:
            say(f"  report:     {_report_address(ports, chain)}")
        if last.stand_in:
            say(STAND_IN_ANSWERED, "yellow")
    return exit_code_for(last.chain.status)


class _Once:
    """Texts of several lines, such as the problems of a use case: what follows their first line is printed once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text, or its first line where the others were printed before."""
        rest = text.partition("\n")[2]
        if rest in self._said:
            return first_line(text)
        if rest:
            self._said.add(rest)
        return text


def _live(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    from rich.live import Live

    last = None
    troubles: list[LogEntry] = []
    with Live(console=console(), refresh_per_second=8) as live:
        for last in snapshots:
            troubles.extend(entry for entry in last.log if entry.level != "info")
            live.update(_picture(last, troubles[-SHOWN_TROUBLES:]))
    return last


def _lines(snapshots: Iterable[Snapshot], once: _Once) -> Snapshot | None:
    """For a pipe or a build's log: log lines as they come, and the counts whenever they have changed."""
    last, said, asked = None, "", False
    for last in snapshots:
        # Of a chain that has ended, the last entry says so: the counts go before it.
        end = len(last.log) - 1 if last.chain.status.is_final else len(last.log)
        for entry in last.log[:end]:
            _say_entry(entry, once)
        if (sentence := last.sentence()) and sentence != said:
            said = sentence
            say(f"{last.chain.updated_at:%H:%M:%S} {sentence}")
        for entry in last.log[end:]:
            _say_entry(entry, once)
        if not asked and (hint := _approval_hint(last.chain)):
            asked = True
            say(hint, "yellow")
        sys.stdout.flush()
    return last


def _say_entry(entry: LogEntry, once: _Once) -> None:
    say(f"{entry.at:%H:%M:%S} {once(entry.text)}", STYLES.get(entry.level))


def _picture(snapshot: Snapshot, troubles: list[LogEntry]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from genaiops.cli.progress import rows_of_steps

    chain = snapshot.chain
    parts: list[RenderableType] = [
        Text.assemble((chain.id, "bold"), "  ", (_words(chain.status), STYLES.get(chain.status, "")))
    ]
    parts.append(table(("step", "status", "time", ""), rows_of_steps(chain)))
    if snapshot.lines:
        done = round(BAR * snapshot.lines_done / snapshot.lines)
        parts.append(Text.assemble(("━" * done, "green"), ("━" * (BAR - done), "dim")))
    parts.extend(Text(for_terminal(first_line(entry.text)), style=STYLES[entry.level]) for entry in troubles)
    parts.extend(Text(for_terminal(text)) for text in (snapshot.sentence(), _approval_hint(chain)) if text)
    return Group(*parts)


def _show(ports: Ports, chain: Chain) -> None:
    from genaiops.cli.progress import Lines, Snapshot, rows_of_steps

    request, lines = chain.request, Lines(ports, chain.id)
    done, planned = lines.count(chain)
    say(f"{chain.id}  {_words(chain.status)}", STYLES.get(chain.status))
    if chain.reason:
        say(chain.reason)
    facts = (
        ("use case", f"{request.use_case} ({request.environment})"),
        ("requested", f"{when(chain.created_at)}{f' by {request.requester}' if request.requester else ''}"),
        ("commit", request.commit),
        ("progress", Snapshot(chain, (), done, planned, lines.reused).sentence()),
        ("reuse", "none: fresh runs were asked for" if request.fresh else None),
        ("candidate", chain.candidate.label if chain.candidate else None),
        ("data", ", ".join(f"{asset.name} version {asset.version}" for asset in chain.data)),
        ("flow", f"{chain.flow.name} version {chain.flow.version}" if chain.flow else None),
        ("approval", _approval(chain)),
        ("deployment", _deployment(chain)),
        ("report", _report_address(ports, chain) if chain.report else None),
    )
    for name, value in facts:
        if value:
            say(f"{name:<12}{value}")
    print_table(("step", "status", "time", ""), rows_of_steps(chain))
    for sentence in (*chain.missed_gates, *chain.regressions):
        say(sentence, "red")
    if hint := _approval_hint(chain):
        say(hint, "yellow")


def _report_address(ports: Ports, chain: Chain) -> str:
    return f"{ports.settings.functions_url}/api/chains/{chain.id}/files/report.html"


def _approval(chain: Chain) -> str | None:
    approval = chain.approval
    if approval is None:
        return None
    if approval.verdict is None:
        so_far = f"{len(approval.given)} of {approval.required} approvals; " if approval.required > 1 else ""
        return f"{so_far}asked {', '.join(approval.approvers)}, until {when(approval.deadline)}"
    said = f": {approval.comment}" if approval.comment else ""
    return f"{approval.verdict} by {approval.decided_by} at {when(approval.decided_at)}{said}"


def _deployment(chain: Chain) -> str | None:
    deployed = chain.deployment
    if deployed is None:
        return None
    split = ", ".join(f"{name} {percent} %" for name, percent in (deployed.traffic or {}).items())
    return f"{deployed.deployment} on {deployed.endpoint} (traffic: {split or 'none'})"


def _approval_hint(chain: Chain) -> str:
    approval = chain.approval
    if approval is None or approval.verdict is not None or chain.status.is_final:
        return ""
    return (
        f"Waits for approval by {' or '.join(approval.approvers)} until {when(approval.deadline)}: "
        f"python -m genaiops approve {chain.id}"
        + (f" --as {approval.approvers[0]}" if len(approval.approvers) > 1 else "")
    )


def _words(status: str) -> str:
    return status.replace("_", " ")


def _step(chain: Chain) -> str:
    return _words(chain.step.step) if chain.step else ""


def _time(chain: Chain) -> str:
    return duration(chain.created_at, chain.ended_at or chain.updated_at)
