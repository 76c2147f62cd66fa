"""Notes: what a run leaves behind under its configuration, so that later runs find its lines.

A chain takes nothing from its own runs, so what it may take lies there when it begins: a process lists the notes of a
configuration once for each chain, however many runs the chain has.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC
from itertools import islice
from threading import Lock
from typing import Final
from weakref import WeakKeyDictionary

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.digests import json_digest
from shared.errors import Conflict, NotFound
from shared.experimentation.matrix import Cell, PreparedChain, PreparedEvaluator
from shared.names import Sha256
from shared.ports import BlobStore
from shared.results import RunRecord
from shared.use_case.model import Reuse

CONTAINER: Final = "reuse"
MOST_RUNS: Final = 20
"""Earlier runs that are looked through, the newest first; one more for each run of the chain that shares a
configuration, for it has left as many notes before."""
MOST_SIBLINGS: Final = 80
_SHORT: Final = 12
"""Characters of a digest in a note's name."""
REMEMBERED: Final = 64
"""Chains and configurations whose notes a process has listed, kept in memory."""

_lock = Lock()
_remembered: WeakKeyDictionary[BlobStore, OrderedDict[tuple[str, str], _Listed]] = WeakKeyDictionary()


class Note(BaseModel):
    """What a run leaves behind for later ones, named by when it ended and by digests of it, its chain and its name:
    `<configuration>/<ended at>-<run>-<chain>-<name>.json`.
    """

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


def remember(blobs: BlobStore, configuration: str, digest: str, folder: str, record: RunRecord) -> None:
    """Leave the note of a run whose result is stored, once, unless it holds nothing new."""
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
    ended_at = f"{record.ended_at.astimezone(UTC):%Y%m%dT%H%M%S%f}"
    blob = f"{configuration}/{ended_at}-{digest[:_SHORT]}-{_short(_chain_of(folder))}-{_short(record.name)}.json"
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
    listed = _listed(blobs, configuration, not_of)
    found = (note for note in listed.newest_first(blobs, digest) if reuse is Reuse.LINES or note.digest == digest)
    return list(islice(found, MOST_RUNS + min(siblings, MOST_SIBLINGS)))


class _Listed:
    """The notes of a configuration, but those of one chain, as they were when they were listed."""

    def __init__(self, names: Iterable[str], not_of: str) -> None:
        own = f"-{_short(not_of)}-"
        self._names = sorted((name for name in names if not (not_of and own in name)), reverse=True)
        self._by_digest: dict[str, list[str]] = {}
        for name in self._names:
            self._by_digest.setdefault(name.rpartition("/")[2].split("-")[1], []).append(name)
        self._read: dict[str, Note] = {}

    def newest_first(self, blobs: BlobStore, digest: str) -> Iterator[Note]:
        """Those of the run with this digest, which may lie behind those of many others, then all others."""
        same = self._by_digest.get(digest[:_SHORT], []) if digest else []
        known = set(same)
        for name in (*same, *(each for each in self._names if each not in known)):
            note = self._note(blobs, name)
            if note is not None:
                yield note

    def _note(self, blobs: BlobStore, name: str) -> Note | None:
        """None where somebody has cleared it away since the notes were listed."""
        if name not in self._read:  # a note never changes
            try:
                self._read[name] = Note.model_validate_json(blobs.read(CONTAINER, name))
            except NotFound:
                return None
        return self._read[name]


def _listed(blobs: BlobStore, configuration: str, not_of: str) -> _Listed:
    def fresh() -> _Listed:
        return _Listed((info.name for info in blobs.list(CONTAINER, f"{configuration}/")), not_of)

    if not not_of:
        return fresh()
    with _lock:
        remembered = _remembered.setdefault(blobs, OrderedDict())
        if (not_of, configuration) in remembered:
            remembered.move_to_end((not_of, configuration))
            return remembered[not_of, configuration]
    listed = fresh()
    with _lock:
        remembered[not_of, configuration] = listed
        while len(remembered) > REMEMBERED:
            remembered.popitem(last=False)
    return listed


def _chain_of(folder: str) -> str:
    return folder.split("/", maxsplit=1)[0]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT]
