"""A chain that reuses what earlier ones left behind ends as one that runs everything: same lines, same metrics.

Histories of random edits are played on the real runner, with flows and evaluators of plain Python: rows are appended,
changed, moved, repeated and removed, code, prompts, parameters and evaluators are edited and edited back.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared import chain_store, result_store
from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.chain.state import ChainStatus
from shared.experimentation.plan import plan
from shared.experimentation.prepare import surroundings
from shared.results import cell_folder, evaluation_folder
from shared.use_case import bundle
from shared.use_case.opened import open_use_case
from tests.memory_world import World

EXPERIMENT = """\
name: riddles
flow: flows/answer
datasets:
- {name: questions, source: questions.jsonl, mappings: {text: "${data.text}", weight: "${data.weight}"}}
evaluators:
- name: words
  flow: flows/words
  datasets:
  - name: questions
    mappings: {said: "${run.outputs.said}", weight: "${data.weight}"}
- name: graded
  flow: flows/graded
  datasets:
  - name: questions
    mappings: {said: "${run.outputs.said}", sought: "${data.sought}"}
- name: whole
  flow: flows/whole
  datasets:
  - name: questions
    mappings: {said: "${run.outputs.said}", weight: "${run.inputs.weight}"}
"""
ANSWER = """\
from pathlib import Path


class Answer:
    def __init__(self, ending: str = "."):
        self.ending = ending
        self.prompt = (Path(__file__).parent / "prompt.txt").read_text()

    def __call__(self, text: str, weight, style: str = "plain") -> dict:
        if "unanswerable" in text:
            raise ValueError("nobody knows")
        return {"said": f"{self.prompt.strip()} {text!r}{self.ending} {style} {weight!r}", "weight": weight}
"""
WORDS = """\
def eval_words(said, weight):
    return {"length": len(said), "share": len(said) / 3, "is_long": len(said) > 20, "kind": type(weight).__name__}


def aggregate(lines):
    shares = [line.share for line in lines]
    return {"total": sum(shares), "first": shares[0], "long": sum(line["is_long"] for line in lines), "lines": len(lines)}
"""
GRADED = """\
class Graded:
    def __call__(self, said: str, sought: str):
        return {"right": sought in said, "pair": (sought, len(said)), "odd": float("nan") if len(said) % 3 else 0.1}

    def __aggregate__(self, lines):
        pairs = [line["pair"] for line in lines]
        return {"pairs": sum(isinstance(pair, tuple) for pair in pairs), "right": sum(line.right for line in lines),
                "odd": sum(line.odd != line.odd for line in lines)}
"""
WHOLE = """\
import json


def eval_whole(data_id, column_mapping, run_name):
    with open(data_id) as stream:
        rows = [json.loads(line) for line in stream]
    value = 0.0
    for row in rows:
        value = value / 3 + len(row["said"])
    return {"metrics": {"chained": value, "typed": sum(type(row["weight"]) is int for row in rows)}}
"""
FILES = {
    "experiment.yaml": EXPERIMENT,
    "flows/answer/flow.flex.yaml": "entry: answer:Answer\n",
    "flows/answer/answer.py": ANSWER,
    "flows/answer/prompt.txt": "Say:\n",
    "flows/words/eval_words.py": WORDS,
    "flows/graded/flow.flex.yaml": "entry: graded:Graded\n",
    "flows/graded/graded.py": GRADED,
    "flows/whole/eval_whole.py": WHOLE,
}
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


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFlowRunner]:
    runner = LocalFlowRunner(tmp_path_factory.mktemp("runner"), grace_s=150)
    yield runner
    runner.close()


def row(dice: random.Random) -> dict[str, object]:
    word = dice.choice(["cat", "dog", "unanswerable"] if dice.random() < 0.3 else ["cat", "dog", "cow", "Dog"])
    return {
        "text": f"{word} {dice.randrange(4)}",
        "weight": dice.choice(WEIGHTS),
        "sought": dice.choice(["cat", "dog"]),
    }


def edited(files: Mapping[str, str], rows: list[dict[str, object]], dice: random.Random) -> dict[str, str]:
    """The files after one edit; `rows` are changed in place."""
    at = dice.randrange(len(rows))
    match dice.randrange(11):
        case 0 | 1:
            rows += [row(dice) for _ in range(dice.randrange(1, 4))]
        case 2:
            rows[at] = row(dice)
        case 3:
            dice.shuffle(rows)
        case 4:
            rows[at:] = rows[at + 1 :] or [row(dice)]
        case 5:
            rows.insert(at, dict(reversed(rows[at].items())))
        case 6:
            return {**files, "flows/answer/prompt.txt": dice.choice(["Say:\n", "Tell:\n"])}
        case 7:
            return {**files, "flows/words/eval_words.py": WORDS.replace("20", str(dice.choice([20, 25])))}
        case 8:
            return {**files, "flows/answer/answer.py": ANSWER.replace("plain", dice.choice(["plain", "loud"]))}
        case 9:
            more = "parameters:\n  init.ending: [" + dice.choice([".", "., '?'", "'?', ."]) + "]\n"
            more += f"  inputs.style: [{dice.choice(['calm', 'calm, brief', 'brief'])}]\n"
            return {**files, "experiment.yaml": f"{EXPERIMENT}{more}tolerated_failures: 0.9\n"}
        case _:
            more = f"max_rows: {dice.choice([2, 3, 5])}\n" if dice.random() < 0.5 else ""
            return {
                **files,
                "experiment.yaml": f"{EXPERIMENT}tolerated_failures: 0.9\n".replace(
                    "jsonl, m", f"jsonl, {more.strip()}{', ' if more else ''}m"
                ),
            }
    return dict(files)


def published(world: World, files: Mapping[str, str], folder: Path) -> str:
    for name, content in files.items():
        path = folder / "riddles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    made = bundle.make(folder / "riddles")
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


@pytest.mark.parametrize("seed", range(3))
def test_any_history_of_edits_ends_as_if_nothing_had_been_run_before(
    seed: int, runner: LocalFlowRunner, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    world, other = World(tmp_path, runner=runner), World(tmp_path / "other", runner=runner)
    files = {**FILES, "experiment.yaml": f"{EXPERIMENT}tolerated_failures: 0.9\n"}
    rows = [{"text": "cat 0", "weight": 1, "sought": "cat"}, *(row(dice) for _ in range(5))]
    spared = 0
    for step in range(6):
        content = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
        published_files = {**files, "questions.jsonl": content}
        digest = published(world, published_files, tmp_path / f"{step}")
        assert published(other, published_files, tmp_path / f"{step}-other") == digest
        after, reused = result(world, f"{seed}-{step}-reuse", digest, fresh=False)
        fresh, _ = result(other, f"{seed}-{step}-fresh", digest, fresh=True)
        assert after == fresh, step
        spared += reused
        files = edited(files, rows, dice)
    assert spared > 20
