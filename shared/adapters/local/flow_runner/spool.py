"""A run's results on disk: lines as they come, then in order, and the record last, so that its presence means "ended".

A run is kept under the hash of its name: the same name finds it again, after a restart too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from shared.ports import RunOutcome, RunStatus
from shared.results import LineRecord, RunRecord

_KEPT_S: Final = 24 * 3600.0
"""Ended runs are kept for a day: by then their results lie in blob storage."""


class Spool:
    """The lines of a run under way. Not for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / f"{uuid4().hex}.part"
        self._folder.mkdir(parents=True)
        self._lines = _Unordered(self._folder / "lines.part")
        self._kept = _Unordered(self._folder / "kept.part")

    def add(self, record: LineRecord) -> None:
        """Store a line that has ended."""
        self._lines.add(record.line, record.model_dump_json().encode())

    def keep(self, line: int, kept: str) -> None:
        """Store what the aggregation will need of a line."""
        self._kept.add(line, kept.encode())

    def kept(self) -> Iterator[str]:
        """What was kept, in line order."""
        return (data.decode() for data in self._kept.in_order())

    def finish(self, target: Path, status: RunStatus, record: RunRecord) -> None:
        """Make the run findable at `target`. If another process was faster, its result stays."""
        with (self._folder / "lines.jsonl").open("wb") as stream:
            for data in self._lines.in_order():
                stream.write(data + b"\n")
        ended = {"status": status.value, "record": record.model_dump(mode="json")}
        (self._folder / "run.json").write_text(json.dumps(ended), encoding="utf-8")
        self._lines.remove()
        self._kept.remove()
        try:
            self._folder.replace(target)
        except OSError:
            if not (target / "run.json").exists():
                raise
            self.discard()

    def discard(self) -> None:
        """Remove everything."""
        self._lines.remove()
        self._kept.remove()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Unordered:
    """Numbered pieces in the order in which they came, readable by number.

    Its index takes 16 bytes a piece: with 100,000 lines a dictionary of tuples would take as many megabytes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("w+b")
        self._numbers = array("Q")
        self._starts = array("Q")
        self._end = 0
        self._was_read = False

    def add(self, number: int, data: bytes) -> None:
        if self._was_read:
            self._stream.seek(self._end)
            self._was_read = False
        self._stream.write(data)
        self._numbers.append(number)
        self._starts.append(self._end)
        self._end += len(data)

    def in_order(self) -> Iterator[bytes]:
        numbers = self._numbers
        # Most come in order already: where one piece follows another, reading goes straight on.
        order = array("Q", sorted(range(len(numbers)), key=numbers.__getitem__))
        here = -1
        self._was_read = True
        for index in order:
            start = self._starts[index]
            end = self._starts[index + 1] if index + 1 < len(numbers) else self._end
            if start != here:
                self._stream.seek(start)
            yield self._stream.read(end - start)
            here = end

    def remove(self) -> None:
        self._stream.close()
        self._path.unlink(missing_ok=True)


def place(folder: Path, name: str) -> Path:
    """Where the run of that name lies; run names are longer than some file systems allow."""
    return folder / hashlib.sha256(name.encode()).hexdigest()[:40]


def stored(target: Path) -> RunOutcome | None:
    """The run that ended there, if one did."""
    try:
        ended = json.loads((target / "run.json").read_bytes())
    except FileNotFoundError:
        return None
    return RunOutcome(RunStatus(ended["status"]), RunRecord.model_validate(ended["record"]), StoredLines(target))


class StoredLines:
    """The lines of an ended run, in order, read while they are iterated over."""

    def __init__(self, run: Path) -> None:
        self._file = run / "lines.jsonl"

    def __iter__(self) -> Iterator[LineRecord]:
        with self._file.open("rb") as stream:
            for line in stream:
                yield LineRecord.model_validate_json(line)


def clear_old(folder: Path) -> None:
    """Remove runs that ended, or were left half done, more than a day ago.

    Another process may clear the same folder at the same time: what is gone, or cannot be removed, is passed over.
    """
    oldest = time.time() - _KEPT_S
    for run in folder.glob("*"):
        with contextlib.suppress(OSError):
            # A run under way writes into its files, which does not change its folder's time.
            if max(path.stat().st_mtime for path in (run, *run.iterdir())) < oldest:
                shutil.rmtree(run, ignore_errors=True)
