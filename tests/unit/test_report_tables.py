"""The report's CSV files: complete, computable by hand, and nothing in them that a spreadsheet would run."""

from __future__ import annotations

import json
import math

import pytest

from shared import chain_store, reporting
from shared.chain.state import Chain
from shared.evaluation.gates_model import GateResult, GatesDocument, write_gates
from shared.ports import Ports
from shared.reporting.facts import Line
from shared.reporting.scores import Row, Score, Table
from shared.reporting.tables import metrics_csv, neutral
from shared.results import CONTAINER, LineRecord, LineStatus, RunRecord, evaluation_folder
from tests import samples
from tests.unit.people import memory_ports
from tests.unit.reports import build, rows


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain() -> Chain:
    return samples.sample_chain()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_text_that_a_spreadsheet_would_run_is_neutralised(start: str) -> None:
    assert neutral(start + "cmd|'/c calc'!A0") == "'" + start + "cmd|'/c calc'!A0"


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.5, "-0.5"), (3, "3"), (None, ""), (True, "true"), ("a,b", "a,b"), (["=1"], '["=1"]'), ({"ä": 1}, '{"ä": 1}')],
)
def test_numbers_stay_numbers_and_structures_become_json(value: object, text: str) -> None:
    assert neutral(value) == text


def test_control_characters_are_written_out_in_the_csv_but_tabs_and_line_breaks_stay() -> None:
    assert neutral("a\x00b\x1b]0;title\x07c\x9b1m\td\r\ne") == "a‹U+0000›b‹U+001B›]0;title‹U+0007›c‹U+009B›1m\td\r\ne"


def test_a_metric_whose_name_would_run_in_a_terminal_is_written_out_in_the_csv() -> None:
    score = Score(value=1.0)
    row = Row(label="default", is_candidate=True, is_default=True, scores=(score,))
    table = Table("d", "e", ("accu\x1b[2Jracy",), frozenset(), (row,))
    assert b"\x1b" not in metrics_csv([table])
    assert "accu‹U+001B›[2Jracy" in metrics_csv([table]).decode()


@pytest.mark.parametrize("score", [10**400, -(10**400), math.inf, -math.inf, math.nan])
def test_a_score_that_is_no_finite_number_does_not_count(score: float) -> None:
    def said(value: float) -> LineRecord:
        return LineRecord(line=0, status=LineStatus.COMPLETED, inputs={}, outputs={"score": value})

    line = Line(record=said(0), evaluations={"one": said(score), "two": said(0.5)}, expected={})
    assert line.score == 0.5
    assert Line(record=said(0), evaluations={"one": said(score)}, expected={}).score is None


def test_the_mean_of_large_scores_is_a_number() -> None:
    record = LineRecord(line=0, status=LineStatus.COMPLETED, inputs={}, outputs={"a": 1.7e308, "b": 1.7e308})
    assert Line(record=record, evaluations={"one": record}, expected={}).score == pytest.approx(1.7e308)


def test_a_report_with_scores_that_are_no_numbers_is_built(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    folder = evaluation_folder(chain.id, prepared.cells[0].name, "classification")
    records = [json.loads(line) for line in ports.blobs.read(CONTAINER, f"{folder}/lines.jsonl").splitlines()]
    records[0]["outputs"] = {"large": 10**400, "small": -(10**400)}
    ports.blobs.write(CONTAINER, f"{folder}/lines.jsonl", "\n".join(map(json.dumps, records)).encode())
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "<main" in html


def test_a_hostile_output_is_neutral_in_the_stored_csv(ports: Ports, chain: Chain) -> None:
    build(ports, chain, outputs=samples.HOSTILE)
    cells = [value for row in rows(ports, chain, "lines.csv") for value in row.values()]
    assert "'=cmd|'/c calc'!A0" in cells
    assert not any(value.startswith(("=", "+", "@", "\t")) for value in cells)


def test_every_line_is_in_the_csv_with_inputs_expected_outputs_scores_and_errors(ports: Ports, chain: Chain) -> None:
    build(ports, chain)
    lines = rows(ports, chain, "lines.csv")
    assert len(lines) == 80
    first_cell = [line["line"] for line in lines if line["cell"] == lines[0]["cell"]]
    assert first_cell == [str(number) for number in range(1, len(first_cell) + 1)], "people count from 1"
    assert lines[0]["inputs.ticket"] == samples.TICKETS[0][0]
    assert lines[0]["expected.truth"] == "billing"
    assert lines[0]["outputs.category"] == "billing"
    assert lines[0]["scores.classification.correct"] == "1.0"
    failed = [line for line in lines if line["status"] == "failed"]
    assert len(failed) == 10
    assert "429" in failed[0]["error"]
    assert failed[0]["attempts"] == "3"


def test_the_accuracy_of_the_csv_can_be_computed_by_hand_from_its_lines(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    cell = prepared.cells[0]
    folder = evaluation_folder(chain.id, cell.name, "classification")
    record = RunRecord.model_validate_json(ports.blobs.read(CONTAINER, f"{folder}/run.json"))
    by_hand = 5 / 7
    ports.blobs.write(
        CONTAINER, f"{folder}/run.json",
        record.model_copy(update={"metrics": {"accuracy": by_hand}}).model_dump_json().encode(),
    )  # fmt: skip
    reporting.build(ports, chain, final=False)
    lines = [r for r in rows(ports, chain, "lines.csv") if r["cell"] == cell.name and r["status"] == "completed"]
    right = sum(line["expected.truth"] == line["outputs.category"] for line in lines)
    metric = next(
        r for r in rows(ports, chain, "metrics.csv")
        if (r["dataset"], r["evaluator"], r["metric"], r["variant"])
        == ("tickets_mixed", "classification", "accuracy", "default")
    )  # fmt: skip
    assert float(metric["value"]) == pytest.approx(right / len(lines))


def test_the_best_of_a_metric_is_marked_once_and_differences_are_told(ports: Ports, chain: Chain) -> None:
    build(ports, chain)
    accuracy = [
        r for r in rows(ports, chain, "metrics.csv") if (r["dataset"], r["metric"]) == ("tickets_hard", "accuracy")
    ]
    best = [r for r in accuracy if r["is_best"] == "true"]
    assert [r["variant"] for r in best] == ["classify.examples"]
    assert float(best[0]["difference_to_default"]) == pytest.approx(0.14)
    assert float(best[0]["difference_to_baseline"]) == pytest.approx(0.07)


def test_where_less_is_better_the_lowest_value_is_the_best(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    for index, cell in enumerate(prepared.cells):
        folder = evaluation_folder(chain.id, cell.name, "reply_quality")
        record = RunRecord.model_validate_json(ports.blobs.read(CONTAINER, f"{folder}/run.json"))
        changed = record.model_copy(update={"metrics": {"forbidden_promises": float(index % 5)}})
        ports.blobs.write(CONTAINER, f"{folder}/run.json", changed.model_dump_json().encode())
    gate = GateResult(
        evaluator="reply_quality", metric="forbidden_promises", dataset="tickets_mixed", label="default", value=0.0,
        limit="at most 1", passed=True, is_candidate=True, lower_is_better=True,
    )  # fmt: skip
    write_gates(ports.blobs, chain.id, GatesDocument(candidate_label="default", results=(gate,)))
    reporting.build(ports, chain, final=False)
    best = [
        r for r in rows(ports, chain, "metrics.csv") if r["metric"] == "forbidden_promises" and r["is_best"] == "true"
    ]
    assert {r["variant"] for r in best} == {"default"}
