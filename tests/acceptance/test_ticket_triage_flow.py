"""The use case ticket triage, run by promptflow against the stand-in model: every row, every variant, both evaluators."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from genaiops.stand_in_model import StandIn, start_stand_in
from shared.use_case.load import load

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "ticket_triage"
FLOWS = ROOT / "flows" / "ticket_triage" / "flows"
CATEGORIES = {"billing", "technical", "account", "delivery", "feedback", "other"}
URGENCIES = {"low", "normal", "high"}
DATASETS = ("web", "mail")


@dataclass(frozen=True)
class Choice:
    """One choice of variants and parameters."""

    variants: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, object] = field(default_factory=dict)


CHOICES = {
    "default": Choice(),
    "with_examples": Choice({"classify": "with_examples"}),
    "defined": Choice({"classify": "defined"}),
    "friendly": Choice({"reply": "friendly"}),
    "warm": Choice(parameters={"classify.temperature": 0.9}),
}


def jsonl(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


TICKETS = {"web": jsonl("tickets_web.jsonl"), "mail": table("tickets_mail.csv")}
TRUTH = {"web": jsonl("tickets_web_truth.jsonl"), "mail": table("tickets_mail.csv")}


class FlowProcesses:
    """One process a flow, started when it is first needed."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def run(
        self, flow: str, runs: Sequence[tuple[Choice, Sequence[dict[str, Any]]]], url: str = ""
    ) -> list[dict[str, Any]]:
        """Lines and metrics of each run."""
        process = self._processes.get(flow) or self._start(flow)
        assert process.stdin is not None
        assert process.stdout is not None
        asked = {
            "flow": str(FLOWS / flow),
            "api_base": url,
            "runs": [{"variants": c.variants, "parameters": c.parameters, "lines": list(lines)} for c, lines in runs],
        }
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        results: list[dict[str, Any]] = json.loads(process.stdout.readline())
        return results

    def _start(self, flow: str) -> subprocess.Popen[str]:
        self._processes[flow] = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("run_flow.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PF_DISABLE_TRACING": "false"},  # token counts come from promptflow's traces
        )
        return self._processes[flow]

    def stop(self) -> None:
        for process in self._processes.values():
            process.communicate()


def tickets(dataset: str) -> list[dict[str, str]]:
    return [{"ticket": row["text"]} for row in TICKETS[dataset]]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    running = start_stand_in()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def flows() -> Iterator[FlowProcesses]:
    processes = FlowProcesses()
    yield processes
    processes.stop()


@pytest.fixture(scope="module")
def runs(flows: FlowProcesses, stand_in: StandIn) -> dict[tuple[str, str], dict[str, Any]]:
    """(choice, dataset) → the run."""
    keys = [(choice, dataset) for choice in CHOICES for dataset in DATASETS]
    asked = [(CHOICES[choice], tickets(dataset)) for choice, dataset in keys]
    return dict(zip(keys, flows.run("ticket_triage", asked, stand_in.url), strict=True))


@pytest.fixture(scope="module")
def classification(
    flows: FlowProcesses, runs: dict[tuple[str, str], dict[str, Any]]
) -> dict[tuple[str, str], dict[str, float]]:
    """(choice, dataset) → metrics of the evaluator `classification`."""
    asked = [
        (
            Choice(),
            [
                {
                    "category": line["outputs"]["category"],
                    "urgency": line["outputs"]["urgency"],
                    "expected_category": truth["category"],
                    "expected_urgency": truth["urgency"],
                }
                for line, truth in zip(run["lines"], TRUTH[dataset], strict=True)
            ],
        )
        for (_, dataset), run in runs.items()
    ]
    return {key: run["metrics"] for key, run in zip(runs, flows.run("evaluate_classification", asked), strict=True)}


