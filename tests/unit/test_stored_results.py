"""What a run left behind is stored whole, also where two looks find its end at the same moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

from shared import result_store
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.experimentation import reuse
from shared.experimentation.reuse.run_notes import remember
from shared.experimentation.run import stored
from shared.ports import BlobInfo, RunOutcome, RunStatus
from shared.results import CONTAINER, LineRecord, LineStatus, Origin, RunRecord
from shared.use_case.model import Reuse
from tests.samples import NOW
from tests.unit.people import memory_ports

FOLDER = "small-pr-1/00001-questions"
DIGEST = "d" * 64


def line(number: int, **more: object) -> LineRecord:
    return LineRecord(line=number, status=LineStatus.COMPLETED, inputs={"q": number}, outputs={"a": "A"}, **more)


def outcome() -> RunOutcome:
    """Of a run whose second line was known."""
    record = RunRecord(
        name="run",
        succeeded=True,
        lines=1,
        failed_lines=0,
        started_at=NOW,
        ended_at=NOW,
        engine="test",
        metrics={"m": 1},
    )
    return RunOutcome(RunStatus.COMPLETED, record, [line(0)])


def test_a_second_look_at_a_run_leaves_the_result_whole_that_the_first_has_stored():
    ports = memory_ports()
    origin = Origin(run="earlier", ended_at=NOW)
    pinned = line(1, origin=origin).model_dump_json().encode() + b"\n"
    ports.blobs.write(CONTAINER, f"{FOLDER}/reused.jsonl", pinned)
    said = {"origins": [origin.model_dump(mode="json")], "ranges": [[1, 1]]}
    ports.blobs.write(CONTAINER, f"{FOLDER}/reused.json", json.dumps(said).encode())

    first = stored(ports, FOLDER, outcome())
    reuse.settle(ports.blobs, DIGEST, DIGEST, FOLDER, first)
    second = stored(ports, FOLDER, outcome())  # it had found no record when it began, and the run's end just now

    assert second == first == result_store.record(ports.blobs, FOLDER)
    assert (first.lines, first.reused_lines) == (2, 1)
    assert [each.line for each in result_store.lines(ports.blobs, FOLDER)] == [0, 1]


def test_a_note_that_was_cleared_away_since_it_was_listed_is_passed_over():
    class Cleared(MemoryBlobStore):
        def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
            found = list(super().list(container, prefix))
            self.delete(container, found[-1].name)
            return iter(found)

    blobs = Cleared()
    record = outcome().record
    assert record is not None
    for number in range(2):
        ended = record.model_copy(update={"ended_at": NOW + timedelta(hours=number), "name": f"run-{number}"})
        remember(blobs, DIGEST, DIGEST, f"chain-{number}/cell", ended)
    assert [note.run for note in reuse.notes(blobs, DIGEST, Reuse.LINES, not_of="chain-9")] == ["run-0"]
