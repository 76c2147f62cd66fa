"""Playing histories: a use case is published again and again, and what each chain says is held beside a fresh one's."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared import chain_store, result_store
from shared.chain.state import ChainStatus
from shared.experimentation.plan import plan
from shared.experimentation.prepare import surroundings
from shared.results import cell_folder, evaluation_folder
from shared.use_case import bundle
from shared.use_case.opened import open_use_case
from tests.memory_world import World

WEIGHTS: tuple[Any, ...] = (
    1,
    1.0,
    True,
    "1",
    None,
    0.1,
    -0.0,
    0,
    12345678901234567890,
    "é",
    "e\u0301",
    [1, 1.0],
    {"b": 1, "a": 2},
)


def row(dice: random.Random) -> dict[str, object]:
    """A row of the dataset, often one that was there before."""
    word = dice.choice(["cat", "dog", "unanswerable"] if dice.random() < 0.3 else ["cat", "dog", "cow", "Dog"])
    return {
        "text": f"{word} {dice.randrange(4)}",
        "weight": dice.choice(WEIGHTS),
        "sought": dice.choice(["cat", "dog"]),
    }


class Story:
    """Two worlds with one flow runner: in the first lines are reused, in the other everything is run."""

    def __init__(self, runner: object, home: Path, name: str) -> None:
        self.world, self.other = World(home / "world", runner=runner), World(home / "other", runner=runner)
        self.home = home
        self.name = name
        self.step = 0
        self.spared = 0
        """Lines that were not run."""

    def goes_on(self, files: Mapping[str, str], rows: Sequence[Mapping[str, object]]) -> None:
        """Run a chain of these files in both worlds: they must say the same."""
        self.step += 1
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        folder = self.home / f"{self.step}"
        digest = published((self.world, self.other), {**files, "questions.jsonl": content}, folder)
        after, reused = result(self.world, f"{self.name}-{self.step}", digest, fresh=False)
        fresh, _ = result(self.other, f"{self.name}-{self.step}-fresh", digest, fresh=True)
        assert after == fresh, self.step
        self.spared += reused


def published(worlds: Sequence[World], files: Mapping[str, str], folder: Path) -> str:
    """Store a bundle of these files; returns its digest."""
    for name, content in files.items():
        path = folder / "riddles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    made = bundle.make(folder / "riddles")
    for world in worlds:
        world.blobs.write("bundles", f"{made.digest}.zip", made.content)
    return made.digest


def result(world: World, request_id: str, digest: str, *, fresh: bool) -> tuple[dict[str, Any], int]:
    """Everything that a chain says of its lines and metrics, and how many lines it did not run."""
    world.clock.advance(100)
    use_case = open_use_case(world.ports, digest, "riddles", "dev")
    planned = plan(use_case, "*", surroundings(world.ports, use_case, world.settings.home), world.blobs, fresh=fresh)
    chain = world.request("pr", "riddles", request_id, bundle=digest, fresh=fresh)
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)
    prepared = chain_store.read_prepared(world.blobs, chain)
    assert [run.cell for run in planned.runs] == list(prepared.cells)
    found: dict[str, Any] = {}
    reused = 0
    for cell, run in zip(prepared.cells, planned.runs, strict=True):
        counted = {"run": run.reused, **{evaluation.evaluator: evaluation.reused for evaluation in run.evaluations}}
        folders = {"run": cell_folder(chain, cell.name)}
        folders |= {e.evaluator: evaluation_folder(chain, cell.name, e.evaluator) for e in prepared.evaluators}
        for name, folder in folders.items():
            record = result_store.record(world.blobs, folder)
            assert record is not None
            reused += record.reused_lines
            # What evaluations of lines that are run will find, nobody knows before they have run.
            assert counted[name] == record.reused_lines or (name != "run" and counted[name] < record.reused_lines)
            lines = [
                (line.line, line.status.value, json.dumps([line.inputs, line.outputs]), line.error)
                for line in result_store.lines(world.blobs, folder)
            ]
            counts = (record.succeeded, record.lines, record.failed_lines)
            found[f"{cell.label}/{name}"] = (lines, record.metrics, counts)
    return found, reused