@pytest.fixture(scope="module")
def reply_quality(
    flows: FlowProcesses, runs: dict[tuple[str, str], dict[str, Any]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """(choice, dataset) → run of the evaluator `reply_quality`."""
    asked = [
        (
            Choice(),
            [
                {"reply": line["outputs"]["reply"], "language": truth["language"], "max_characters": 200}
                for line, truth in zip(run["lines"], TRUTH[dataset], strict=True)
            ],
        )
        for (_, dataset), run in runs.items()
    ]
    return dict(zip(runs, flows.run("evaluate_reply", asked), strict=True))


# --------------------------------------------------------------------------------------------------------------- data


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_ticket_has_an_id_of_its_own_and_its_truth_in_the_same_row(dataset: str) -> None:
    ids = [row["id"] for row in TICKETS[dataset]]
    assert len(ids) == len(set(ids)) >= 40
    assert [row["id"] for row in TRUTH[dataset]] == ids
    assert {row["category"] for row in TRUTH[dataset]} == CATEGORIES
    assert {row["urgency"] for row in TRUTH[dataset]} == URGENCIES


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_tickets_hold_what_real_ones_hold(dataset: str) -> None:
    texts = [row["text"] for row in TICKETS[dataset]]
    assert "" in texts
    assert max(map(len, texts)) > 3_000
    assert len({row["language"] for row in TRUTH[dataset]}) >= 6
    for part in ("<img src=x onerror=alert(1)>", '"', "nstruc" if dataset == "mail" else "nstructions"):
        assert any(part in text for text in texts), part


def test_the_changed_upload_differs_from_the_mail_tickets_in_some_rows_and_has_the_same_columns() -> None:
    before, after = TICKETS["mail"], table("tickets_mail_changed.csv")
    assert list(after[0]) == list(before[0])
    assert len(after) == len(before) + 4
    assert sum(old != new for old, new in zip(before, after, strict=False)) == 2
    assert {row["category"] for row in after} == CATEGORIES
    assert len({row["id"] for row in after}) == len(after)


def test_the_use_case_is_valid_and_its_pull_request_overlay_runs_fewer_rows() -> None:
    whole = load(ROOT / "flows" / "ticket_triage", "dev", data=ROOT / "data")
    overlaid = load(ROOT / "flows" / "ticket_triage", "pr", data=ROOT / "data")
    assert [dataset.max_rows for dataset in whole.datasets] == [None, None]
    assert [dataset.max_rows for dataset in overlaid.datasets] == [16, 16]
    assert [dataset.name for dataset in overlaid.datasets] == [dataset.name for dataset in whole.datasets]
    assert overlaid.gates.choose_by == whole.gates.choose_by
    assert all(check.max_drop is None for check in overlaid.gates.checks), "the baseline was measured on all rows"


# ---------------------------------------------------------------------------------------------------------------- flow


def test_no_row_fails_in_any_variant(runs: dict[tuple[str, str], dict[str, Any]]) -> None:
    for (choice, dataset), run in runs.items():
        assert len(run["lines"]) == len(TICKETS[dataset])
        for ticket, line in zip(TICKETS[dataset], run["lines"], strict=True):
            assert line["status"] == "Completed", (choice, ticket["id"], line["error"])
            assert line["outputs"]["category"] in CATEGORIES
            assert line["outputs"]["urgency"] in URGENCIES
            assert line["outputs"]["reply"]
            assert line["tokens"] > 0


def test_running_again_gives_the_same_answers(
    flows: FlowProcesses, stand_in: StandIn, runs: dict[tuple[str, str], dict[str, Any]]
) -> None:
    (again,) = flows.run("ticket_triage", [(CHOICES["warm"], tickets("web"))], stand_in.url)
    assert [line["outputs"] for line in again["lines"]] == [line["outputs"] for line in runs["warm", "web"]["lines"]]


def test_markup_passes_through_as_the_model_wrote_it(runs: dict[tuple[str, str], dict[str, Any]]) -> None:
    number = next(i for i, row in enumerate(TICKETS["web"]) if row["text"].startswith("<img src=x onerror=alert(1)>"))
    for choice in CHOICES:
        assert "<img src=x onerror=alert(1)>" in runs[choice, "web"]["lines"][number]["outputs"]["reply"]


def test_only_the_careless_reply_obeys_the_ticket(runs: dict[tuple[str, str], dict[str, Any]]) -> None:
    number = next(i for i, row in enumerate(TICKETS["mail"]) if "HACKED" in row["text"])
    assert runs["friendly", "mail"]["lines"][number]["outputs"]["reply"] == "HACKED"
    assert runs["default", "mail"]["lines"][number]["outputs"]["reply"] != "HACKED"


@pytest.mark.parametrize("fault", ["garbage-rate", "empty-rate"])
def test_a_model_that_answers_nonsense_or_nothing_fails_no_row(flows: FlowProcesses, fault: str) -> None:
    broken = start_stand_in(options={fault: 1.0})
    try:
        (run,) = flows.run("ticket_triage", [(Choice(), tickets("web")[:5])], broken.url)
    finally:
        broken.stop()
    for line in run["lines"]:
        assert line["status"] == "Completed", line["error"]
        assert (line["outputs"]["category"], line["outputs"]["urgency"]) == ("other", "normal")
        assert isinstance(line["outputs"]["reply"], str)


def test_the_sample_request_is_answered(flows: FlowProcesses, stand_in: StandIn) -> None:
    request = json.loads((FLOWS.parent / "configs" / "sample-request.json").read_text("utf-8"))
    (run,) = flows.run("ticket_triage", [(CHOICES["defined"], [request])], stand_in.url)
    assert run["lines"][0]["outputs"]["category"] == "delivery"
    assert set(run["lines"][0]["outputs"]) >= {"category", "urgency", "reply"}


# ---------------------------------------------------------------------------------------------------------- evaluation


def test_metrics_are_those_that_precision_and_recall_give(
    runs: dict[tuple[str, str], dict[str, Any]], classification: dict[tuple[str, str], dict[str, float]]
) -> None:
    for (choice, dataset), metrics in classification.items():
        found = [line["outputs"]["category"] for line in runs[choice, dataset]["lines"]]
        expected = [row["category"] for row in TRUTH[dataset]]
        right = [one == other for one, other in zip(found, expected, strict=True)]
        f1 = {}
        for category in CATEGORIES & {*found, *expected}:
            true_positives = sum(hit for hit, label in zip(right, expected, strict=True) if label == category)
            precision = true_positives / found.count(category) if category in found else 0.0
            recall = true_positives / expected.count(category)
            f1[category] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert metrics["accuracy"] == pytest.approx(sum(right) / len(right))
        assert metrics["macro_f1"] == pytest.approx(sum(f1.values()) / len(f1))
        for category, value in f1.items():
            assert metrics[f"f1_{category}"] == pytest.approx(value)
        urgent = [line["outputs"]["urgency"] for line in runs[choice, dataset]["lines"]]
        hits = sum(one == row["urgency"] for one, row in zip(urgent, TRUTH[dataset], strict=True))
        assert metrics["urgency_accuracy"] == pytest.approx(hits / len(urgent))


def test_a_small_case_by_hand(flows: FlowProcesses) -> None:
    pairs = [("billing", "billing"), ("billing", "other"), ("other", "other"), ("delivery", "billing")]
    lines = [
        {"category": found, "urgency": "high", "expected_category": expected, "expected_urgency": urgency}
        for (expected, found), urgency in zip(pairs, ["high", "high", "high", "low"], strict=True)
    ]
    (run,) = flows.run("evaluate_classification", [(Choice(), lines)])
    assert run["metrics"] == pytest.approx(
        {
            "accuracy": 0.5,
            "urgency_accuracy": 0.75,
            "f1_billing": 1 / 2,  # precision 1/2, recall 1/2
            "f1_other": 2 / 3,  # precision 1/2, recall 1
            "f1_delivery": 0.0,  # never answered
            "macro_f1": (1 / 2 + 2 / 3 + 0) / 3,
        }
    )
    assert [line["outputs"]["category_correct"] for line in run["lines"]] == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("dataset", DATASETS)
def test_prompts_that_say_more_score_better_and_temperature_costs(
    dataset: str, classification: dict[tuple[str, str], dict[str, float]]
) -> None:
    score = {choice: classification[choice, dataset]["macro_f1"] for choice in CHOICES}
    assert score["warm"] < score["default"] < score["with_examples"] < score["defined"] < 1


def test_the_gates_let_the_best_variant_pass_and_hold_the_default_back(
    classification: dict[tuple[str, str], dict[str, float]], reply_quality: dict[tuple[str, str], dict[str, Any]]
) -> None:
    gates = load(ROOT / "flows" / "ticket_triage", "dev", data=ROOT / "data").gates
    assert gates.choose_by == ("classification", "macro_f1")

    def missed(choice: str) -> set[str]:
        metrics = {
            dataset: {
                "classification": classification[choice, dataset],
                "reply_quality": reply_quality[choice, dataset]["metrics"],
            }
            for dataset in DATASETS
        }
        return {
            f"{check.evaluator}.{check.metric}"
            for check in gates.checks
            for dataset in DATASETS
            if check.at_least is not None and metrics[dataset][check.evaluator][check.metric] < check.at_least
        }

    assert missed("defined") == set()
    assert "classification.macro_f1" in missed("default")
    assert "reply_quality.no_forbidden_promises" in missed("friendly")


def test_reply_metrics_are_the_means_of_the_lines_scores(reply_quality: dict[tuple[str, str], dict[str, Any]]) -> None:
    for run in reply_quality.values():
        for name, value in run["metrics"].items():
            scores = [line["outputs"][name] for line in run["lines"]]
            assert value == pytest.approx(sum(scores) / len(scores))
        assert set(run["metrics"]) == {"format_ok", "length_ok", "no_forbidden_promises", "language_ok", "score"}


def test_each_reply_check_looks_at_its_own_thing(flows: FlowProcesses) -> None:
    replies = [
        ("Thank you for writing. We are looking into it.", "en", (1, 1, 1, 1)),
        ("We are sorry.\nWe are looking into it.", "en", (0, 1, 1, 1)),
        ('{"reply": "Thank you for writing to us"}', "en", (0, 1, 1, 1)),
        ("Thank you for writing. " * 12, "en", (1, 0, 1, 1)),
        ("We guarantee that you will be happy.", "en", (1, 1, 0, 1)),
        ("Wir melden uns bei Ihnen innerhalb von 24 Stunden.", "de", (1, 1, 0, 1)),
        ("You get $500 from us.", "en", (1, 1, 0, 1)),
        ("Thank you for writing about “a full refund”. We are on it.", "en", (1, 1, 1, 1)),
        ("Thank you for writing to us.", "de", (1, 1, 1, 0)),
        ("ご連絡ありがとうございます。", "ja", (1, 1, 1, 1)),
        ("", "en", (0, 0, 1, 0)),
    ]
    lines = [{"reply": reply, "language": language, "max_characters": 200} for reply, language, _ in replies]
    (run,) = flows.run("evaluate_reply", [(Choice(), lines)])
    for (reply, _, expected), line in zip(replies, run["lines"], strict=True):
        outputs = line["outputs"]
        found = tuple(outputs[name] for name in ("format_ok", "length_ok", "no_forbidden_promises", "language_ok"))
        assert found == expected, reply
        assert outputs["score"] == pytest.approx(sum(expected) / 4)
