"""Who watches a chain sees lines end while a run is under way."""

from __future__ import annotations

from shared.experimentation.progress import ProgressNotes, lines_ended
from tests.memory_world import World


def test_progress_is_noted_at_most_once_a_second(tmp_path):
    world = World(tmp_path)
    notes = ProgressNotes(world.ports, "chain/cell")
    assert lines_ended(world.blobs, "chain/cell") == 0
    notes(1)
    notes(2)
    assert lines_ended(world.blobs, "chain/cell") == 1
    world.clock.advance(1)
    notes(3)
    assert lines_ended(world.blobs, "chain/cell") == 3


def test_a_full_disk_does_not_fail_a_run_for_its_progress(tmp_path):
    world = World(tmp_path)

    def refuse(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    world.blobs.write = refuse
    ProgressNotes(world.ports, "chain/cell")(1)
    assert lines_ended(world.blobs, "chain/cell") == 0
