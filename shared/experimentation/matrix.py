"""The run matrix: which cells (dataset × variant × parameters) a chain runs, named by what they are. Pure.

`prepare` builds it once, stores it as `chains/<chain>/prepared.json`, and from then on a command names a cell by its
index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from shared.assets import AssetRef
from shared.names import Name, Sha256
from shared.use_case.model import Reuse

NOTHING: Final = "0" * 64
"""The digest of what has no content of its own, such as a log."""


class Cell(BaseModel):
    """One run of the standard flow: one dataset with one choice of variants and parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: Annotated[int, Field(ge=0)]
    dataset: Name
    label: str
    """The choice as people read it: `default`, `classify.terse`, `classify.temperature=0.7`; alike on every dataset."""
    is_default: bool
    variants: Mapping[str, str]
    """Node → variant, complete: every node with variants is named."""
    parameters: Mapping[str, object]
    """`<node>.<input>` → value, complete: every parameter is named."""
    digest: Sha256
    """Of the configuration, dataset content, mappings and repetition: equal digests are the same run."""
    configuration: Sha256 = NOTHING
    """Of everything but the inputs that a line's result follows from: flow content with variants and parameters
    applied, connections and models, environment variables, repetition. Lines with equal inputs under it are the same.
    """
    repetition: Annotated[int, Field(ge=0)] = 0
    """From 0; beyond that, the same run once more, for a spread."""

    @property
    def name(self) -> str:
        """Names the cell's folder and, behind the chain id, its run."""
        return f"{self.index:05d}-{self.dataset}-{self.digest[:8]}"


class PreparedDataset(BaseModel):
    """A dataset as the chain uses it: frozen by content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    container: str
    blob: str
    """Where its bytes lie: named by content in the container `bundles`, or the upload in `datasets`."""
    content_hash: Sha256
    rows: Annotated[int, Field(ge=0)]
    """Rows used (after `max_rows`)."""
    source: str
    """The file's name or path as people know it; its ending tells the format."""
    description: str = ""
    mappings: Mapping[str, object] = Field(default_factory=dict)
    """For an experiment dataset: flow input → mapping, complete."""


class PreparedEvaluator(BaseModel):
    """An evaluator on one experiment dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluator: Name
    experiment_dataset: Name
    truth_dataset: Name
    """The PreparedDataset that `${data.…}` reads: the experiment dataset itself, or the one with ground truth."""
    mappings: Mapping[str, object]
    flow_digest: Sha256
    configuration: Sha256 = NOTHING
    """As a cell's."""


class PreparedChain(BaseModel):
    """What a chain runs, frozen: `chains/<chain>/prepared.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: Name
    environment: Name
    bundle: Sha256
    """Digest of the zipped use case folder in the container `bundles`: all code of the chain comes from there."""
    flow_digest: Sha256
    """Content hash of the standard flow's files, and of those that it shares with others."""
    datasets: tuple[PreparedDataset, ...]
    """Experiment datasets, then truth datasets, then (post_production) logs."""
    cells: tuple[Cell, ...]
    evaluators: tuple[PreparedEvaluator, ...]
    models: tuple[str, ...]
    """The connections as people read them."""
    notes: tuple[str, ...] = ()
    """For the chain's log: duplicate rows, evaluators that are left out."""
    flow: AssetRef | None = None
    """Only for kind cd: the registered version that is to be deployed."""
    reuse: Reuse = Reuse.NONE
    """What of earlier chains is taken: as the use case says, or nothing if the request asks for fresh runs."""
    baseline: AssetRef | None = None
    """The registered version when the chain was prepared: what its metrics are held against."""

    def dataset(self, name: str) -> PreparedDataset:
        """The dataset of that name. Raises KeyError."""
        return next(d for d in self.datasets if d.name == name)

    def evaluators_of(self, dataset: str) -> tuple[PreparedEvaluator, ...]:
        """The evaluators that evaluate runs on this experiment dataset."""
        return tuple(e for e in self.evaluators if e.experiment_dataset == dataset)

    def sharing(self, configuration: str) -> int:
        """How many runs, of cells or of evaluators, the chain has under this configuration."""
        return self._sharing[configuration]

    @cached_property
    def _sharing(self) -> Counter[str]:
        # Every run asks for it: counted once, or a chain's cost would grow with the square of its cells.
        runs = Counter(cell.configuration for cell in self.cells)
        by_dataset = Counter(cell.dataset for cell in self.cells)
        graded = {(e.configuration, e.experiment_dataset) for e in self.evaluators}
        for configuration, dataset in graded:
            runs[configuration] += by_dataset[dataset]
        return runs
