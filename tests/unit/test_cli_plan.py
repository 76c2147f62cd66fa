"""`plan` counts what a chain would run, reuse and cost, and holds that against the budget; nothing is run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from genaiops.cli.outcome import ExitCode
from genaiops.cli.plan import Asked, planned
from shared import result_store, settings
from shared.chain.messages import ChainKind
from shared.experimentation import reuse
from shared.ports import Ports
from shared.results import LineRecord, LineStatus, RunRecord, Tokens
from tests.cli import FakeBus, fake_ports, printed_json, run
from tests.unit.use_case_folder import TRUTH, change, put, written

ENDED_AT = datetime(2026, 11, 20, 14, 3, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The use case `greetings` in an app of its own: 2 variants and 1 other temperature on 3 rows, one llm node."""
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return written(tmp_path)


def test_plan_counts_runs_evaluations_lines_and_model_calls(folder: Path) -> None:
    del folder
    planned = printed_json(run("plan", "greetings", "--json"))
    counts = planned["counts"]
    assert counts.pop("tokens") > 0
    assert counts == {
        "runs": 3, "evaluations": 3, "lines": 9, "evaluation_lines": 9, "reused": 0, "model_calls": 9,
    }  # fmt: skip
    assert [one["label"] for one in planned["runs"]] == ["default", "classify.terse", "classify.temperature=0.7"]
    assert "approval" in planned["steps"]
    shown = run("plan", "greetings")
    assert (
        "3 runs with 9 lines, 3 evaluations with 9 lines, 0 lines of them reused, 9 model calls, about" in shown.stdout
    )
    assert "Nothing was run." in shown.stdout


def test_plan_follows_selection_and_overlay(folder: Path) -> None:
    put(
        folder,
        "experiment.pr.yaml",
        "datasets:\n- name: train\n  source: data/train.jsonl\n  max_rows: 2\n  mappings:\n    text: ${data.text}\n",
    )
    planned = printed_json(run("plan", "greetings", "--kind", "pr", "-e", "pr", "--variants", "defaults", "--json"))
    counts = planned["counts"]
    assert [counts[name] for name in ("runs", "evaluations", "lines", "evaluation_lines")] == [1, 1, 2, 2]
    assert counts["model_calls"] == 2


def test_a_selection_that_names_nothing_is_refused(folder: Path) -> None:
    del folder
    refused = run("plan", "greetings", "--variants", "verbose")
    assert refused.exit_code == ExitCode.NO
    assert "verbose" in refused.stderr


def test_a_dataset_chain_runs_what_its_dataset_touches(folder: Path) -> None:
    more = put(folder.parents[1], "more.jsonl", '{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n')
    planned = printed_json(run("plan", "greetings", "--kind", "dataset", "--dataset", "train", "--json"))
    assert planned["counts"]["lines"] == 9
    as_uploaded = run("plan", "greetings", "--kind", "dataset", "--dataset", "train", "--file", str(more), "--json")
    assert printed_json(as_uploaded)["counts"]["runs"] == 3
    assert run("plan", "greetings", "--kind", "dataset").exit_code == ExitCode.USAGE


def test_a_cd_chain_runs_nothing_and_says_what_it_walks(folder: Path) -> None:
    del folder
    planned = printed_json(run("plan", "greetings", "--kind", "cd", "--json"))
    assert planned["counts"]["runs"] == 0
    assert planned["steps"][:3] == ["preparation", "approval", "deployment"]
    assert "rollback" not in planned["steps"]


def test_planning_makes_no_home(folder: Path) -> None:
    del folder
    assert run("plan", "greetings").exit_code == ExitCode.OK
    assert not settings.read().home.exists()


# -------------------------------------------------------------------------------------------------------------- reuse


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, FakeBus]:
    """An installation in whose stores earlier chains left results."""
    (tmp_path / "home").mkdir()
    return fake_ports(tmp_path / "home", monkeypatch, GENAIOPS_ROOT=str(tmp_path))


