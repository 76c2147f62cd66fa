"""The use case entity extraction: its data, what its variants do to the scores, and its production log."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.chain.state import ChainStatus
from shared.ports import AssetKind
from tests.acceptance.shipped import ROOT, Ran, Shipped

DATA = ROOT / "data" / "entity_extraction"
DATASETS = ("messages", "notices")
CHOICES = ("default", "extract.defined", "extract.with_examples", "cleanse.grounded", "extract.temperature=0.9")
TYPES = {"people", "organisations", "places", "dates", "amounts", "product codes"}


def jsonl(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def notices() -> list[dict[str, Any]]:
    with (DATA / "notices.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = {"messages": jsonl("messages.jsonl"), "notices": notices()}
EXPECTED: dict[str, list[list[str]]] = {
    "messages": [row["expected"] for row in jsonl("messages_truth.jsonl")],
    "notices": [json.loads(row["expected"]) for row in notices()],
}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    use_case = Shipped("entity_extraction", tmp_path_factory.mktemp("entity_extraction"))
    yield use_case
    use_case.close()


@pytest.fixture(scope="module")
def ran(shipped: Shipped) -> Ran:
    return shipped.run()


# --------------------------------------------------------------------------------------------------------------- data


def test_every_row_has_an_id_of_its_own_a_known_type_and_its_truth_beside_it() -> None:
    assert [row["id"] for row in ROWS["messages"]] == [row["id"] for row in jsonl("messages_truth.jsonl")]
    for rows in ROWS.values():
        assert len({row["id"] for row in rows}) == len(rows) >= 25
        assert {row["entity_type"] for row in rows} == TYPES


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_truth_is_copied_from_the_text_in_its_order_and_each_entity_once(dataset: str) -> None:
    for row, expected in zip(ROWS[dataset], EXPECTED[dataset], strict=True):
        places = [row["text"].find(entity) for entity in expected]
        assert min(places, default=0) >= 0, row["id"]
        assert places == sorted(places), row["id"]
        assert len(set(expected)) == len(expected), row["id"]
    empty = sum(not expected for expected in EXPECTED[dataset])
    assert 0.1 < empty / len(ROWS[dataset]) < 0.3


def test_the_messages_hold_what_real_ones_hold() -> None:
    texts = [row["text"] for row in ROWS["messages"]]
    assert "" in texts
    assert len(texts) > len(set(texts)), "a row that is there twice"
    assert max(map(len, texts)) > 3_000
    for part in ("<b>", "<script>", '"', "😭", "# system:", "Ignore your instructions", "会議", "Ödeme"):
        assert any(part in text for text in texts), part


# --------------------------------------------------------------------------------------------------------------- chain


def test_the_chain_runs_every_choice_on_both_datasets_and_no_line_fails(ran: Ran) -> None:
    assert ran.chain.status is ChainStatus.SUCCEEDED, ran.log
    assert set(ran.cells) == {(choice, dataset) for choice in CHOICES for dataset in DATASETS}
    for choice, dataset in ran.cells:
        record = ran.record(choice, dataset)
        assert (record.lines, record.failed_lines) == (len(ROWS[dataset]), 0)
        assert record.tokens.total > 0
        assert record.models == ("aoai: stand-in model (rules, not an LLM)",)


def test_the_metrics_are_those_that_the_outputs_and_the_truth_give(ran: Ran) -> None:
    for choice, dataset in ran.cells:
        found = [{_plain(entity) for entity in output["entities"]} for output in ran.outputs(choice, dataset)]
        truth = [{_plain(entity) for entity in entities} for entities in EXPECTED[dataset]]
        hits = sum(len(one & other) for one, other in zip(found, truth, strict=True))
        precision, recall = hits / sum(map(len, found)), hits / sum(map(len, truth))
        metrics = ran.metrics(choice, dataset, "matcher")
        assert metrics["precision"] == pytest.approx(precision)
        assert metrics["recall"] == pytest.approx(recall)
        assert metrics["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
        exact = sum(one == other for one, other in zip(found, truth, strict=True))
        assert metrics["exact_match"] == pytest.approx(exact / len(truth))
        assert {name for name in metrics if name.startswith("f1_")} == {f"f1_{t.replace(' ', '_')}" for t in TYPES}
        scores = [float(line.outputs["f1"]) for line in ran.lines(choice, dataset, "matcher")]  # type: ignore[arg-type]
        assert metrics["mean_f1"] == pytest.approx(sum(scores) / len(scores))


@pytest.mark.parametrize("dataset", DATASETS)
def test_prompts_that_say_more_score_better_cleansing_helps_and_temperature_costs(ran: Ran, dataset: str) -> None:
    f1 = {choice: ran.metrics(choice, dataset, "matcher")["f1"] for choice in CHOICES}
    assert f1["extract.temperature=0.9"] < f1["default"] < f1["cleanse.grounded"]
    assert f1["cleanse.grounded"] < f1["extract.with_examples"] < f1["extract.defined"] < 1


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_each_variant_is_for_shows_in_the_answers(ran: Ran, dataset: str) -> None:
    empty = {i for i, expected in enumerate(EXPECTED[dataset]) if not expected}

    def silent(choice: str) -> set[int]:
        return {i for i, output in enumerate(ran.outputs(choice, dataset)) if not output["entities"]}

    assert not silent("default") & empty, "nobody told this prompt what to answer where there is nothing"
    assert len(silent("extract.defined") & empty) == len(empty)
    in_text = {choice: ran.metrics(choice, dataset, "production_checks")["in_text"] for choice in CHOICES}
    assert in_text["default"] < 0.9
    assert in_text["cleanse.grounded"] == in_text["extract.defined"] == 1.0


def test_only_the_prompt_that_guards_against_orders_in_the_text_finds_the_company_behind_one(ran: Ran) -> None:
    number = next(i for i, row in enumerate(ROWS["messages"]) if "HACKED" in row["text"])
    assert ran.outputs("extract.defined", "messages")[number] == {"entities": ["Pinewood Tools Ltd"]}
    assert ran.outputs("default", "messages")[number] == {"entities": ["HACKED"]}


def test_the_best_prompt_is_registered_and_the_default_would_have_missed_its_gates(shipped: Shipped, ran: Ran) -> None:
    gates = shipped.use_case().gates
    assert gates.choose_by == ("matcher", "f1")
    (model,) = shipped.world.registry.list(AssetKind.MODEL)
    assert "defined" in json.dumps(dict(model.tags))
    for check in gates.checks:
        for dataset in DATASETS:
            assert check.at_least is not None
            assert ran.metrics("extract.defined", dataset, check.evaluator)[check.metric] >= check.at_least
            assert ran.metrics("default", dataset, check.evaluator)[check.metric] < check.at_least


def test_a_pull_request_runs_the_first_rows_of_every_prompt(shipped: Shipped) -> None:
    ran = shipped.run("pr", environment="pr")
    assert ran.chain.status is ChainStatus.SUCCEEDED, ran.log
    assert set(ran.cells) == {(choice, dataset) for choice in CHOICES[:4] for dataset in DATASETS}
    assert {ran.record("default", dataset).lines for dataset in DATASETS} == {12, 10}


# ----------------------------------------------------------------------------------------------------- production log


def test_a_production_log_is_checked_without_ground_truth_and_without_running_the_flow(shipped: Shipped) -> None:
    ran = shipped.evaluate_log("production", DATA / "production_log.jsonl")
    assert ran.chain.status is ChainStatus.SUCCEEDED, ran.log
    assert "The evaluator matcher is left out: production has no expected." in ran.log
    (label,) = {label for label, _ in ran.cells}
    metrics = ran.metrics(label, "production", "production_checks")
    # By hand, line by line. The faults: said twice; rewritten; a sentence; empty. Case and wide spaces are none.
    shape = [1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1 / 2]
    twice = [1, 1, 1 / 2, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    inside = [1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1 / 2]
    assert metrics == pytest.approx(
        {
            "shape_ok": sum(shape) / 12,
            "duplicate_free": sum(twice) / 12,
            "in_text": sum(inside) / 12,
            "empty_share": 2 / 12,
            "entities_per_text": 14 / 12,
        }
    )


def test_the_log_has_the_columns_of_the_flow(shipped: Shipped, ran: Ran) -> None:
    line = ran.lines("default", "messages")[0]
    for row in jsonl("production_log.jsonl"):
        assert set(row) == {*line.inputs, *line.outputs}
    request = json.loads((ROOT / "flows" / shipped.name / "configs" / "sample-request.json").read_text("utf-8"))
    assert set(request) == set(line.inputs)


def _plain(entity: str) -> str:
    return " ".join(entity.split()).casefold()
