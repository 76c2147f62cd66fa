"""The datasets of a chain while it is put together: each read once, named by its content, checked where it is new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.datasets.facts import DatasetFacts, inspect
from shared.datasets.mapping import Origin, reference
from shared.errors import BusinessFailure
from shared.experimentation.matrix import PreparedDataset
from shared.use_case.data import used_rows
from shared.use_case.model import Dataset

BUNDLES: Final = "bundles"


@dataclass(frozen=True)
class Upload:
    """A dataset that comes from outside the use case: an upload, or a production log."""

    name: str
    path: Path
    """A copy of the blob, to read, under the file's own name: its ending tells the format."""
    container: str
    blob: str
    """Where it is frozen: the blob that the chain reads from now on."""


FetchAsset = Callable[[Dataset], Upload]
"""Fetches a dataset that is a data asset. Raises BusinessFailure where there is no such asset."""


class FrozenDatasets:
    """Collects the datasets of one chain. A name means one file in all of them: `load` saw to that."""

    def __init__(self, upload: Upload | None = None, fetch: FetchAsset | None = None) -> None:
        self.upload = upload
        self.fetch = fetch
        self.prepared: dict[str, PreparedDataset] = {}
        self.facts: dict[str, DatasetFacts] = {}
        self.freeze: dict[str, Path] = {}
        """Blob in the container `bundles` → the file with its content."""
        self.local: dict[str, Path] = {}
        """Dataset → the file that its rows can be read from now."""
        self.notes: list[str] = []

    def add(self, dataset: Dataset, mappings: Mapping[str, object]) -> PreparedDataset:
        """Freeze a dataset, or its upload; `mappings` are those to the flow, for an experiment dataset.

        Raises:
            BusinessFailure: the upload lacks a mapped column.
            Malformed: the file cannot be read: names the line.
        """
        if dataset.name in self.prepared:
            return self.prepared[dataset.name]
        upload = self.upload if self.upload is not None and self.upload.name == dataset.name else None
        if dataset.path is None and upload is None:
            if self.fetch is None:
                raise BusinessFailure(f"{dataset.name} is the data asset {dataset.source}, and there are none here.")
            upload = self.fetch(dataset)
        path = upload.path if upload else dataset.path
        assert path is not None  # a dataset without a file is an asset, which was fetched
        source = upload.path.name if upload else dataset.source
        facts = inspect(path, source)
        prepared = PreparedDataset(
            name=dataset.name,
            container=upload.container if upload else BUNDLES,
            blob=upload.blob if upload else f"datasets/{facts.content_hash}",
            content_hash=facts.content_hash,
            rows=used_rows(dataset, facts),
            source=source,
            description=dataset.description,
            mappings=mappings,
        )
        if not upload:
            self.freeze[prepared.blob] = path
        if facts.duplicates:
            self.notes.append(
                f"{dataset.name} ({source}): {facts.duplicates} of {facts.rows} rows repeat earlier ones."
            )
        self.local[dataset.name] = path
        self.prepared[dataset.name] = prepared
        self.facts[dataset.name] = facts
        self.check_columns(dataset.name, mappings)
        return prepared

    def check_columns(self, name: str, mappings: Mapping[str, object]) -> None:
        """Every used row has the columns that these mappings read.

        Raises:
            BusinessFailure: names the column, and the line where only some rows lack it.
        """
        facts, prepared = self.facts[name], self.prepared[name]
        for mapping in mappings.values():
            found = reference(mapping)
            if found is None or found.origin is not Origin.DATA:
                continue
            if found.name not in facts.columns:
                there = ", ".join(facts.columns[:20])
                raise BusinessFailure(
                    f"{prepared.source} has no column {found.name!r}, which the mapping {mapping} of the dataset "
                    f"{name} needs; it has: {there}."
                )
            if gap := facts.gap(found.name, prepared.rows):
                raise BusinessFailure(
                    f"{prepared.source}, line {gap.line}: has no {found.name!r}, which the mapping {mapping} needs."
                )

    def check_rows(self, truth: str, experiment: str) -> None:
        """Row i of the truth belongs to row i of the experiment dataset. Raises BusinessFailure where rows lack."""
        rows, wanted = self.prepared[truth].rows, self.prepared[experiment].rows
        if rows < wanted:
            raise BusinessFailure(
                f"{truth} has {rows} rows for the {wanted} of {experiment}: line i of a run is evaluated with row i. "
                f"Upload {truth} with as many rows first."
            )
