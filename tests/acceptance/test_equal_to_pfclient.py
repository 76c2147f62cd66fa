"""What a chain makes of a flow equals what `PFClient.run` makes of it, line by line, for flows of every kind."""

from __future__ import annotations

import pytest

from benchmarks.experiment import matrix
from benchmarks.experiment.peer import run_peer
from benchmarks.flow_runner import latency_server
from genaiops.lab import Lab, load

pytestmark = pytest.mark.xdist_group("pfclient")  # its own process pools would fight over two cores


@pytest.fixture(scope="module")
def model():
    with latency_server(5) as url, matrix.connected(url):
        yield url


@pytest.fixture(scope="module")
def bench(model):
    with Lab() as bench:
        yield bench


@pytest.mark.parametrize("kind", matrix.KINDS)
def test_outputs_and_metrics_equal_those_of_the_client(kind, model, bench, tmp_path):
    _, results = matrix.timed(bench, load(matrix.USE_CASES / kind))
    # One run of four with its evaluation is enough here: the client takes five seconds before its first line.
    varied = results.variants[1]
    runs = [run for run in matrix.peer_runs(kind, tmp_path / kind) if run.name.startswith(f"{varied}/web")]
    theirs = run_peer(runs, model, tmp_path / "promptflow")

    assert len(theirs.outputs) == 2
    assert matrix.differences(results, theirs, variants=[varied], datasets=["web"]) == []
    first, second = ([line["outputs"] for line in _lines(results, variant)] for variant in results.variants)
    assert first != second, "the variants differ, or else their equality would say little"


def _lines(results, variant):
    return [
        {"outputs": {key: value for key, value in line.items() if key.startswith("outputs.")}}
        for line in results.lines(variant, "web").to_dict("records")
    ]


def test_a_difference_is_found_where_there_is_one(bench):
    _, results = matrix.timed(bench, load(matrix.USE_CASES / "dag"))
    lines = {
        f"{variant}/web": [
            {key.removeprefix("outputs."): value for key, value in line["outputs"].items()}
            for line in _lines(results, variant)
        ]
        for variant in results.variants
    }
    judged = {
        f"{variant}/web/judge": [
            {key.removeprefix("judge."): value for key, value in line.items() if key.startswith("judge.")}
            for line in results.lines(variant, "web").to_dict("records")
        ]
        for variant in results.variants
    }
    row = {line["variant"]: line for line in results.table().to_dict("records") if line["dataset"] == "web"}
    metrics = {
        f"{variant}/web/judge": {
            key.removeprefix("judge."): value for key, value in row[variant].items() if key.startswith("judge.")
        }
        for variant in results.variants
    }
    same = matrix.PeerResult(1.0, {**lines, **judged}, metrics)
    assert matrix.differences(results, same, datasets=["web"]) == []

    spoilt = {**lines, "default/web": [{"category": "another"}, *lines["default/web"][1:]]}
    other = matrix.PeerResult(1.0, {**spoilt, **judged}, {**metrics, "default/web/judge": {"accuracy": 2.0}})
    found = matrix.differences(results, other, datasets=["web"])
    assert [text.split(":")[0] for text in found] == ["default/web, line 1", "default/web"]
