"""How far a chain is, read from its state and from what its runs leave behind: steps, runs, evaluations, lines.

A run's `run.json` is written last: its presence means that all its lines are done. Before it, the run notes how many.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genaiops.cli.outcome import TimedOut
from genaiops.cli.output import duration, first_line, plural
from shared import chain_store, result_store, results
from shared.errors import NotFound
from shared.experimentation.progress import FILE, lines_ended

if TYPE_CHECKING:
    from shared.chain.state import Chain, LogEntry
    from shared.experimentation.matrix import PreparedChain
    from shared.ports import Ports

INTERVAL = 0.25
"""Seconds between two looks, if a look takes little."""
SHARE = 4
"""A look at many runs takes a while: the next one waits so many times as long."""
LONGEST = 5.0
"""Seconds between two looks, however long a look takes."""


@dataclass(frozen=True)
class Snapshot:
    """A chain at one moment."""

    chain: Chain
    log: tuple[LogEntry, ...]
    """Log lines that are new since the snapshot before."""
    lines_done: int = 0
    lines: int = 0
    """Lines of all runs; 0 before the preparation."""
    lines_reused: int = 0
    """Those of ended runs that were taken from earlier chains."""
    stand_in: bool = False
    """Whether the stand-in model answered in those runs, or answers for a connection of the use case."""

    @property
    def runs_done(self) -> int:
        """Runs that ended, well or not."""
        return self.chain.progress.runs_completed + self.chain.progress.runs_failed

    @property
    def evaluations_done(self) -> int:
        """Evaluations that ended, well or not."""
        return self.chain.progress.evaluations_completed + self.chain.progress.evaluations_failed

    def sentence(self) -> str:
        """`3 of 12 runs, 120 of 480 lines, 4 of 6 evaluations`; empty before there are runs."""
        progress = self.chain.progress
        if not progress.cells:
            return ""
        failed = f" ({progress.runs_failed} failed)" if progress.runs_failed else ""
        parts = [f"{self.runs_done} of {plural(progress.cells, 'run')}{failed}"]
        if self.lines:
            reused = f" ({self.lines_reused} reused)" if self.lines_reused else ""
            parts.append(f"{self.lines_done} of {plural(self.lines, 'line')}{reused}")
        if progress.evaluations_started:
            parts.append(f"{self.evaluations_done} of {plural(progress.evaluations_started, 'evaluation')}")
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        chain = self.chain
        return {
            "chain": chain.id,
            "status": chain.status,
            "reason": chain.reason,
            "step": chain.step.step if chain.step else None,
            "steps": [step.model_dump(mode="json") for step in chain.steps],
            "runs": {"done": self.runs_done, "failed": chain.progress.runs_failed, "planned": chain.progress.cells},
            "lines": {"done": self.lines_done, "planned": self.lines, "reused": self.lines_reused},
            "evaluations": {"done": self.evaluations_done, "started": chain.progress.evaluations_started},
            "report": chain.report,
            "log": [entry.model_dump(mode="json") for entry in self.log],
        }


def rows_of_steps(chain: Chain) -> list[tuple[str, str, str, str]]:
    """Step, status, time and detail, as tables show them."""
    return [
        (
            step.step.replace("_", " "),
            step.status,
            duration(step.started_at, step.ended_at or (chain.updated_at if step.started_at else None)),
            first_line(step.detail),
        )
        for step in chain.steps
    ]


class Lines:
    """Counts the lines that are done: those of runs that have ended, and those noted of runs under way."""

    def __init__(self, ports: Ports, chain: str) -> None:
        self._ports = ports
        self._chain = chain
        self._prepared: PreparedChain | None = None
        self._ended: set[str] = set()
        """Cells whose run has ended: they are not looked at again."""
        self.reused = 0
        """Lines of those runs that were taken from earlier chains."""
        self.stand_in = False
        """Whether the stand-in model answered in those runs, or answers for a connection of the use case."""

    def count(self, chain: Chain) -> tuple[int, int]:
        """Lines done, lines planned."""
        prepared = self._read_prepared(chain)
        if prepared is None:
            return 0, 0
        rows = {cell.name: prepared.dataset(cell.dataset).rows for cell in prepared.cells}
        if len(self._ended) < len(rows):
            return self._look(rows), sum(rows.values())
        return sum(rows.values()), sum(rows.values())

    def _look(self, rows: dict[str, int]) -> int:
        names = (info.name.split("/") for info in self._ports.blobs.list(results.CONTAINER, f"{self._chain}/"))
        files = {(parts[1], parts[2]) for parts in names if len(parts) == 3 and parts[1] in rows}
        for cell in {cell for cell, file in files if file == "run.json"} - self._ended:
            record = result_store.record(self._ports.blobs, results.cell_folder(self._chain, cell))
            self.reused += record.reused_lines if record else 0
            self.stand_in |= record is not None and _names_stand_in(record.models)
            self._ended.add(cell)
        under_way = {cell for cell, file in files if file == FILE} - self._ended
        noted = (lines_ended(self._ports.blobs, results.cell_folder(self._chain, cell)) for cell in under_way)
        return sum(rows[cell] for cell in self._ended) + sum(noted)

    def _read_prepared(self, chain: Chain) -> PreparedChain | None:
        if self._prepared is None and chain.progress.cells:
            try:
                self._prepared = chain_store.read_prepared(self._ports.blobs, self._chain)
            except NotFound:
                return None
            self.stand_in |= _names_stand_in(self._prepared.models)
        return self._prepared


def _names_stand_in(models: Iterable[str]) -> bool:
    return any("stand-in" in model for model in models)


def follow(
    ports: Ports, identifier: str, *, timeout: float | None, patience: float, counts: bool = True
) -> Iterator[Snapshot]:
    """The chain each time that it has changed; the last snapshot is final. `counts`: whether its lines are counted.

    Raises:
        TimedOut: the chain has not begun within `patience` seconds, or has not ended within `timeout` seconds.
    """
    begun = time.monotonic()
    lines = Lines(ports, identifier)
    etag_before, logged, done_before = "", 0, 0
    while True:
        looked_at = time.monotonic()
        waited = looked_at - begun
        try:
            chain, etag = chain_store.load(ports.blobs, identifier)
        except NotFound:
            if waited >= patience:
                raise TimedOut(
                    f"Nobody has taken the request for {identifier} within {patience:g} s. Is the host running? "
                    "`python -m genaiops start` runs it here; `dead-letters list` shows what was refused."
                ) from None
            time.sleep(INTERVAL)
            continue
        done, planned = lines.count(chain) if counts else (0, 0)
        taken = time.monotonic() - looked_at
        if etag != etag_before or done != done_before:
            entries = tuple(entry for entry in chain_store.read_log(ports.blobs, identifier) if entry.number > logged)
            logged = entries[-1].number if entries else logged
            yield Snapshot(chain, entries, done, planned, lines.reused, lines.stand_in)
            etag_before, done_before = etag, done
            if chain.status.is_final and not chain.journal:  # the last lines of the log are appended after the write
                return
        if timeout is not None and waited >= timeout:
            raise TimedOut(f"The chain {identifier} has not ended within {timeout:g} s; it is {chain.status}.")
        time.sleep(max(INTERVAL, min(SHARE * taken, LONGEST)))
