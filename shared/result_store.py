"""Results in blob storage: lines are streamed in and out, and a run's record is written last.

So a record that is there speaks of complete lines, and a crash in between leaves lines that the repeated run replaces.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator

from shared.errors import NotFound
from shared.ports import BlobStore
from shared.results import CONTAINER, LineRecord, RunRecord


def write(blobs: BlobStore, folder: str, record: RunRecord, lines: Iterable[LineRecord]) -> None:
    """Store a run or an evaluation under its folder (`results.cell_folder`, `results.evaluation_folder`)."""
    write_lines(blobs, folder, lines)
    write_record(blobs, folder, record)


def write_lines(blobs: BlobStore, folder: str, lines: Iterable[LineRecord]) -> None:
    """Store the lines alone, where the record follows from them."""
    with tempfile.TemporaryFile() as spool:
        for line in lines:
            spool.write(line.model_dump_json().encode() + b"\n")
        spool.seek(0)
        blobs.write(CONTAINER, f"{folder}/lines.jsonl", spool)


def write_record(blobs: BlobStore, folder: str, record: RunRecord) -> None:
    """Store the record, which says that the lines are complete."""
    blobs.write(CONTAINER, f"{folder}/run.json", record.model_dump_json().encode())


def record(blobs: BlobStore, folder: str) -> RunRecord | None:
    """The record, or None while the run is not complete."""
    try:
        return RunRecord.model_validate_json(blobs.read(CONTAINER, f"{folder}/run.json"))
    except NotFound:
        return None


def lines(blobs: BlobStore, folder: str) -> Iterator[LineRecord]:
    """The lines in order, one at a time. Raises NotFound."""
    with blobs.open(CONTAINER, f"{folder}/lines.jsonl") as stream:
        for line in stream:
            yield LineRecord.model_validate_json(line)
