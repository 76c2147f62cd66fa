"""Registering a file as a data asset, for datasets that belong to no use case folder, or to several of them.

The file is copied first and read whole: what was read is what is stored, under its content's hash, beside the datasets
that chains freeze. Known content is not registered again.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.datasets.facts import inspect
from shared.errors import Conflict
from shared.names import checked_asset
from shared.ports import Asset, AssetKind, NewAsset, Ports
from shared.use_case.opened import CONTAINER

SOURCE: Final = "source"
"""The tag with the file's name, whose ending tells the content's format."""
ROWS: Final = "rows"
REQUESTER: Final = "requester"


@dataclass(frozen=True)
class RegisteredFile:
    """The version that holds a file's content."""

    asset: Asset
    is_new: bool
    """Whether it was registered now; else the version had this content before, and keeps its description."""
    rows: int
    columns: tuple[str, ...]
    duplicates: int
    """Rows that are equal to an earlier one."""


def register_file(ports: Ports, name: str, file: Path, *, description: str = "", requester: str = "") -> RegisteredFile:
    """Register a dataset's file, if its content is new under this name.

    Raises:
        InvalidName: `name` is no asset's.
        Malformed: the file cannot be read: names the line. Nothing was stored.
    """
    checked_asset(name, "The data asset")
    with tempfile.TemporaryDirectory(prefix="genaiops-") as scratch:
        copy = Path(scratch) / "content"
        shutil.copyfile(file, copy)  # someone may write to the original between reading and storing it
        facts = inspect(copy, file.name)
        blob = f"datasets/{facts.content_hash}"
        with copy.open("rb") as stream, suppress(Conflict):  # the same content was stored before
            ports.blobs.write(CONTAINER, blob, stream, if_absent=True)
    asset, is_new = ports.registry.register(
        NewAsset(
            kind=AssetKind.DATA,
            name=name,
            content_hash=facts.content_hash,
            blob=f"{CONTAINER}/{blob}",
            description=description,
            tags={SOURCE: file.name, ROWS: str(facts.rows)} | ({REQUESTER: requester} if requester else {}),
        )
    )
    return RegisteredFile(asset, is_new, facts.rows, facts.columns, facts.duplicates)
