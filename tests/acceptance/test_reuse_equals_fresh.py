"""A chain that reuses what earlier ones left behind ends as one that runs everything: same lines, same metrics.

Histories of random edits are played on the real runner, with flows and evaluators of plain Python: rows are appended,
changed, moved, repeated and removed, code, prompts, parameters and evaluators are edited and edited back.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from shared.adapters.local.flow_runner import LocalFlowRunner
from tests.acceptance.histories import Story, row

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


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFlowRunner]:
    runner = LocalFlowRunner(tmp_path_factory.mktemp("runner"), grace_s=150)
    yield runner
    runner.close()


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


@pytest.mark.parametrize("seed", range(3))
def test_any_history_of_edits_ends_as_if_nothing_had_been_run_before(
    seed: int, runner: LocalFlowRunner, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    story = Story(runner, tmp_path, f"python-{seed}")
    files = {**FILES, "experiment.yaml": f"{EXPERIMENT}tolerated_failures: 0.9\n"}
    rows = [{"text": "cat 0", "weight": 1, "sought": "cat"}, *(row(dice) for _ in range(5))]
    for _ in range(6):
        story.goes_on(files, rows)
        files = edited(files, rows, dice)
    assert story.spared > 20
