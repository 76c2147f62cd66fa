"""Pinning: what a run reuses is fixed beside its results until both are one."""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from shared.errors import Conflict, NotFound
from shared.experimentation.reuse.matches import Known, Numbered, matched, newest_first
from shared.experimentation.reuse.run_notes import Note, remember
from shared.ports import BlobStore
from shared.results import CONTAINER, LineRecord, Origin, RunRecord

PINNED_LINES: Final = "reused.jsonl"
PINNED: Final = "reused.json"


def pin(blobs: BlobStore, folder: str, found: list[Note], inputs: Numbered) -> Known:
    """Find the lines that need not be run, and fix them beside the run's results; what is pinned already stays."""
    there = pinned(blobs, folder)
    if there is not None:
        return there
    if not found:
        return Known()
    with matched(blobs, found, inputs) as matches:
        known = matches.known
        if not known.count:
            return known
        with tempfile.TemporaryFile() as content:
            content.writelines(matches.raw())
            content.seek(0)
            try:
                blobs.write(CONTAINER, f"{folder}/{PINNED_LINES}", content, if_absent=True)
            except Conflict:
                # Another delivery was faster, or died before it came to the next step. It may have found other lines:
                # what it has written counts, so that all deliveries say the same.
                known = _known(pinned_lines(blobs, folder))
    # Written last: its presence means that the lines are complete.
    origins = [origin.model_dump(mode="json") for origin in known.origins]
    said = {"origins": origins, "ranges": list(_ranges(known.numbers))}
    blobs.write(CONTAINER, f"{folder}/{PINNED}", json.dumps(said).encode())
    return known


def pinned(blobs: BlobStore, folder: str) -> Known | None:
    """What was pinned for the run of that folder; None: nothing was."""
    try:
        said = json.loads(blobs.read(CONTAINER, f"{folder}/{PINNED}"))
    except NotFound:
        return None
    numbers = frozenset(number for first, last in said["ranges"] for number in range(first, last + 1))
    return Known(len(numbers), tuple(Origin.model_validate(origin) for origin in said["origins"]), numbers)


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers as first and last of each row of consecutive ones."""
    for _, row in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        consecutive = [number for _, number in row]
        yield consecutive[0], consecutive[-1]


def pinned_lines(blobs: BlobStore, folder: str) -> Iterator[LineRecord]:
    """The pinned lines in ascending order, one at a time."""
    with blobs.open(CONTAINER, f"{folder}/{PINNED_LINES}") as stream:
        for raw in stream:
            yield LineRecord.model_validate_json(raw)


def merged(new: Iterable[LineRecord], known: Iterable[LineRecord]) -> Iterator[LineRecord]:
    """New and known lines in ascending order; where both have a line, the new one counts."""
    last = -1
    for line in heapq.merge(new, known, key=lambda line: (line.line, line.origin is not None)):
        if line.line != last:
            last = line.line
            yield line


def settle(blobs: BlobStore, configuration: str, digest: str, folder: str, record: RunRecord) -> None:
    """Leave the note of a run whose result is stored, and remove what was pinned for it; as often as it is tried."""
    remember(blobs, configuration, digest, folder, record)
    if record.reused_lines:
        blobs.delete(CONTAINER, f"{folder}/{PINNED}")
        blobs.delete(CONTAINER, f"{folder}/{PINNED_LINES}")


def _known(lines: Iterable[LineRecord]) -> Known:
    numbers, taken = [], dict[str, Origin]()
    for line in lines:
        assert line.origin is not None  # as it was pinned
        numbers.append(line.line)
        before = taken.get(line.origin.run)
        taken[line.origin.run] = line.origin.model_copy(update={"lines": before.lines + 1 if before else 1})
    return Known(len(numbers), newest_first(taken), frozenset(numbers))
