"""The report: what it says, that it says it safely, and that its evidence is the same for the same results."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from html.parser import HTMLParser

import pytest

from shared import chain_store, reporting
from shared.chain.messages import ChainKind
from shared.chain.state import Chain, ChainStatus, Step, StepState, StepStatus
from shared.evaluation.gates_model import GateResult, GatesDocument, write_gates
from shared.pages.words import number
from shared.ports import Ports
from shared.reporting import survey
from shared.reporting.charts import WIDTH, Bar, bar_chart
from shared.reporting.facts import Line
from shared.reporting.scores import Row, Score, Table
from shared.reporting.tables import metrics_csv, neutral
from shared.results import CONTAINER, LineRecord, LineStatus, RunRecord, cell_folder, evaluation_folder
from tests import samples
from tests.unit.people import clock_of, memory_ports


class Structure(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def structure(html: str) -> Structure:
    parser = Structure()
    parser.feed(html)
    return parser


def build(ports: Ports, chain: Chain, *, final: bool = False, outputs: tuple[str, ...] = ()) -> tuple[str, str]:
    samples.write_results(ports.blobs, chain, outputs=outputs)
    built = reporting.build(ports, chain, final=final)
    return built.evidence, ports.blobs.read("reports", built.blob).decode()


def rows(ports: Ports, chain: Chain, name: str) -> list[dict[str, str]]:
    content = ports.blobs.read("reports", f"{chain.id}/{name}").decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain() -> Chain:
    return samples.sample_chain()


def test_the_verdict_comes_first_and_names_the_candidate_and_why(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    first = html[html.index("<main") : html.index("Gates</h2>")]
    assert "Good: classify.examples meets all 4 gates" in first
    assert "was chosen by accuracy of classification: 0.88 on average" in first
    assert "+0.14 against the default" in first


def test_a_missed_gate_is_the_verdict_with_value_and_limit(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    write_gates(ports.blobs, chain.id, samples.sample_gates(prepared, missed=True))
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "Not good enough: classify.examples misses 2 of 4 gates" in html
    assert "accuracy of classification on tickets_mixed is 0.88; it must be at least 0.95" in html


def test_a_regression_against_the_baseline_is_the_verdict(ports: Ports) -> None:
    chain = samples.sample_chain(ChainKind.DATASET)
    samples.write_results(ports.blobs, chain)
    regression = "accuracy of classification on tickets_mixed fell from 0.91 to 0.88."
    write_gates(ports.blobs, chain.id, GatesDocument(candidate_label="default", regressions=(regression,)))
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "Worse than the registered baseline" in html
    assert regression in html


def test_a_run_that_left_nothing_makes_the_report_incomplete_and_is_named(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    lost = prepared.cells[3]
    ports.blobs.delete(CONTAINER, f"{cell_folder(chain.id, lost.name)}/run.json")
    ports.blobs.delete(CONTAINER, f"{cell_folder(chain.id, lost.name)}/lines.jsonl")
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "Incomplete: 1 of 10 runs failed" in html
    assert "reply.formal on tickets_mixed: no results" in html


def test_a_release_without_experiments_has_a_report_too(ports: Ports) -> None:
    chain = samples.sample_chain(ChainKind.CD)
    prepared = samples.sample_prepared(chain).model_copy(update={"cells": (), "evaluators": ()})
    chain_store.freeze_prepared(ports.blobs, chain.id, prepared)
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=True).blob).decode()
    assert "Deployment of the latest registered version of ticket_triage" in html
    assert "Nothing was run for this chain." in html


def release_of(ports: Ports, chain: Chain, **fields: object) -> Chain:
    """A release of what `chain` registered, prepared as preparation leaves it: with that chain's report."""
    built = reporting.build(ports, chain, final=False)
    release = samples.deployed(samples.awaiting_approval(samples.sample_chain(ChainKind.CD), built.evidence))
    prepared = samples.sample_prepared(release).model_copy(update={"cells": (), "evaluators": (), "datasets": ()})
    chain_store.freeze_prepared(ports.blobs, release.id, prepared)
    for name in reporting.FILES:
        ports.blobs.write("reports", f"{release.id}/{name}", ports.blobs.read("reports", f"{chain.id}/{name}"))
    return release.model_copy(update=fields)


