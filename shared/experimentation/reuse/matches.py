"""Matches: the completed lines of earlier runs whose inputs equal those of a run that begins."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, BinaryIO

from shared.errors import NotFound
from shared.experimentation.reuse.run_notes import Note
from shared.ports import BlobStore
from shared.results import CONTAINER, LineRecord, LineStatus, Origin

Numbered = Iterable[tuple[int, Mapping[str, Any]]]
"""Inputs of lines with the lines' numbers."""


@dataclass(frozen=True)
class Known:
    """Lines that need not be run."""

    count: int = 0
    origins: tuple[Origin, ...] = ()
    """The newest first."""
    numbers: frozenset[int] = field(default=frozenset(), repr=False)


def input_key(inputs: Mapping[str, Any]) -> bytes:
    """What equal inputs have in common: 16 bytes of a digest of their canonical JSON.

    Inputs have names, so their order means nothing; inside of a value it may: a prompt shows a mapping as it comes.
    """
    text = json.dumps(sorted(inputs.items(), key=itemgetter(0)), ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", errors="replace"), digest_size=16).digest()


@contextmanager
def matched(blobs: BlobStore | None, found: list[Note], inputs: Numbered) -> Iterator[Matches]:
    """The lines of earlier runs that answer these inputs: number → line. Open while the context is."""
    with tempfile.TemporaryFile() as spool:
        yield Matches(blobs, found, inputs, spool)


class Matches:
    """Completed lines of earlier runs with the inputs that are wanted; on disk, since they may be many."""

    def __init__(
        self,
        blobs: BlobStore | None,
        found: list[Note],
        inputs: Numbered,
        spool: BinaryIO,
    ) -> None:
        self._spool = spool
        self._places: dict[int, tuple[int, int]] = {}
        """Line → where it lies in the spool."""
        self.taken: dict[str, Origin] = {}
        wanted: dict[bytes, list[int]] = {}
        if found:
            for number, line in inputs:
                wanted.setdefault(input_key(line), []).append(number)
        for note in found:
            if not wanted or blobs is None:
                break
            try:
                self._take(blobs, note, wanted)
            except NotFound:
                continue  # its results were cleared away

    def _take(self, blobs: BlobStore, note: Note, wanted: dict[bytes, list[int]]) -> None:
        with blobs.open(CONTAINER, f"{note.folder}/lines.jsonl") as stream:
            for raw in stream:
                line = json.loads(raw)
                if line["status"] != LineStatus.COMPLETED.value or line.get("is_tied"):
                    continue
                numbers = wanted.pop(input_key(line["inputs"]), None)
                if numbers is None:
                    continue
                origin = line.get("origin") or {"run": note.run, "ended_at": note.ended_at.isoformat()}
                line["origin"] = {"run": origin["run"], "ended_at": origin["ended_at"]}
                for number in numbers:
                    self._keep({**line, "line": number})
                if not wanted:
                    return

    def _keep(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace") + b"\n"
        self._places[line["line"]] = self._spool.tell(), len(data)
        self._spool.write(data)
        run = line["origin"]["run"]
        before = self.taken.get(run)
        ended_at = datetime.fromisoformat(line["origin"]["ended_at"])
        self.taken[run] = Origin(run=run, ended_at=ended_at, lines=before.lines + 1 if before else 1)

    @property
    def known(self) -> Known:
        """What was found."""
        return Known(len(self._places), newest_first(self.taken), frozenset(self._places))

    def raw(self) -> Iterator[bytes]:
        """The lines in ascending order, as JSON."""
        for number in sorted(self._places):
            start, length = self._places[number]
            self._spool.seek(start)
            yield self._spool.read(length)

    def lines(self) -> Iterator[LineRecord]:
        """The lines in ascending order."""
        return (LineRecord.model_validate_json(raw) for raw in self.raw())


def newest_first(taken: Mapping[str, Origin]) -> tuple[Origin, ...]:
    """The runs that lines were taken from, the newest first."""
    return tuple(sorted(taken.values(), key=lambda origin: origin.ended_at, reverse=True))
