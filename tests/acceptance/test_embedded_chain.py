"""One real chain of ticket triage: what `plan` foretold, what the report says, and what the endpoint does."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from os import environ
from pathlib import Path
from typing import Any

import pytest

from genaiops.demo.stage import changed_use_case
from shared import chain_store
from shared.chain.state import Chain, ChainStatus, Step
from shared.names import chain_id
from shared.ports import AssetKind
from shared.results import LineRecord, RunRecord, cell_folder, evaluation_folder
from shared.use_case import bundle
from tests.acceptance.conftest import FOLDER, USE_CASE, Undisturbed
from tests.acceptance.embedded import ROOT, Embedded, words

pytestmark = [pytest.mark.xdist_group("embedded-chain"), pytest.mark.timeout(900)]

SAMPLE = (FOLDER / "configs" / "sample-request.json").read_bytes()
DEPLOYMENT = "azureml-model-deployment"
"""The header by which Azure Machine Learning picks a deployment."""


class Results:
    """What the chain left in the container `results`."""

    def __init__(self, embedded: Embedded, chain: Chain) -> None:
        self.blobs = embedded.ports.blobs
        self.chain = chain.id
        self.prepared = chain_store.read_prepared(self.blobs, chain.id)

    def folders(self) -> set[str]:
        return {info.name.rpartition("/")[0] for info in self.blobs.list("results", f"{self.chain}/")}

    def record(self, folder: str) -> RunRecord:
        return RunRecord.model_validate_json(self.blobs.read("results", f"{folder}/run.json"))

    def lines(self, folder: str) -> list[LineRecord]:
        content = self.blobs.read("results", f"{folder}/lines.jsonl")
        return [LineRecord.model_validate_json(line) for line in content.splitlines()]

    def evaluations(self, cell: str) -> dict[str, str]:
        """Evaluator → folder."""
        dataset = next(c.dataset for c in self.prepared.cells if c.name == cell)
        found = self.prepared.evaluators_of(dataset)
        return {e.evaluator: evaluation_folder(self.chain, cell, e.evaluator) for e in found}


@pytest.fixture(scope="module")
def results(undisturbed: Undisturbed) -> Results:
    return Results(undisturbed.embedded, undisturbed.chain)


def report_file(undisturbed: Undisturbed, name: str) -> str:
    url = f"{undisturbed.embedded.url}/api/chains/{undisturbed.chain.id}/files/{name}"
    status, content = undisturbed.embedded.http(url)
    assert status == 200, content
    return content.decode()


def table(undisturbed: Undisturbed, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report_file(undisturbed, name), newline="")))


# ---------------------------------------------------------------------------------------------------------------- plan


def test_plan_foretells_the_runs_lines_and_model_calls_that_the_chain_makes(
    undisturbed: Undisturbed, results: Results
) -> None:
    command = [sys.executable, "-m", "genaiops", "plan", "flows/ticket_triage", "--fresh", "--json"]
    printed = subprocess.run(
        command, cwd=ROOT, env=environ | undisturbed.embedded.variables, capture_output=True, text=True, check=True
    )
    planned: dict[str, Any] = json.loads(printed.stdout)

    folders = set()
    for run in planned["runs"]:
        folder = cell_folder(results.chain, run["name"])
        folders.add(folder)
        record = results.record(folder)
        assert (record.lines, record.failed_lines, record.retries) == (run["lines"], 0, 0)
        assert len(results.lines(folder)) == run["lines"]
        assert {e["evaluator"]: e["lines"] for e in run["evaluations"]} == {
            evaluator: results.record(evaluation).lines
            for evaluator, evaluation in results.evaluations(run["name"]).items()
        }
        folders.update(results.evaluations(run["name"]).values())
    assert folders == results.folders(), "the chain ran what was planned and nothing else"

    counts = planned["counts"]
    progress = undisturbed.chain.progress
    assert (progress.runs_completed, progress.evaluations_completed) == (counts["runs"], counts["evaluations"])
    assert undisturbed.model_calls == {"answered": counts["model_calls"]}, "and the model was asked as often"
    done = [step.step.replace("_", " ") for step in undisturbed.chain.steps if step.status == "done"]
    assert done == [step for step in planned["steps"] if step in done], "the steps were foretold, in their order"
    assert {"experimentation", "evaluation", "gates", "approval", "deployment"} <= set(done)


# -------------------------------------------------------------------------------------------------------------- report


def test_different_variants_have_different_scores(undisturbed: Undisturbed) -> None:
    rows = table(undisturbed, "metrics.csv")
    for dataset in ("tickets_web", "tickets_mail"):
        scores = {
            row["variant"]: float(row["value"])
            for row in rows
            if (row["dataset"], row["evaluator"], row["metric"]) == (dataset, "classification", "macro_f1")
        }
        prompts = [scores[label] for label in ("default", "classify.with_examples", "classify.defined")]
        assert len(set(prompts)) == 3, scores
        assert undisturbed.chain.candidate is not None
        assert scores[undisturbed.chain.candidate.label] == max(scores.values()), "the best one was chosen"
    replies = {
        row["variant"]: float(row["value"])
        for row in rows
        if (row["dataset"], row["evaluator"], row["metric"]) == ("tickets_web", "reply_quality", "score")
    }
    assert replies["reply.friendly"] != replies["default"]


def test_a_hand_check_of_accuracy_and_macro_f1_from_the_lines_equals_the_metrics(undisturbed: Undisturbed) -> None:
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for line in table(undisturbed, "lines.csv"):
        found, expected = line["outputs.category"], line["expected.expected_category"]
        pairs[line["dataset"], line["variant"]].append((found, expected))
    told = {
        (row["dataset"], row["variant"], row["metric"]): float(row["value"])
        for row in table(undisturbed, "metrics.csv")
        if row["evaluator"] == "classification"
    }
    page = words(report_file(undisturbed, "report.html"))

    assert len(pairs) == 10
    for (dataset, label), answers in pairs.items():
        hits = [found == expected for found, expected in answers]
        assert told[dataset, label, "accuracy"] == pytest.approx(sum(hits) / len(hits), abs=1e-12)
        assert told[dataset, label, "macro_f1"] == pytest.approx(macro_f1(answers), abs=1e-12)
        assert f"{macro_f1(answers):.4g}" in page


def macro_f1(answers: Iterable[tuple[str, str]]) -> float:
    """The mean over categories of 2PR/(P+R), by the book."""
    answers = list(answers)
    scores = []
    for category in {label for answer in answers for label in answer}:
        right = sum(found == expected == category for found, expected in answers)
        said = sum(found == category for found, _ in answers)
        meant = sum(expected == category for _, expected in answers)
        precision, recall = right / said if said else 0.0, right / meant if meant else 0.0
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return sum(scores) / len(scores)


def test_the_tokens_in_the_report_are_the_sum_over_all_lines(undisturbed: Undisturbed, results: Results) -> None:
    stored = Counter[str]()
    for folder in results.folders():
        for line in results.lines(folder):
            stored.update(prompt=line.tokens.prompt, completion=line.tokens.completion)
    listed = Counter[str]()
    for row in table(undisturbed, "lines.csv"):
        listed.update(prompt=int(row["prompt_tokens"]), completion=int(row["completion_tokens"]))

    assert stored["prompt"] > 0
    assert stored["completion"] > 0
    assert listed == stored, "evaluators of ticket triage ask no model"
    page = words(report_file(undisturbed, "report.html"))
    assert f"Tokens {stored.total():,} {stored['prompt']:,} in, {stored['completion']:,} out" in page
    assert "stand-in model (rules, not an LLM)" in page


# ------------------------------------------------------------------------------------------------------------ registry


def test_the_same_content_uploaded_twice_registers_one_version(undisturbed: Undisturbed) -> None:
    embedded = undisturbed.embedded
    content = (ROOT / "data" / USE_CASE / "tickets_mail_changed.csv").read_bytes()

    first = embedded.until_ended(uploaded(embedded, "tickets_mail/changed.csv", content))
    again = embedded.until_ended(uploaded(embedded, "tickets_mail/changed.csv", content))
    renamed = embedded.until_ended(uploaded(embedded, "tickets_mail/under-another-name.csv", content))

    for chain in (first, again, renamed):
        assert chain.status is ChainStatus.SUCCEEDED, chain.reason
    versions = [a for a in embedded.ports.registry.list(AssetKind.DATA) if a.name.endswith("tickets_mail")]
    assert [(asset.version, asset.content_hash) for asset in versions][1:] == [
        ("2", hashlib.sha256(content).hexdigest())
    ]
    assert first.progress.runs_completed == 5
    for chain in (again, renamed):
        assert f"is known as {versions[1].name} version 2" in chain.reason
        assert chain.progress.runs_completed == 0
    assert len({first.id, again.id, renamed.id}) == 3


def uploaded(embedded: Embedded, name: str, content: bytes) -> str:
    """Upload; returns the chain that this starts."""
    blob = f"{USE_CASE}/{name}"
    etag = embedded.ports.blobs.write("datasets", blob, content)
    return chain_id(USE_CASE, "dataset", hashlib.sha256(f"{blob}\n{etag}".encode()).hexdigest())


def test_a_renamed_file_in_the_flow_is_another_bundle_and_the_order_of_files_is_not(tmp_path: Path) -> None:
    original = bundle.make(FOLDER, ROOT / "data").digest
    backwards, renamed = tmp_path / "backwards", tmp_path / "renamed"
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted(files, reverse=True):
        copy = backwards / path.relative_to(FOLDER)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    shutil.copytree(backwards, renamed)
    flow = renamed / "flows" / "ticket_triage"
    (flow / "requirements.txt").rename(flow / "requirements-of-the-flow.txt")

    assert bundle.make(backwards, ROOT / "data").digest == original
    assert bundle.make(renamed, ROOT / "data").digest != original


# ------------------------------------------------------------------------------------------------------------ endpoint


@pytest.fixture(scope="module")
def split(undisturbed: Undisturbed) -> dict[str, int]:
    """The traffic after a second version was approved: it gets 10 % beside the first one."""
    embedded = undisturbed.embedded
    with changed_use_case(embedded.ports.settings) as folder:
        chain = embedded.request(USE_CASE, "build-2", folder=folder, variants="classify.defined", commit="b" * 40)
    assert embedded.approve(embedded.until_waiting(chain)) == 303
    ended = embedded.until_ended(chain)
    assert ended.status is ChainStatus.SUCCEEDED, embedded.log(chain)
    assert Step.TRAFFIC in {step.step for step in ended.steps if step.status == "done"}
    return dict(embedded.ports.endpoints.describe("ticket-triage").traffic)


def score(embedded: Embedded, **headers: str) -> tuple[int, dict[str, Any]]:
    url = f"{embedded.router_url}/ticket-triage/score"
    status, body = embedded.http(url, SAMPLE, {"Content-Type": "application/json", **headers})
    return status, json.loads(body)


def test_the_endpoint_answers_and_splits_its_traffic(undisturbed: Undisturbed, split: dict[str, int]) -> None:
    first, second = sorted(split)
    assert split == {first: 90, second: 10}
    before = requests(undisturbed.embedded)

    for _ in range(40):
        status, answer = score(undisturbed.embedded)
        assert status == 200, answer
        assert set(answer) == {"category", "urgency", "reply"}

    # The router writes its counts once a second.
    undisturbed.embedded.until(
        lambda: sum(requests(undisturbed.embedded).values()) == sum(before.values()) + 40, "40 calls are counted"
    )
    counts = requests(undisturbed.embedded)
    assert {name: counts[name] - before[name] for name in counts} == {first: 36, second: 4}


def test_the_header_picks_a_deployment_past_the_split(undisturbed: Undisturbed, split: dict[str, int]) -> None:
    before = requests(undisturbed.embedded)
    chosen = sorted(split)[1]
    for _ in range(10):
        assert score(undisturbed.embedded, **{DEPLOYMENT: chosen})[0] == 200
    undisturbed.embedded.until(
        lambda: sum(requests(undisturbed.embedded).values()) == sum(before.values()) + 10, "10 calls are counted"
    )
    counts = requests(undisturbed.embedded)
    assert counts[chosen] - before[chosen] == 10
    status, answer = score(undisturbed.embedded, **{DEPLOYMENT: "v9-absent"})
    assert status == 404
    assert "v9-absent" in json.dumps(answer)


def requests(embedded: Embedded) -> dict[str, int]:
    """Deployment → requests that it has answered."""
    return {d.name: d.requests for d in embedded.ports.endpoints.describe("ticket-triage").deployments}