def test_publishing_a_release_keeps_the_evidence_that_was_approved(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    release = release_of(ports, chain)
    before = ports.blobs.read("reports", f"{release.id}/evidence.json"), rows(ports, release, "lines.csv")
    built = reporting.build(ports, release, final=True)
    assert built.evidence == release.evidence
    assert (ports.blobs.read("reports", f"{release.id}/evidence.json"), rows(ports, release, "lines.csv")) == before
    html = ports.blobs.read("reports", built.blob).decode()
    assert "Deployed: ticket_triage version 4" in html
    assert f"The approved results (chain {chain.id}): Good: classify.examples meets all 4 gates." in html


def test_a_release_that_was_rolled_back_says_so_first(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    reason = "The integration test failed: 2 of 5 calls answered 500."
    release = release_of(ports, chain, outcome=ChainStatus.FAILED, reason=reason)
    html = ports.blobs.read("reports", reporting.build(ports, release, final=True).blob).decode()
    assert "Not deployed: ticket_triage version 4" in html[: html.index("What happened since")]
    assert reason in html[: html.index("What happened since")]


def test_good_results_of_a_chain_that_was_rejected_say_so(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    rejected = chain.model_copy(update={"outcome": ChainStatus.REJECTED, "reason": "Rejected by maria@example.org."})
    html = ports.blobs.read("reports", reporting.build(ports, rejected, final=True).blob).decode()
    assert "The chain ended otherwise: rejected." in html
    assert "Rejected by maria@example.org." in html


def test_the_page_is_self_contained_and_has_no_script(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    page = structure(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "img", "form"}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name in ("style", "src", "srcset", "action") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] or "" for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "unsafe" not in policy


def test_hostile_outputs_add_no_element_to_the_page(ports: Ports, chain: Chain) -> None:
    _, plain = build(ports, chain)
    plain_tags = [tag for tag, _ in structure(plain).tags]
    _, html = build(memory_ports(), chain, outputs=samples.HOSTILE)
    page = structure(html)
    assert [tag for tag, _ in page.tags] == plain_tags
    assert "<img src=x onerror=" in "".join(page.words), "the output is shown as the text that it is"
    assert "{{ 7 * 7 }}" in "".join(page.words), "an output is never a template"


def test_characters_that_reorder_text_become_visible(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain, outputs=samples.HOSTILE)
    assert "\u202e" not in html
    assert "‹U+202E›detcejer‹U+202C›" in html


def test_a_very_long_output_is_cut_on_the_page_and_whole_in_the_csv(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain, outputs=("A" * 60_000,))
    assert "… (58,800 more characters in lines.csv)" in html
    assert len(html) < 400_000
    assert rows(ports, chain, "lines.csv")[0]["outputs.reply"] == "A" * 60_000


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


def test_numbers_beyond_all_floats_are_told_in_words() -> None:
    assert number(10**400) == "too large a number"
    assert number(-math.inf) == "not a number"


def test_a_chart_of_very_large_values_has_finite_bars() -> None:
    svg = bar_chart("k", "t", "d", [Bar("a", 1.7e308, "a"), Bar("b", -1.7e308, "b")])
    lengths = re.findall(r'class="bar" x="[0-9.]+" y="[0-9]+" width="([0-9.]+)"', svg)
    assert [float(length) for length in lengths] == [WIDTH / 2, WIDTH / 2]


def test_a_report_with_scores_that_are_no_numbers_is_built(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    folder = evaluation_folder(chain.id, prepared.cells[0].name, "classification")
    records = [json.loads(line) for line in ports.blobs.read(CONTAINER, f"{folder}/lines.jsonl").splitlines()]
    records[0]["outputs"] = {"large": 10**400, "small": -(10**400)}
    ports.blobs.write(CONTAINER, f"{folder}/lines.jsonl", "\n".join(map(json.dumps, records)).encode())
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "<main" in html


def test_the_published_report_tells_no_step_that_comes_after_it(ports: Ports, chain: Chain) -> None:
    publishing = (StepState(step=Step.REPORT_PUBLISHING, status=StepStatus.RUNNING), StepState(step=Step.RESULT))
    ended = samples.deployed(samples.awaiting_approval(chain, samples.sha("evidence")))
    _, html = build(ports, ended.model_copy(update={"steps": ended.steps + publishing}), final=True)
    steps = html[html.index("What happened since") : html.index("What this report speaks of")]
    assert "Deployment" in steps
    assert "Report publishing" not in steps
    assert "Result" not in steps
    assert "To come" not in steps


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


def test_a_large_dataset_shows_its_worst_lines_and_says_so(ports: Ports, chain: Chain) -> None:
    prepared = samples.sample_prepared(chain, rows=300)
    samples.write_results(ports.blobs, chain, prepared)
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    shown = html.count('<details class="line')
    assert shown == survey.SHOWN_LINES
    assert "This page shows 500 of 3,000 lines" in html
    assert html.count('<details class="line failed') == 10, "lines that failed are the worst and are all shown"
    assert len(rows(ports, chain, "lines.csv")) == 3_000


def test_the_same_results_give_the_same_evidence_whatever_the_clock_says(ports: Ports, chain: Chain) -> None:
    first, page = build(ports, chain)
    clock_of(ports).advance(3_600)
    later = samples.deployed(samples.awaiting_approval(chain, first))
    second, final = build(ports, later, final=True)
    assert second == first
    assert "What happened since" in final
    assert "What happened since" not in page
    assert "d-0f31aa07 90 %, d-91ac22be 10 %" in final


def test_another_output_is_other_evidence(ports: Ports, chain: Chain) -> None:
    first, _ = build(ports, chain)
    second, _ = build(ports, chain, outputs=("Something else.",))
    assert first != second


def test_the_evidence_names_code_data_settings_models_and_the_verdict(ports: Ports, chain: Chain) -> None:
    evidence, html = build(ports, chain)
    document = json.loads(ports.blobs.read("reports", f"{chain.id}/evidence.json"))
    assert document["code"] == {"bundle": samples.sha("bundle"), "flow": samples.sha("flow")}
    assert document["data"][0]["content"] == samples.sha("tickets_mixed")
    assert document["models"] == [samples.STAND_IN]
    assert document["verdict"]["headline"] == "Good: classify.examples meets all 4 gates"
    for digest in (evidence, document["settings"], samples.sha("bundle"), samples.sha("tickets_hard")):
        assert digest in html


def test_a_stand_in_model_is_labelled_on_the_page(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    assert "<strong>Stand-in model.</strong>" in html
    assert samples.STAND_IN in html


def test_reuse_is_told_from_the_runs_themselves(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "Nothing was reused: all lines were run for this chain." in html
    folder = cell_folder(chain.id, prepared.cells[0].name)
    record = RunRecord.model_validate_json(ports.blobs.read(CONTAINER, f"{folder}/run.json"))
    other = record.model_copy(update={"name": "another-chain-00000"})
    ports.blobs.write(CONTAINER, f"{folder}/run.json", other.model_dump_json().encode())
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "1 run of 30 came from other chains: another-chain-00000." in html


def test_every_chart_has_a_title_and_its_values_in_words(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    charts = re.findall(r"<svg .*?</svg>", html, flags=re.DOTALL)
    assert len(charts) >= 3
    for index, chart in enumerate(charts):
        assert f'role="img" aria-labelledby="chart-{index}-title chart-{index}-desc"' in chart
    assert "default 0.74; classify.terse 0.66; classify.examples 0.88" in charts[0]
