"""The file that a dataset's `source` means: in the use case, in `data/<use case>/`, or of a data asset.

Each is read once, however many blocks name it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.datasets.facts import DatasetFacts, inspect
from shared.datasets.read import rows
from shared.errors import BusinessFailure, Malformed
from shared.use_case.block import Block
from shared.use_case.sources import dataset_file, is_inside

Assets = Callable[[str, str], Path]
"""(the use case's name, a source `azureml:…`) → a local file of that data asset; raises BusinessFailure for none."""
ASSET: Final = "azureml:"
_ASSET: Final = re.compile(r"azureml:[A-Za-z0-9][A-Za-z0-9._-]{0,254}(:[A-Za-z0-9][A-Za-z0-9._-]{0,29})?")


@dataclass(frozen=True)
class DatasetFile:
    """What a `source` means."""

    path: Path | None = None
    """The file in the use case; None for a data asset."""
    readable: Path | None = None
    """The file whose columns are checked."""


class DatasetFiles:
    """The files of one use case's datasets."""

    def __init__(
        self, folder: Path, outside: Path | None, *, use_case: str, read_data: bool, assets: Assets | None
    ) -> None:
        self._folder = folder
        self._outside = outside
        self._use_case = use_case
        self._read_data = read_data
        self._assets = assets
        self._facts: dict[Path, DatasetFacts | None] = {}

    def facts(self, file: DatasetFile) -> DatasetFacts | None:
        """What is in a file; None where it cannot be read, or is not to be."""
        return self._facts.get(file.readable) if file.readable is not None else None

    def find(self, item: Block) -> DatasetFile:
        """What a block's `source` means, read to see whether it is well-formed."""
        source = item.text("source", required=True)
        if source is None:
            return DatasetFile()
        if source.startswith(ASSET):
            return self._asset(item, source)
        path = dataset_file(source, self._folder, self._outside)
        if path is None:
            places = ["the use case folder", "its data/", *([f"data/{self._outside.name}/"] if self._outside else [])]
            hint = "" if is_inside(source) else "; it must be a relative path without `..`"
            item.problem(f"there is no file {source!r} in {', '.join(places)}{hint}", "source")
            return DatasetFile()
        self._inspect(item, path, source)
        return DatasetFile(path, path)

    def _asset(self, item: Block, source: str) -> DatasetFile:
        """A data asset; its columns can be checked where `assets` gives a file of it."""
        if _ASSET.fullmatch(source) is None:
            form = "expected azureml:<name>:<version>, or azureml:<name> for the latest"
            item.problem(f"{source[:80]!r} names no data asset; {form} (letters, digits, `.`, `_`, `-`)", "source")
            return DatasetFile()
        if self._assets is None or not self._read_data:
            return DatasetFile()
        try:
            path = self._assets(self._use_case, source)
        except BusinessFailure as error:
            item.problem(str(error), "source")
            return DatasetFile()
        self._inspect(item, path, path.name)
        return DatasetFile(None, path)

    def _inspect(self, item: Block, path: Path, shown: str) -> None:
        """Read a file once."""
        if path not in self._facts:
            self._facts[path] = None
            try:
                self._facts[path] = inspect(path, shown) if self._read_data else None
            except Malformed as error:
                item.problem(str(error), "source")


def begins_with(path: Path | None, column: str) -> bool:
    """Whether the first row of a file has the column: what prompt flow goes by as well."""
    try:
        return path is not None and column in next(iter(rows(path, path.name)))
    except (Malformed, OSError):
        return False
