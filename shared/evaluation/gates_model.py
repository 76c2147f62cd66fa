"""What the gates found, as stored in `chains/<chain>/gates.json`: every limit beside the value it was held against.

The gates' check writes it; the report, the approval page and the registration read it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from shared.chain_store import CONTAINER
from shared.errors import NotFound
from shared.evaluation.spread import Spread
from shared.names import Name
from shared.ports import BlobStore


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GateResult(_Record):
    """One gate on one dataset for one choice of variants and parameters."""

    evaluator: Name
    metric: str
    dataset: Name
    """The experiment dataset."""
    label: str
    """The choice, as `Cell.label` says it."""
    value: float | None
    """The mean of its repetitions; None: no run gave this metric, so that the gate is missed."""
    spread: Spread | None = None
    """How far the repetitions lie apart, where there are several."""
    repetitions_planned: int = 1
    """How many there should be: fewer in `spread` means that some failed."""
    limit: str
    """As people read it: `at least 0.8`, `at most 0.02 below the baseline`."""
    baseline: float | None = None
    """The registered version's value on the same dataset, where there is one."""
    lower_is_better: bool = False
    """Whether the gate caps the metric (`at most`), so that the report marks the lowest value as the best."""
    passed: bool
    is_candidate: bool


class Baseline(_Record):
    """What the registered version was worth when the gates were checked: its tags change as later chains measure it."""

    name: str
    version: str
    label: str = ""
    """The choice of variants and parameters that it runs with."""
    chain: str = ""
    """The chain that measured it last."""
    branch: str = ""
    """From which it was registered."""
    commit: str = ""
    metrics: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    """Experiment dataset → `<evaluator>.<metric>` → value."""
    datasets: Mapping[str, str] = Field(default_factory=dict)
    """Dataset → digest of the content that it was measured on."""


class GatesDocument(_Record):
    """The candidate, why it was chosen, every gate, and the baseline."""

    candidate_label: str | None
    """None: no choice had complete runs."""
    choose_by: tuple[str, str] | None = None
    """(evaluator, metric) by which the candidate was chosen; None: the default choice is the candidate."""
    results: tuple[GateResult, ...] = ()
    regressions: tuple[str, ...] = ()
    """Sentences: where the candidate is worse than the registered baseline."""
    baseline: Baseline | None = None
    """The registered version that the metrics were held against; None where there was none yet."""


def gates_blob(chain_id: str) -> str:
    """Name of the document in the container `chains`."""
    return f"{chain_id}/gates.json"


def write_gates(blobs: BlobStore, chain_id: str, document: GatesDocument) -> None:
    """Store what the gates found; writing it again replaces it."""
    blobs.write(CONTAINER, gates_blob(chain_id), document.model_dump_json().encode())


def read_gates(blobs: BlobStore, chain_id: str) -> GatesDocument | None:
    """What the gates found; None for a chain whose gates were not checked."""
    try:
        return GatesDocument.model_validate_json(blobs.read(CONTAINER, gates_blob(chain_id)))
    except NotFound:
        return None
