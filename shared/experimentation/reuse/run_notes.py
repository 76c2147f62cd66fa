"""Notes: what a run leaves behind under its configuration, so that later runs find its lines."""

from __future__ import annotations

import hashlib
from datetime import UTC
from itertools import islice
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.digests import json_digest
from shared.errors import Conflict
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
