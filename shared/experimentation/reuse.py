"""Reuse: lines that earlier runs have answered under the same configuration are taken instead of being run again.

Every run leaves a note under its configuration's digest, in the container `reuse`, that says where its lines lie. A run
that begins reads the newest notes, takes the completed lines whose inputs equal its own, and pins them beside its
results before anything is started: so a run that is started twice, or looked at later, knows the same lines. When it
has ended, pinned and new lines become its result, in line order.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, BinaryIO, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.digests import json_digest
from shared.errors import Conflict, NotFound
from shared.experimentation.matrix import Cell, PreparedChain, PreparedEvaluator
from shared.names import Sha256
from shared.ports import BlobStore
from shared.results import CONTAINER as RESULTS
from shared.results import LineRecord, LineStatus, Origin, RunRecord
from shared.use_case.model import Reuse

CONTAINER: Final = "reuse"
MOST_RUNS: Final = 20
"""Earlier runs that are looked through, the newest first; one more for each run of the chain that shares a
configuration, for it has left as many notes before."""
MOST_SIBLINGS: Final = 80
_SHORT: Final = 12
"""Characters of a digest in a note's name."""
PINNED_LINES: Final = "reused.jsonl"
PINNED: Final = "reused.json"


class Note(BaseModel):
    """What a run leaves behind for later ones: `<configuration>/<when it ended>-<its digest>-<its name's>.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    folder: str
    """Of its results."""
    digest: Sha256
    """The run's own, for whole runs."""
    ended_at: AwareDatetime
    lines: int
    tokens_per_line: float = 0.0
    """On average, of the lines that were run: what an estimate of a further run goes by."""


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


def settle(blobs: BlobStore, configuration: str, digest: str, folder: str, record: RunRecord) -> None:
    """Leave the note of a run whose result is stored, and remove what was pinned for it; as often as it is tried."""
    _remember(blobs, configuration, digest, folder, record)
    if record.reused_lines:
        blobs.delete(RESULTS, f"{folder}/{PINNED}")
        blobs.delete(RESULTS, f"{folder}/{PINNED_LINES}")


def _remember(blobs: BlobStore, configuration: str, digest: str, folder: str, record: RunRecord) -> None:
    new = record.lines - record.reused_lines
    if record.lines == record.failed_lines or not new:
        return  # nothing in it that the runs it was taken from have not got
    note = Note(
        run=record.name,
        folder=folder,
        digest=digest,
        ended_at=record.ended_at,
        lines=record.lines,
        tokens_per_line=record.tokens.total / new,
    )
    name = hashlib.sha256(record.name.encode()).hexdigest()[:12]
    ended_at = f"{record.ended_at.astimezone(UTC):%Y%m%dT%H%M%S%f}"
    blob = f"{configuration}/{ended_at}-{digest[:_SHORT]}-{name}.json"
    try:
        blobs.write(CONTAINER, blob, note.model_dump_json().encode(), if_absent=True)
    except Conflict:
        return


def evaluation_digest(chain: PreparedChain, cell: Cell, evaluator: PreparedEvaluator) -> str:
    """Names an evaluation by its content: equal digests are the same evaluator on the same run."""
    truth = chain.dataset(evaluator.truth_dataset)
    return json_digest(
        {
            "configuration": evaluator.configuration,
            "run": cell.digest,
            "truth": truth.content_hash,
            "mappings": dict(evaluator.mappings),
        }
    )


def notes(
    blobs: BlobStore, configuration: str, reuse: Reuse, digest: str = "", *, siblings: int = 0, not_of: str = ""
) -> list[Note]:
    """The notes that a run may take lines from: those of the very same run, then the others, each the newest first.

    Those of the chain `not_of` are left out: which of its runs ends first is chance, and equal chains should have equal
    results. `siblings` are the runs of a chain under this configuration.
    """
    if reuse is Reuse.NONE:
        return []
    newest = sorted((info.name for info in blobs.list(CONTAINER, f"{configuration}/")), reverse=True)
    same = f"-{digest[:_SHORT]}-"
    # The very same run may lie behind those of many others: a matrix has as many under one evaluator's configuration.
    names = sorted(newest, key=lambda name: same not in name) if digest else newest
    found = (Note.model_validate_json(blobs.read(CONTAINER, name)) for name in names)
    return list(
        islice(
            (
                note
                for note in found
                if (reuse is Reuse.LINES or note.digest == digest) and note.folder.split("/")[0] != not_of
            ),
            MOST_RUNS + min(siblings, MOST_SIBLINGS),
        )
    )


Numbered = Iterable[tuple[int, Mapping[str, Any]]]
"""Inputs of lines with the lines' numbers."""


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
        with blobs.open(RESULTS, f"{note.folder}/lines.jsonl") as stream:
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
        return Known(len(self._places), _newest_first(self.taken), frozenset(self._places))

    def raw(self) -> Iterator[bytes]:
        """The lines in ascending order, as JSON."""
        for number in sorted(self._places):
            start, length = self._places[number]
            self._spool.seek(start)
            yield self._spool.read(length)

    def lines(self) -> Iterator[LineRecord]:
        """The lines in ascending order."""
        return (LineRecord.model_validate_json(raw) for raw in self.raw())


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
                blobs.write(RESULTS, f"{folder}/{PINNED_LINES}", content, if_absent=True)
            except Conflict:
                # Another delivery was faster, or died before it came to the next step. It may have found other lines:
                # what it has written counts, so that all deliveries say the same.
                known = _known(pinned_lines(blobs, folder))
    # Written last: its presence means that the lines are complete.
    origins = [origin.model_dump(mode="json") for origin in known.origins]
    said = {"origins": origins, "ranges": list(_ranges(known.numbers))}
    blobs.write(RESULTS, f"{folder}/{PINNED}", json.dumps(said).encode())
    return known


def _known(lines: Iterable[LineRecord]) -> Known:
    numbers, taken = [], dict[str, Origin]()
    for line in lines:
        assert line.origin is not None  # as it was pinned
        numbers.append(line.line)
        before = taken.get(line.origin.run)
        taken[line.origin.run] = line.origin.model_copy(update={"lines": before.lines + 1 if before else 1})
    return Known(len(numbers), _newest_first(taken), frozenset(numbers))


def _newest_first(taken: Mapping[str, Origin]) -> tuple[Origin, ...]:
    return tuple(sorted(taken.values(), key=lambda origin: origin.ended_at, reverse=True))


def pinned(blobs: BlobStore, folder: str) -> Known | None:
    """What was pinned for the run of that folder; None: nothing was."""
    try:
        said = json.loads(blobs.read(RESULTS, f"{folder}/{PINNED}"))
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
    with blobs.open(RESULTS, f"{folder}/{PINNED_LINES}") as stream:
        for raw in stream:
            yield LineRecord.model_validate_json(raw)


def merged(new: Iterable[LineRecord], known: Iterable[LineRecord]) -> Iterator[LineRecord]:
    """New and known lines in ascending order; where both have a line, the new one counts."""
    last = -1
    for line in heapq.merge(new, known, key=lambda line: (line.line, line.origin is not None)):
        if line.line != last:
            last = line.line
            yield line
