"""What a run leaves behind: one record per line, one record per run, and where they lie in blob storage.

Layout in the container `results` (JSON Lines and JSON, UTF-8):

    <chain>/<cell>/lines.jsonl                         LineRecord per line, in line order
    <chain>/<cell>/run.json                            RunRecord; written last, so that its presence means "complete"
    <chain>/<cell>/progress.json                       {"lines": n}: lines ended so far, for whoever watches
    <chain>/<cell>/evaluations/<evaluator>/lines.jsonl   LineRecord per line: outputs are the line's scores
    <chain>/<cell>/evaluations/<evaluator>/run.json      RunRecord: metrics are the aggregated ones

While a run that reuses lines is under way, `reused.jsonl` and `reused.json` lie beside them: see
`shared/experimentation/reuse/`.

A cell is named `<index>` in five digits, then its label: see `shared/experimentation/matrix.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

CONTAINER = "results"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LineStatus(StrEnum):
    """How a line ended."""

    COMPLETED = "completed"
    FAILED = "failed"


class Tokens(_Record):
    """Model tokens, as the service counted them."""

    prompt: Annotated[int, Field(ge=0)] = 0
    completion: Annotated[int, Field(ge=0)] = 0

    @property
    def total(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt + self.completion

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(prompt=self.prompt + other.prompt, completion=self.completion + other.completion)


class Origin(_Record):
    """The run that a reused result comes from."""

    run: str
    """Its name."""
    ended_at: AwareDatetime
    lines: Annotated[int, Field(ge=0)] = 1
    """How many lines were taken from it."""


class LineRecord(_Record):
    """One line of a run."""

    line: Annotated[int, Field(ge=0)]
    """Position in the dataset, from 0."""
    status: LineStatus
    inputs: Mapping[str, object]
    """The mapped inputs that the flow was given."""
    outputs: Mapping[str, object] = Field(default_factory=dict)
    error: str = ""
    """For a failed line: what happened, without a traceback; at most 4,000 characters."""
    latency_ms: Annotated[float, Field(ge=0)] = 0.0
    tokens: Tokens = Tokens()
    attempts: Annotated[int, Field(ge=0)] = 1
    """How often the line was tried (429 and 5xx are retried)."""
    model_calls: Annotated[int, Field(ge=0)] = 0
    """Calls of models that the line made, without retries."""
    aggregated: Any = None
    """What the flow's aggregation reads of this line, as JSON; None where nothing is, or where it has no JSON form."""
    is_tied: bool = False
    """Whether the aggregation reads something without JSON form: only this run's could, so no other run takes the line.
    """
    origin: Origin | None = None
    """Set where the line was not run: its result was taken from an earlier run."""


class Latency(_Record):
    """Percentiles of the lines' latency, milliseconds."""

    p50_ms: float = 0.0
    p95_ms: float = 0.0
    max_ms: float = 0.0

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Latency:
        """The percentiles of these latencies; zeros where there are none."""
        if not milliseconds:
            return cls()
        ordered = sorted(milliseconds)
        median, high = (ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in (0.5, 0.95))
        return cls(p50_ms=round(median, 1), p95_ms=round(high, 1), max_ms=round(ordered[-1], 1))


class RunRecord(_Record):
    """One run of a flow or of an evaluator."""

    model_config = ConfigDict(ser_json_inf_nan="constants")  # an evaluator may log NaN: it must be read back as such

    name: str
    succeeded: bool
    reason: str = ""
    """Why it failed, or that lines failed within tolerance."""
    lines: Annotated[int, Field(ge=0)]
    failed_lines: Annotated[int, Field(ge=0)]
    metrics: Mapping[str, float] = Field(default_factory=dict)
    tokens: Tokens = Tokens()
    """Spent by this run: those of reused lines were spent before."""
    model_calls: Annotated[int, Field(ge=0)] = 0
    """Made by this run."""
    reused_lines: Annotated[int, Field(ge=0)] = 0
    origins: tuple[Origin, ...] = ()
    """The runs that reused lines come from, the newest first."""
    latency: Latency = Latency()
    retries: Annotated[int, Field(ge=0)] = 0
    started_at: AwareDatetime
    ended_at: AwareDatetime
    engine: str
    """What ran it, with its version: `promptflow 1.18.5`."""
    models: tuple[str, ...] = ()
    """The connections that it used, as people should read them: `aoai: stand-in model (rules, not an LLM)`."""


def cell_folder(chain: str, cell: str) -> str:
    """Where a cell's results lie."""
    return f"{chain}/{cell}"


def evaluation_folder(chain: str, cell: str, evaluator: str) -> str:
    """Where an evaluator's results on a cell lie."""
    return f"{chain}/{cell}/evaluations/{evaluator}"
