"""The lab runs real chains: matrix, evaluators, report and reuse, on flows in worker processes; and it ends them all."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from genaiops import lab
from genaiops.new import new_use_case
from shared import settings
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.registry import LocalRegistry
from shared.ports import AssetKind, NewAsset
from tests.unit.use_case_folder import change, put

pytestmark = [pytest.mark.xdist_group("lab"), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
FLOW = "flows/standard/sorting.py"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAIOPS_ENV_FILE", str(tmp_path_factory.mktemp("none") / "none.env"))
        with lab.Lab() as bench:
            yield bench


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_use_case("messages", "function", tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def results(bench: lab.Lab, folder: Path) -> lab.Results:
    return bench.run(lab.load(folder), sample=10)


def test_the_table_has_counts_costs_latencies_and_metrics_of_each_run(results: lab.Results) -> None:
    table = results.table().set_index("variant")
    assert list(table.index) == ["default", "inputs.prompt=defined"]
    assert list(table["lines"]) == [10, 10]
    assert list(table["failed"]) == [0, 0]
    assert list(table["model_calls"]) == [10, 10]
    assert (table["tokens"] > 0).all()
    assert (table["p50_ms"] <= table["p95_ms"]).all()
    accuracy = table["correctness.accuracy"]
    assert accuracy["inputs.prompt=defined"] > accuracy["default"] > 0.5
    assert results.succeeded, results.reason
    assert results.candidate == "inputs.prompt=defined"
    assert "stand-in model (rules, not an LLM)" in repr(results)


def test_a_metric_is_compared_over_variants_and_datasets_and_drawn(results: lab.Results) -> None:
    compared = results.compare("correctness.accuracy")
    assert compared.loc["inputs.prompt=defined", "messages"] == max(compared["messages"])
    best = [bar.label for panel in results.plot("correctness.accuracy").panels for bar in panel.bars if bar.main]
    assert best == ["inputs.prompt=defined"]


def test_lines_have_inputs_outputs_truth_and_scores(results: lab.Results) -> None:
    lines = results.lines("default", "messages")
    assert list(lines["line"]) == list(range(10))
    right = lines["outputs.category"] == lines["expected.expected"]
    assert list(right.astype(float)) == list(lines["correctness.correct"])


def test_the_worst_lines_come_first_by_score_or_by_metric(results: lab.Results) -> None:
    worst = results.worst("correctness.correct", n=4)
    assert list(worst["score"]) == sorted(worst["score"])
    assert worst["score"].iloc[0] == 0.0
    assert (worst["outputs.category"] != worst["expected.expected"]).iloc[0]
    by_metric = results.worst("correctness.accuracy", n=4)
    assert list(by_metric["line"]) == list(worst["line"])
    assert set(results.worst("correctness.correct", variant="default")["variant"]) == {"default"}
    best = results.worst("correctness.correct", n=4, lower_is_better=True)
    assert set(best["score"]) == {1.0}


def test_a_wrong_name_is_answered_with_the_nearest_right_one(results: lab.Results) -> None:
    with pytest.raises(lab.LabError, match=r"did you mean 'correctness.accuracy'"):
        results.compare("corectness.accuracy")
    with pytest.raises(lab.LabError, match=r"did you mean 'correctness.correct'"):
        results.worst("correctness.corect")
    with pytest.raises(lab.LabError, match="did you mean 'default'"):
        results.lines("defaults", "messages")
    with pytest.raises(lab.LabError, match="messages"):
        results.lines("default", "letters")


def test_the_report_is_written_with_its_files(results: lab.Results, tmp_path: Path) -> None:
    page = results.report(tmp_path / "reports" / "first")
    assert "correctness" in page.read_text("utf-8")
    assert {file.name for file in page.parent.iterdir()} >= {"lines.csv", "metrics.csv", "evidence.json"}


def test_what_was_run_is_taken_over_unless_fresh_runs_are_asked_for(
    results: lab.Results, bench: lab.Lab, folder: Path
) -> None:
    again = bench.run(lab.load(folder), sample=10)
    assert (again.model_calls, again.reused_lines) == (0, 20)
    assert again.compare("correctness.accuracy").equals(results.compare("correctness.accuracy"))
    more = bench.run(lab.load(folder), sample=12)
    assert (more.model_calls, more.reused_lines) == (4, 20)
    fresh = bench.run(lab.load(folder), sample=10, fresh=True)
    assert (fresh.model_calls, fresh.reused_lines) == (20, 0)


def test_variants_and_parameters_can_be_chosen(bench: lab.Lab, folder: Path) -> None:
    use_case = lab.load(folder)
    assert bench.run(use_case, variants="defaults", sample=4).variants == ("default",)
    chosen = bench.run(use_case, variants=["inputs.prompt=defined"], sample=4)
    assert chosen.variants == ("inputs.prompt=defined",)
    other = bench.run(use_case, sample=4, parameters={"inputs.prompt": ["defined"]})
    assert other.variants == ("default",)
    with pytest.raises(lab.LabError, match=r"did you mean 'inputs.prompt=defined'"):
        bench.run(use_case, variants="inputs.prompt=defned", sample=4)


def test_repeated_runs_are_rows_of_their_own_and_one_mean(bench: lab.Lab, tmp_path: Path) -> None:
    folder = new_use_case("repeated", "function", tmp_path)
    with (folder / "experiment.yaml").open("a") as file:
        file.write("\nrepeat: 2\n")
    repeated = bench.run(lab.load(folder), sample=3, variants="defaults", fresh=True)
    assert list(repeated.table()["repetition"]) == [0, 1]
    assert repeated.model_calls == 6
    assert repeated.compare("correctness.accuracy").shape == (1, 1)
    assert len(repeated.lines("default", "messages")) == 6


def test_a_flow_that_fails_on_lines_shows_them_first_and_says_so(bench: lab.Lab, tmp_path: Path) -> None:
    folder = new_use_case("failing", "function", tmp_path)
    change(
        folder,
        FLOW,
        "    said = CLIENT",
        '    if "crashes" in message:\n        raise ValueError("no crashes please")\n    said = CLIENT',
    )
    failed = bench.run(lab.load(folder), sample=6, variants="defaults")
    assert not failed.succeeded
    table = failed.table()
    assert list(table["failed"]) == [1]
    assert "1 of 6" in table["note"].iloc[0]
    lines = failed.lines("default", "messages")
    broken = lines[lines["status"] == "failed"]
    assert list(broken["line"]) == [1]
    assert "no crashes please" in broken["error"].iloc[0]


def test_a_gate_that_is_missed_is_told_and_the_results_are_there(bench: lab.Lab, tmp_path: Path) -> None:
    folder = new_use_case("strict", "function", tmp_path)
    change(folder, "experiment.yaml", "at_least: 0.6", "at_least: 1.1")
    missed = bench.run(lab.load(folder), sample=5)
    assert not missed.succeeded
    assert "correctness.accuracy" in missed.reason
    assert len(missed.table()) == 2


def test_a_data_asset_of_the_installation_is_run_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_use_case("archived", "function", tmp_path)
    monkeypatch.setenv("GENAIOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GENAIOPS_ENV_FILE", str(tmp_path / "none.env"))
    change(folder, "experiment.yaml", "source: messages.jsonl", "source: azureml:faq")
    with lab.Lab() as bench:
        with pytest.raises(lab.LabError, match="'faq' is no registered data asset"):
            bench.run(lab.load(folder), sample=3)
        blobs = FileBlobStore(settings.read().home / "blobs")
        blobs.write("bundles", "data/faq.jsonl", (folder / "data" / "messages.jsonl").read_bytes())
        registry = LocalRegistry(blobs, SystemClock())
        registry.register(NewAsset(AssetKind.DATA, "faq", "its hash", "bundles/data/faq.jsonl"))
        results = bench.run(lab.load(folder), sample=3)
        assert results.succeeded, results.reason
        assert list(results.table()["lines"]) == [3, 3]
    assert [asset.name for asset in registry.list(AssetKind.DATA)] == ["faq"]


def test_a_flow_that_cannot_be_loaded_fails_with_its_reason(bench: lab.Lab, tmp_path: Path) -> None:
    folder = new_use_case("broken", "function", tmp_path)
    change(folder, FLOW, "from openai import AzureOpenAI", "from openai import AzureOpenAI\nimport no_such_package")
    results = bench.run(lab.load(folder), sample=2)
    assert not results.succeeded
    assert "no_such_package" in results.reason


def test_a_folder_that_became_invalid_is_told_with_file_and_line(bench: lab.Lab, tmp_path: Path) -> None:
    use_case = lab.load(new_use_case("changing", "function", tmp_path))
    line = change(use_case.folder, "flows/evaluate/flow.dag.yaml", "path: compare.py", "path: compar.py")
    with pytest.raises(lab.LabError, match=rf"flows/evaluate/flow.dag.yaml:{line}: "):
        bench.run(use_case, sample=2)


def test_it_runs_where_an_event_loop_runs_as_in_a_notebook(bench: lab.Lab, folder: Path) -> None:
    async def cell() -> int:
        return len(bench.run(lab.load(folder), sample=3).table())

    assert asyncio.run(cell()) == 2


SLOW = """
import signal
import sys
import psutil
from genaiops import lab
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
use_case = lab.load(sys.argv[1])
bench = lab.Lab(stand_in_options={"latency-ms": 3_000})
try:
    bench.run(use_case, sample=4)