def earlier_run(ports: Ports, folder: Path, texts: tuple[str, ...]) -> None:
    """An earlier chain ran the default choice on these texts."""
    plan = planned(folder, Asked(ChainKind.CI, "dev"), ports.settings, ports).plan
    assert plan is not None
    cell = plan.runs[0].cell
    lines = [
        LineRecord(line=n, status=LineStatus.COMPLETED, inputs={"text": text}, outputs={"label": "hello"})
        for n, text in enumerate(texts)
    ]
    record = RunRecord(
        name="earlier", succeeded=True, lines=len(lines), failed_lines=0, tokens=Tokens(prompt=10 * len(lines)),
        started_at=ENDED_AT, ended_at=ENDED_AT, engine="promptflow",
    )  # fmt: skip
    result_store.write(ports.blobs, "earlier/cell", record, lines)
    reuse.settle(ports.blobs, cell.configuration, cell.digest, "earlier/cell", record)


def rows_of(folder: Path) -> tuple[str, ...]:
    return tuple(json.loads(line)["text"] for line in (folder / "data" / "train.jsonl").read_text().splitlines())


def test_lines_of_earlier_chains_are_counted_as_reused_and_cost_nothing(
    wired: tuple[Ports, FakeBus], folder: Path
) -> None:
    ports, _ = wired
    put(folder, "data/truth.csv", TRUTH)
    earlier_run(ports, folder, rows_of(folder)[:2])
    result = printed_json(run("plan", "greetings", "--json"))
    assert [one["reused"] for one in result["runs"]] == [2, 0, 0]
    assert [one["model_calls"] for one in result["runs"]] == [1, 3, 3]
    assert result["runs"][0]["tokens"] == 10, "the earlier run tells what a line takes"
    assert result["counts"]["reused"] == 2
    assert "2 lines of them reused, 7 model calls" in run("plan", "greetings").stdout


