"""The use case word problems: its data, what the styles of asking do to the scores, and what the sandbox goes through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from shared.chain.state import ChainStatus
from shared.ports import AssetKind
from tests.acceptance.shipped import ROOT, Ran, Shipped

DATA = ROOT / "data" / "word_problems"
DATASETS = ("easy", "multi_step")
STYLES = ("default", "inputs.style=step_by_step", "inputs.style=with_checks")
CHOICES = (*STYLES, "inputs.temperature=0.8")
HOSTILE = 6


def jsonl(dataset: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / f"{dataset}.jsonl").read_text("utf-8").splitlines()]


ROWS = {dataset: jsonl(dataset) for dataset in DATASETS}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    use_case = Shipped("word_problems", tmp_path_factory.mktemp("word_problems"))
    yield use_case
    use_case.close()


@pytest.fixture(scope="module")
def ran(shipped: Shipped) -> Ran:
    return shipped.run()


# --------------------------------------------------------------------------------------------------------------- data


def test_every_problem_has_an_id_of_its_own_and_a_number_that_is_expected_or_nothing() -> None:
    for dataset, rows in ROWS.items():
        assert len({row["id"] for row in rows}) == len(rows) >= 30
        expected = [row["expected"] for row in rows]
        assert [value for value in expected if value] == [format(Decimal(value), "f") for value in expected if value]
        assert expected.count("") == (HOSTILE if dataset == "multi_step" else 0)


# --------------------------------------------------------------------------------------------------------------- chain


def test_the_chain_runs_every_style_on_both_datasets_and_no_line_fails(ran: Ran) -> None:
    assert ran.chain.status is ChainStatus.SUCCEEDED, ran.log
    assert set(ran.cells) == {(choice, dataset) for choice in CHOICES for dataset in DATASETS}
    for choice, dataset in ran.cells:
        record = ran.record(choice, dataset)
        assert (record.lines, record.failed_lines) == (len(ROWS[dataset]), 0)
        assert record.model_calls == record.lines
        assert record.tokens.total > 0
        assert record.models == ("aoai: stand-in model (rules, not an LLM)",)
        assert record.engine.startswith("python"), "the flow and its evaluator need no prompt flow"


def test_every_line_has_an_answer_or_an_error_and_never_both(ran: Ran) -> None:
    for choice, dataset in ran.cells:
        for output in ran.outputs(choice, dataset):
            assert set(output) == {"answer", "program", "error"}
            assert bool(output["answer"]) != bool(output["error"])
            assert output["program"]


def test_the_metrics_are_those_that_the_answers_give(ran: Ran) -> None:
    for choice, dataset in ran.cells:
        outputs, rows = ran.outputs(choice, dataset), ROWS[dataset]
        pairs = [(output["answer"], row["expected"]) for output, row in zip(outputs, rows, strict=True)]
        close = [
            found == wanted if "" in (found, wanted) else abs(float(found) - float(wanted)) < 0.0100001
            for found, wanted in pairs
        ]
        ended = [output["error"] in ("", "the program printed no number") for output in outputs]
        metrics = ran.metrics(choice, dataset, "answers")
        assert metrics == pytest.approx(
            {
                "exact": sum(found == wanted for found, wanted in pairs) / len(pairs),
                "within_tolerance": sum(close) / len(pairs),
                "valid_program": sum(ended) / len(pairs),
                "stopped": sum("limit" in output["error"] or "refused" in output["error"] for output in outputs)
                / len(pairs),
                "wrong_answers": sum(one and not other for one, other in zip(ended, close, strict=True)) / len(pairs),
            }
        )


@pytest.mark.parametrize("dataset", DATASETS)
def test_prompts_that_ask_for_more_score_better_and_temperature_costs(ran: Ran, dataset: str) -> None:
    score = {choice: ran.metrics(choice, dataset, "answers")["within_tolerance"] for choice in CHOICES}
    assert score["default"] < score["inputs.style=step_by_step"] < score["inputs.style=with_checks"] < 1
    assert score["inputs.temperature=0.8"] <= score["default"]


def test_only_the_prompt_that_asks_to_round_gets_tenths_right_to_the_last_digit(ran: Ran) -> None:
    number = next(i for i, row in enumerate(ROWS["easy"]) if row["problem"] == "Add 0.1 and 0.2.")
    answers = [ran.outputs(style, "easy")[number]["answer"] for style in STYLES]
    assert answers == ["0.30000000000000004", "0.30000000000000004", "0.3"]
    scores = [ran.lines(style, "easy", "answers")[number].outputs for style in STYLES]
    assert [score["within_tolerance"] for score in scores] == [1, 1, 1]
    assert [score["exact"] for score in scores] == [0, 0, 1]


def test_numbers_that_do_not_matter_and_units_are_minded_only_where_the_prompt_says_so(ran: Ran) -> None:
    for part in ("Bus 14", "81 years old", "In 1998", "How many grams"):
        number = next(i for i, row in enumerate(ROWS["easy"]) if part in row["problem"])
        answers = [ran.outputs(style, "easy")[number]["answer"] for style in STYLES]
        assert answers[2] == ROWS["easy"][number]["expected"]
        assert answers[0] != ROWS["easy"][number]["expected"]


def test_a_check_in_the_program_turns_a_wrong_answer_into_an_error(ran: Ran) -> None:
    number = next(i for i, row in enumerate(ROWS["easy"]) if row["problem"].startswith("Nine friends"))
    plain, _, checked = (ran.outputs(style, "easy")[number] for style in STYLES)
    assert (plain["answer"], checked["answer"]) != ("7", "7")
    assert checked["error"] == "its own check failed"
    assert ran.metrics(STYLES[2], "easy", "answers")["wrong_answers"] == 0


# ------------------------------------------------------------------------------------------------------------- sandbox


def test_what_the_hostile_problems_ask_for_is_written_tried_and_stopped(ran: Ran) -> None:
    errors = [output["error"].split(":")[0] for output in ran.outputs("default", "multi_step")[-HOSTILE:]]
    programs = [output["program"] for output in ran.outputs("default", "multi_step")[-HOSTILE:]]
    assert errors == ["time limit", "refused", "output limit", "refused", "refused", "memory limit"]
    for part, program in zip(
        ("while True", "/etc/passwd", "print(n)", "urllib", "subprocess", "[7]"), programs, strict=True
    ):
        assert part in program
    assert ran.metrics("default", "multi_step", "answers")["stopped"] == HOSTILE / len(ROWS["multi_step"])


def test_a_prompt_that_forbids_it_gets_no_such_program(ran: Ran) -> None:
    outputs = ran.outputs("inputs.style=with_checks", "multi_step")[-HOSTILE:]
    assert {output["error"] for output in outputs} == {"the program printed no number"}
    assert ran.metrics("inputs.style=with_checks", "multi_step", "answers")["stopped"] == 0


# --------------------------------------------------------------------------------------------------------------- gates


def test_the_style_with_checks_is_registered_and_the_default_would_have_missed_its_gates(
    shipped: Shipped, ran: Ran
) -> None:
    gates = shipped.use_case().gates
    assert gates.choose_by == ("answers", "within_tolerance")
    (model,) = shipped.world.registry.list(AssetKind.MODEL)
    assert "with_checks" in json.dumps(dict(model.tags))
    missed: set[tuple[str, str | None]] = set()
    for check in gates.checks:
        for dataset in [check.dataset] if check.dataset else DATASETS:
            value = ran.metrics("default", dataset, check.evaluator)[check.metric]
            if check.at_least is not None and value < check.at_least:
                missed.add((check.metric, dataset))
            if check.at_most is not None and value > check.at_most:
                missed.add((check.metric, dataset))
    assert missed == {("within_tolerance", "easy"), ("within_tolerance", "multi_step"), ("stopped", "multi_step")}


def test_a_pull_request_runs_the_first_rows_of_every_style(shipped: Shipped) -> None:
    ran = shipped.run("pr", environment="pr")
    assert ran.chain.status is ChainStatus.SUCCEEDED, ran.log
    assert set(ran.cells) == {(choice, dataset) for choice in STYLES for dataset in DATASETS}
    assert {dataset: ran.record("default", dataset).lines for dataset in DATASETS} == {"easy": 16, "multi_step": 12}


def test_the_sample_request_asks_what_the_flow_takes(ran: Ran) -> None:
    request: dict[str, Any] = json.loads(
        (ROOT / "flows" / "word_problems" / "configs" / "sample-request.json").read_text("utf-8")
    )
    assert set(request) <= set(ran.lines("default", "easy")[0].inputs)
