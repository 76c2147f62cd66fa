"""What a use case's `experiment.yaml` says, once it has been read, overlaid and validated.

The vocabulary is that of microsoft/genaiops-promptflow-template; the blocks `parameters`, `gates`, `approval`,
`deployment` and `reuse` are optional additions. `load.py` builds these values and finds every problem; from here on
nothing needs checking again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True)
class Dataset:
    """Rows for an experiment (mappings give the flow's inputs) or for an evaluator (they give the evaluator's)."""

    name: str
    source: str
    """As written: a path."""
    path: Path
    """The file that `source` resolved to."""
    description: str
    mappings: Mapping[str, object]
    """Input → `${data.column}`, `${run.outputs.name}` or a constant."""
    reference: str | None = None
    """For an evaluator: the experiment dataset whose run it evaluates, where this dataset holds the ground truth."""
    max_rows: int | None = None
    """Only the first so many rows are used (the `pr` overlay of a use case sets it)."""


@dataclass(frozen=True)
class Evaluator:
    """An evaluation flow and the datasets that it is run for."""

    name: str
    flow: Path
    datasets: tuple[Dataset, ...]
    """`dataset.reference or dataset.name` is the experiment dataset that each belongs to."""


@dataclass(frozen=True)
class Gate:
    """One condition on a metric. At least one of the three limits is set."""

    evaluator: str
    metric: str
    dataset: str | None = None
    """None: every dataset that the evaluator was run for."""
    at_least: float | None = None
    at_most: float | None = None
    max_drop: float | None = None
    """How far the metric may lie below the registered baseline's; without a baseline it holds."""


@dataclass(frozen=True)
class Gates:
    """The gates, and the metric that picks the candidate among the variants."""

    choose_by: tuple[str, str] | None = None
    """(evaluator, metric): the variant with the highest mean over datasets is the candidate. None: the default one."""
    checks: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class Approval:
    """Who approves a deployment."""

    approvers: tuple[str, ...] = ("approver",)
    timeout_minutes: float = 60
    reminder_minutes: float = 30


@dataclass(frozen=True)
class Deployment:
    """Where the flow is deployed, and how it is tested there."""

    endpoint: str
    traffic: int = 100
    """Percent for a new deployment once it is tested, where a former one exists; the first one always gets 100."""
    after_ci: bool = False
    """Whether a ci chain goes on with approval and deployment."""
    sample_request: Path | None = None
    """JSON body of the endpoint test."""
    expected_outputs: tuple[str, ...] = ()
    """Keys that an answer must have; empty: the flow's outputs."""
    max_latency_ms: float | None = None
    test_calls: int = 5
    """Calls of the integration test, through the traffic split."""


class Reuse(StrEnum):
    """What of earlier chains with the same content may be taken instead of being run again."""

    NONE = "none"
    RUNS = "runs"
    LINES = "lines"


@dataclass(frozen=True)
class UseCase:
    """A use case folder in one environment."""

    name: str
    folder: Path
    environment: str
    description: str
    flow: Path
    """The standard flow's folder."""
    datasets: tuple[Dataset, ...]
    evaluators: tuple[Evaluator, ...]
    connections: tuple[str, ...]
    parameters: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    """`<node>.<input>` → values to try, one at a time; the first value is the default."""
    gates: Gates = Gates()
    approval: Approval = Approval()
    deployment: Deployment | None = None
    runtime: str | None = None
    reuse: Reuse = Reuse.NONE
    tolerated_failures: float = 0.0
    concurrency: int = 32
    line_timeout_s: float = 120.0

    def evaluators_of(self, dataset: str) -> tuple[str, ...]:
        """Names of the evaluators that evaluate runs on this experiment dataset."""
        return tuple(e.name for e in self.evaluators if any((d.reference or d.name) == dataset for d in e.datasets))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a use case folder."""

    file: str
    line: int
    """From 1; 0 where the whole file is meant."""
    key: str
    message: str
    """What was found, what was expected, and what to do."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"
