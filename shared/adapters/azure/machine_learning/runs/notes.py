"""What is written down of a run before it is submitted, so that anybody can make its record of what Azure ML left.

runs/<cloud name>.json        the note: it stays
runs/open/<cloud name>.json   there until the run's outcome was fetched: how a timer finds runs whose event was lost
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from shared.errors import NotFound
from shared.ports import BlobStore

CONTAINER: Final = "runs"
_OPEN: Final = "open/"


class RunNote(BaseModel):
    """A run as it was submitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """In our words."""
    data: str
    """Where its lines lie in the workspace's datastore."""
    lines: int
    """How many are run."""
    known_lines: int
    tolerated_failures: float
    is_dag: bool
    aggregations: tuple[str, ...] = ()
    """Aggregation nodes of a flow of nodes."""
    models: tuple[str, ...] = ()
    refused: Mapping[int, str] = {}
    """Lines that were never submitted, with the reason."""
    tags: Mapping[str, str] = {}


class RunNotes:
    """The notes of all runs."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def write(self, cloud: str, note: RunNote) -> None:
        """Write it down, and that the run is open; the note goes first: an open run always has one."""
        content = note.model_dump_json().encode()
        self._blobs.write(CONTAINER, f"{cloud}.json", content)
        self._blobs.write(CONTAINER, f"{_OPEN}{cloud}.json", content)

    def read(self, cloud: str) -> RunNote:
        """Raises NotFound."""
        return RunNote.model_validate_json(self._blobs.read(CONTAINER, f"{cloud}.json"))

    def close(self, cloud: str) -> None:
        """The run's outcome was fetched."""
        self._blobs.delete(CONTAINER, f"{_OPEN}{cloud}.json")

    def still_open(self) -> Iterator[str]:
        """Cloud names of the open runs."""
        for info in self._blobs.list(CONTAINER, _OPEN):
            yield info.name.removeprefix(_OPEN).removesuffix(".json")

    def opened(self, cloud: str) -> datetime | None:
        """Since when the run is open; None where it never was, or its outcome was fetched."""
        try:
            return self._blobs.info(CONTAINER, f"{_OPEN}{cloud}.json").last_modified
        except NotFound:
            return None

    def known(self, cloud: str) -> RunNote | None:
        """As `read`, or None."""
        try:
            return self.read(cloud)
        except NotFound:
            return None