except KeyboardInterrupt:
    print("children", len(psutil.Process().children(recursive=True)))
    print("calls", bench.run(use_case, variants="defaults", sample=1).model_calls, flush=True)
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the process of these tests puts its temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def started(folder: Path, scratch: Path) -> subprocess.Popen[str]:
    """A script that runs a slow model in a Lab which it never closes."""
    script = put(scratch.parent, "slow.py", SLOW)
    variables = {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), "GENAIOPS_ENV_FILE": str(scratch / "none.env")}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env=os.environ | variables,
        cwd=scratch.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_ctrl_c_ends_the_run_with_its_processes_and_the_next_run_starts_anew(folder: Path, scratch: Path) -> None:
    process = started(folder, scratch)
    try:
        first = until_it_asks_the_model(process.pid)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert said.splitlines() == ["children 0", "calls 1"]
    assert process.returncode == 0
    assert psutil.wait_procs(first, PATIENCE_S)[1] == []
    assert list(scratch.glob("genaiops-*")) == [], "the end of the process closes a Lab that nobody closed"


def test_kill_9_leaves_no_process(folder: Path, scratch: Path) -> None:
    process = started(folder, scratch)
    try:
        children = until_it_asks_the_model(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert len(children) >= 2, "a worker and the stand-in model"
    assert psutil.wait_procs(children, PATIENCE_S)[1] == []


def until_it_asks_the_model(pid: int) -> list[psutil.Process]:
    """Wait until a worker is connected to the stand-in model; returns all processes below."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children(recursive=True)
        listening = {c.laddr.port for child in children for c in connections(child) if c.status == psutil.CONN_LISTEN}
        asking = {c.raddr.port for child in children for c in connections(child) if c.raddr}
        if listening & asking:
            return children
        time.sleep(0.05)
    raise AssertionError("no worker asked the model")


def connections(process: psutil.Process) -> list[Any]:
    try:
        return process.net_connections("tcp")
    except psutil.Error:
        return []  # it ended meanwhile
