"""FlowRunner: runs flows; the engine behind it (prompt flow today) shows nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from shared.connections import Connection
from shared.results import LineRecord, RunRecord


@dataclass(frozen=True)
class RunSpec:
    """One run of a flow (standard or evaluation) over lines."""

    name: str
    """`<chain>-<cell>`, or `<chain>-<cell>-<evaluator>`: starting the same name again finds the run."""
    flow: Path
    """Folder of the flow, inside an unpacked bundle that nobody changes."""
    flow_digest: str
    """Content hash of the flow folder: runs of the same digest share a warm worker."""
    lines: Sequence[Mapping[str, object]] | Iterable[Mapping[str, object]]
    """The mapped inputs, one mapping a line, in order."""
    variants: Mapping[str, str] = field(default_factory=dict)
    """Node → variant; nodes not named use their default variant."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """`<node>.<input>`, `init.<argument>` or a model setting → value, set on top of the variant and `init.json`."""
    connections: Mapping[str, Connection] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the flow's process."""
    aggregate: bool = True
    """Run the flow's aggregation nodes over all completed lines, for metrics."""
    concurrency: int = 32
    """Lines in flight."""
    line_timeout_s: float = 120.0
    tolerated_failures: float = 0.0
    """Share of lines (0 to 1) that may fail before the run counts as failed."""
    on_progress: Callable[[int], None] | None = None
    """Told how many lines have ended: by a runner here as they end, by a cloud's when it learns; never raises."""
    line_numbers: Sequence[int] | None = None
    """What the lines are called in records and texts, from 0 and ascending; None: their position. An evaluation leaves
    lines of the run out that it evaluates, and calls the others as that run does."""

    flow_file: str = "flow.dag.yaml"
    """The file in `flow` that describes it; empty for an evaluator without a flow file."""
    package: str = ""
    """Name under which the flow's code may import `root`; empty: under none."""
    root: Path | None = None
    """Folder of the use case."""
    known_lines: Iterable[LineRecord] = ()
    """Lines that need not be run, in ascending order: the aggregation takes them in, the outcome leaves them out."""
    known_count: int = 0
    """How many those are: they count as completed where failures are tolerated."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """What a cloud run carries: chain, command, cell, evaluator, build. Run events name the command by them."""
    runtime: str | None = None
    """`runtime` of the use case: a named runtime or compute for cloud runs; None: serverless compute."""

    def numbered_lines(self) -> Iterator[tuple[int, Mapping[str, object]]]:
        """The lines with their numbers."""
        if self.line_numbers is None:
            return enumerate(self.lines)
        # The lines come first, so that they are read to their end: an error that waits there must not be missed.
        return ((number, line) for line, number in zip(self.lines, self.line_numbers, strict=True))


class RunStatus(StrEnum):
    """Where a run is."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class RunOutcome:
    """What is known of a run. `lines` is empty while it runs; each outcome's lines are read once.

    Lines and counts are those that were run; `known_lines` show in the metrics alone.
    """

    status: RunStatus
    record: RunRecord | None = None
    lines: Iterable[LineRecord] = ()


class FlowRunner(Protocol):
    """Runs flows. The engine behind it (prompt flow today) shows nowhere else."""

    def prepare(self, spec: RunSpec) -> None:
        """Learn that runs of this flow will come: a runner may load it meanwhile. Never waits, reads no lines, and
        raises nothing: what is wrong with the flow is told by `start`.
        """
        ...

    def start(self, spec: RunSpec) -> RunOutcome:
        """Start the run, or find the one of that name. A runner may wait for a short run's end; it never waits long.

        Raises:
            BusinessFailure: the flow cannot be run at all (does not load, a package is missing, its process died).
            Throttled, Transient: try again.
        """
        ...

    def look(self, name: str) -> RunOutcome:
        """Look at a run that was started.

        Raises:
            NotFound: the runner does not know it, or has lost it: start it.
            BusinessFailure, Throttled, Transient: as `start`, for a run that had no end to show. After the last two the
                run counts as lost.
        """
        ...

    def cancel(self, name: str) -> None:
        """Stop a run; one that has ended or does not exist is no error."""
        ...

    def ended_unnoticed(self) -> Iterable[Mapping[str, str]]:
        """Tags of runs that have ended and whose outcome nobody has fetched, some of them at a time: for a timer, since
        the event that says so may be lost. A runner whose runs tell nobody of their end has none.

        Raises:
            Throttled, Transient: ask again at the next turn.
        """
        ...
