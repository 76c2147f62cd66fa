"""An evaluation of a run on which lines failed calls the others as that run does, in its records and to its runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import result_store
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.results import LineStatus, evaluation_folder
from tests.memory_world import USE_CASES, World, accuracy, exact, small_flow

QUESTIONS = "".join(f'{{"question": "{word}", "answer": "{word.upper()}"}}\n' for word in ("a", "b", "c", "d"))


def fails_on_b(inputs: Mapping[str, object], spec: Any) -> Mapping[str, object]:
    if inputs["question"] == "b":
        raise ValueError("no answer to b")
    return small_flow(inputs, spec)


def fails_on_d(inputs: Mapping[str, object], spec: Any) -> Mapping[str, object]:
    if inputs["expected"] == "D":
        raise ValueError("no verdict on d")
    return exact(inputs, spec)


def test_lines_keep_the_run_s_numbers_where_the_run_failed_on_some(tmp_path: Path) -> None:
    runner = MemoryFlowRunner({"small": fails_on_b, "evaluate": fails_on_d}, {"evaluate": accuracy})
    world = World(tmp_path, runner=runner)
    tolerant = (USE_CASES / "small" / "experiment.yaml").read_text() + "\ntolerated_failures: 0.5\n"
    digest = world.publish_use_case({"experiment.yaml": tolerant, "data/questions.jsonl": QUESTIONS})
    chain = world.request(bundle=digest)
    world.pump()

    evaluations = [spec for spec in runner.started if spec.flow.name == "evaluate"]
    assert evaluations
    assert all(list(spec.line_numbers or ()) == [0, 2, 3] for spec in evaluations)
    for spec in evaluations:
        cell = spec.name.removeprefix(f"{chain}-").removesuffix("-exact")
        folder = evaluation_folder(chain, cell, "exact")
        lines = list(result_store.lines(world.blobs, folder))
        assert [line.line for line in lines] == [0, 2, 3]
        assert [line.line for line in lines if line.status is LineStatus.FAILED] == [3]
        record = result_store.record(world.blobs, folder)
        assert record is not None
        assert record.reason.endswith("1 of 4 lines were left out, since the run failed on them.")
