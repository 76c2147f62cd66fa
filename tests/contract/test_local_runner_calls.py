"""The local flow runner's limit of calls in flight: over runs, processes, clients, and lines that are given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from shared.ports import RunSpec
from shared.results import LineStatus
from tests.contract.local_runner import eventually, one, spec, tickets, values
from tests.contract.model_server import ModelServer


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as model:
        yield model


def asking(model: ModelServer, *texts: str, how: str = "plainly", **changes: object) -> RunSpec:
    lines = [{"url": model.url, "text": text, "how": how} for text in texts]
    return spec("asking", lines, **{"flow_file": "flow.flex.yaml", **changes})


def test_runs_and_processes_side_by_side_share_one_limit(own_runner, model):
    runner = own_runner(calls_in_flight=3)
    runs = [
        tickets(model, *(f"[slow 0.05] a {n}" for n in range(12))),
        tickets(model, *(f"[slow 0.05] b {n}" for n in range(12)), environment={"ANOTHER": "process"}),
        asking(model, *(f"[slow 0.05] c {n}" for n in range(12))),
    ]
    with ThreadPoolExecutor() as threads:
        outcomes = list(threads.map(runner.start, runs))

    assert [outcome.record.failed_lines for outcome in outcomes] == [0, 0, 0]
    assert [outcome.record.model_calls for outcome in outcomes] == [12, 12, 12]
    assert model.most_in_flight == 3
    assert runner._pool.limits.counts() == {}


def test_coroutines_of_one_line_share_the_limit_too(own_runner, model):
    outcome = own_runner(calls_in_flight=2).start(asking(model, *["[slow 0.05] x"] * 4, how="in coroutines"))

    assert values(outcome) == [["short 0 answer"] * 3] * 4
    assert [line.model_calls for line in outcome.lines] == [3] * 4
    assert model.most_in_flight == 2


def test_a_call_that_is_tried_again_counts_once_and_holds_no_place_while_it_pauses(own_runner, model):
    runner = own_runner(calls_in_flight=1)
    outcome = runner.start(asking(model, f"[429 x3] {uuid4().hex}", "fine", "fine, too"))

    line, *others = outcome.lines
    assert (line.status, line.attempts, line.model_calls) == (LineStatus.COMPLETED, 4, 1)
    assert outcome.record.model_calls == 3
    asked = [request["messages"][-1]["content"] for request in model.requests]
    assert asked[-1].startswith("[429 x3]"), "the others went while it paused"
    assert [other.status for other in others] == [LineStatus.COMPLETED] * 2


def test_a_line_whose_time_is_over_while_it_waits_says_so(own_runner, model):
    outcome = own_runner(calls_in_flight=1).start(
        asking(model, "[slow 3] first", "[slow 3] second", line_timeout_s=1.5)
    )
    late = "The line timed out: it took longer than 1.5 s."
    waited = f"{late} It waited for a place when its time was over: 1 of 1 calls of {model.url} were in flight."
    assert sorted((line.error for line in outcome.lines), key=len) == [late, waited]


def test_a_line_that_was_given_up_makes_no_more_calls_however_often_it_tries(own_runner, model):
    text = f"[slow 2] {uuid4().hex}"
    outcome = own_runner().start(asking(model, text, how="again and again", line_timeout_s=1.0))
    assert "timed out" in one(outcome).error
    time.sleep(0.5)
    assert model.tries[text] == 1


def test_waiting_for_a_place_is_no_part_of_a_lines_latency(own_runner, model):
    runner = own_runner(calls_in_flight=1)
    runner.start(asking(model, "what is imported at the first line takes its time"))
    started = time.perf_counter()
    outcome = runner.start(asking(model, *(f"[slow 0.3] {n}" for n in range(8))))
    whole_ms = 1_000 * (time.perf_counter() - started)
    assert outcome.record.failed_lines == 0
    latencies = sorted(line.latency_ms for line in outcome.lines)
    assert latencies[0] >= 300
    # With the wait, the sixth would be under way for six of the eight calls' time, however busy the machine is.
    assert latencies[5] < 0.6 * whole_ms


def test_the_end_of_a_process_gives_its_places_back(own_runner, model):
    runner = own_runner(calls_in_flight=2)
    dying = asking(model, "[slow 30] a", "[slow 30] b", "[slow 30] c", environment={"A": "process of its own"})
    thread = threading.Thread(target=runner.start, args=(dying,))
    thread.start()
    assert eventually(lambda: runner._pool.limits.counts() == {model.url: (2, 1)})

    runner.cancel(dying.name)
    thread.join()
    assert values(runner.start(asking(model, "next"))) == ["short 0 answer"]
