"""What a plan counts of reuse is what the chain then finds: nothing that is called anyway is left out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared import result_store
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.experimentation import reuse
from shared.experimentation.assembly import prepare, prepare_log
from shared.experimentation.frozen import Upload
from shared.experimentation.plan import counted
from shared.experimentation.surroundings import Surroundings
from shared.results import LineRecord, LineStatus, RunRecord
from shared.use_case.load import load
from shared.use_case.model import UseCase
from tests.unit.use_case_folder import put, written

FLOW = "flows/standard/flow.dag.yaml"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SUMMARY = """\
- name: summary
  type: llm
  aggregation: true
  source: {type: code, path: summary.jinja2}
  inputs: {deployment_name: gpt, answers: "${parse.output}"}
  connection: aoai
  api: chat
node_variants:
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def loaded(folder: Path) -> UseCase:
    return load(folder, "dev", data=folder.parents[1] / "data")


def ran(blobs: MemoryBlobStore, configuration: str, inputs: list[dict[str, object]]) -> None:
    """A run of an earlier chain."""
    lines = [
        LineRecord(line=number, status=LineStatus.COMPLETED, inputs=line, outputs={"label": "warm"}, aggregated={})
        for number, line in enumerate(inputs)
    ]
    record = RunRecord(
        name=f"run-{configuration}",
        succeeded=True,
        lines=len(lines),
        failed_lines=0,
        started_at=NOW,
        ended_at=NOW,
        engine="test",
    )
    folder = f"earlier/{configuration}"
    result_store.write(blobs, folder, record, lines)
    reuse.settle(blobs, configuration, "d" * 64, folder, record)


def test_a_node_that_aggregates_calls_its_model_although_every_line_is_known(folder: Path) -> None:
    put(folder, "flows/standard/summary.jinja2", "user:\n{{answers}}\n")
    put(folder, FLOW, (folder / FLOW).read_text().replace("node_variants:\n", SUMMARY))
    use_case = loaded(folder)
    preparation = prepare(use_case, "b" * 64, Surroundings(), selection="defaults")
    blobs = MemoryBlobStore()
    ran(blobs, preparation.chain.cells[0].configuration, [{"text": t} for t in ("hello", "good evening", "hi")])

    (run,) = counted(preparation, use_case, blobs).runs
    assert (run.lines, run.reused, run.model_calls) == (3, 3, 1)


def test_a_log_that_was_evaluated_before_is_known(folder: Path, tmp_path: Path) -> None:
    use_case = loaded(folder)
    path = tmp_path / "log.jsonl"
    path.write_text('{"label": "warm", "answer": "warm"}\n{"label": "cold", "answer": "warm"}\n')
    preparation = prepare_log(use_case, "b" * 64, Surroundings(), Upload("weekly", path, "logs", "weekly/log.jsonl"))
    blobs = MemoryBlobStore()
    ran(blobs, preparation.chain.evaluators[0].configuration, [{"expected": "warm", "found": "warm"}])

    (run,) = counted(preparation, use_case, blobs).runs
    assert [(evaluation.lines, evaluation.reused) for evaluation in run.evaluations] == [(2, 1)]