def test_a_fresh_plan_reuses_nothing_and_says_so(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    ports, _ = wired
    put(folder, "data/truth.csv", TRUTH)
    earlier_run(ports, folder, rows_of(folder))
    fresh = run("plan", "greetings", "--fresh")
    assert "0 lines of them reused, 9 model calls" in fresh.stdout
    assert "Nothing is reused: --fresh asks for that." in fresh.stdout


# ------------------------------------------------------------------------------------------------ repetitions, budget


def test_repetitions_are_runs_of_their_own_and_one_row_of_the_table(folder: Path) -> None:
    put(folder, "experiment.yaml", (folder / "experiment.yaml").read_text() + "repeat: 3\n")
    result = printed_json(run("plan", "greetings", "--variants", "defaults", "--json"))
    assert [one["repetition"] for one in result["runs"]] == [0, 1, 2]
    shown = run("plan", "greetings", "--variants", "defaults").stdout
    (row,) = [line.split() for line in shown.splitlines() if line.split()[:2] == ["train", "default"]]
    assert row[2:4] == ["3", "9"]


def budgeted(folder: Path, **limits: int) -> None:
    block = "".join(f"  {name}: {limit}\n" for name, limit in limits.items())
    put(folder, "experiment.yaml", (folder / "experiment.yaml").read_text() + f"budget:\n{block}")


def test_a_plan_within_its_budget_says_so(folder: Path) -> None:
    budgeted(folder, max_runs=3, max_model_calls=20)
    done = run("plan", "greetings")
    assert done.exit_code == ExitCode.OK
    assert "Within the budget: 3 of at most 3 runs, 9 of at most 20 model calls." in done.stdout


def test_a_plan_beyond_its_budget_says_by_how_much_and_the_answer_is_no(folder: Path) -> None:
    budgeted(folder, max_runs=2, max_model_calls=8)
    refused = run("plan", "greetings")
    assert refused.exit_code == ExitCode.NO
    assert "3 runs, at most 2 (`budget.max_runs`)" in refused.stdout
    assert "9 model calls, at most 8 (`budget.max_model_calls`)" in refused.stdout
    as_json = run("plan", "greetings", "--json")
    assert as_json.exit_code == ExitCode.NO
    assert printed_json(as_json)["budget"]["within"] is False


def test_submit_refuses_a_chain_beyond_its_budget_and_publishes_nothing(
    wired: tuple[Ports, FakeBus], folder: Path
) -> None:
    ports, bus = wired
    put(folder, "data/truth.csv", TRUTH)
    budgeted(folder, max_model_calls=8)
    refused = run("submit", "greetings")
    assert refused.exit_code == ExitCode.NO
    assert "9 model calls, at most 8 (`budget.max_model_calls`)" in refused.stderr
    assert bus.requests() == []
    assert list(ports.blobs.list("bundles")) == []
    assert run("submit", "greetings", "--variants", "defaults").exit_code == ExitCode.OK


def test_what_is_reused_is_within_any_budget_unless_fresh_runs_are_asked_for(
    wired: tuple[Ports, FakeBus], folder: Path
) -> None:
    ports, bus = wired
    put(folder, "data/truth.csv", TRUTH)
    budgeted(folder, max_model_calls=6)
    earlier_run(ports, folder, rows_of(folder))
    assert run("submit", "greetings").exit_code == ExitCode.OK
    assert run("submit", "greetings", "--fresh").exit_code == ExitCode.NO
    assert [request.fresh for request in bus.requests()] == [False]


def test_an_uploaded_dataset_is_held_against_the_budget_as_it_is(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    ports, bus = wired
    put(folder, "data/truth.csv", TRUTH)
    budgeted(folder, max_runs=1)
    ports.blobs.write("datasets", "greetings/train/train.jsonl", (folder / "data" / "train.jsonl").read_bytes())
    asked = ("submit", "greetings", "--kind", "dataset", "--dataset", "greetings/train/train.jsonl")
    refused = run(*asked)
    assert refused.exit_code == ExitCode.NO
    assert "3 runs, at most 1" in refused.stderr
    assert run(*asked, "--variants", "defaults").exit_code == ExitCode.OK
    assert len(bus.requests()) == 1


def test_a_log_is_planned_by_its_evaluations_and_held_against_the_budget_too(
    wired: tuple[Ports, FakeBus], folder: Path
) -> None:
    ports, bus = wired
    put(folder, "data/truth.csv", TRUTH)
    budgeted(folder, max_runs=1, max_tokens=10)
    log = b"".join(json.dumps({"answer": "warm", "label": "warm", "n": n}).encode() + b"\n" for n in range(5))
    (folder.parents[1] / "november.jsonl").write_bytes(log)
    asked = ("plan", "greetings", "--kind", "post_production", "--dataset", "november")
    counts = printed_json(run(*asked, "--file", str(folder.parents[1] / "november.jsonl"), "--json"))["counts"]
    assert [counts[name] for name in ("runs", "evaluation_lines", "model_calls", "tokens")] == [1, 5, 0, 0]
    ports.blobs.write("logs", "greetings/november/november.jsonl", log)
    upload = ("--kind", "post_production", "--dataset", "greetings/november/november.jsonl")
    assert run("submit", "greetings", *upload).exit_code == ExitCode.OK
    assert [request.kind for request in bus.requests()] == [ChainKind.POST_PRODUCTION]


def test_an_upload_reuses_what_ran_on_all_datasets_though_it_runs_only_one(
    wired: tuple[Ports, FakeBus], folder: Path
) -> None:
    ports, _ = wired
    put(folder, "data/truth.csv", TRUTH)
    put(folder, "data/mail.jsonl", '{"text": "dear all"}\n')
    mail = '- name: mail\n  source: data/mail.jsonl\n  mappings:\n    text: "${data.text}"\n'
    change(folder, "experiment.yaml", "evaluators:\n", f"{mail}\nevaluators:\n")
    earlier_run(ports, folder, rows_of(folder))
    result = printed_json(run("plan", "greetings", "--kind", "dataset", "--dataset", "train", "--json"))
    assert [(one["dataset"], one["reused"]) for one in result["runs"]] == [("train", 3), ("train", 0), ("train", 0)]
