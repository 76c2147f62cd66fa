"""Hostile code in each engine: its run ends with a record that says what happened, and the next flow is none the worse."""

from __future__ import annotations

import pytest

from shared.adapters.local.flow_runner import LocalFlowRunner, drive
from shared.errors import BusinessFailure
from shared.ports import RunSpec, RunStatus
from shared.results import LineStatus
from tests.contract.local_runner import one, spec


def hostile(flow_file: str, *whats: str, **changes: object) -> RunSpec:
    given = [{"what": what} for what in whats]
    return spec("hostile", given, **{"flow_file": f"{flow_file}.flex.yaml", "line_timeout_s": 1.0, **changes})


def aggregating(how: str) -> RunSpec:
    return hostile("class", "a", parameters={"init.aggregates": how})


@pytest.fixture(autouse=True)
def _next_flow_is_fine(runner: LocalFlowRunner):
    yield
    after = runner.start(spec("code", [{"text": "a"}], flow_file="returns_text.flex.yaml"))
    assert one(after).outputs == {"output": "a in code"}
    assert after.status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("how", "status", "told", "metrics"),
    [
        ("raises", RunStatus.FAILED, "RuntimeError: no sum of these", {}),
        ("exits", RunStatus.FAILED, "SystemExit: 3", {}),
        ("nan", RunStatus.FAILED, "The metric 'bad' is nan: a metric must be a finite number.", {"good": 1.0}),
        ("text", RunStatus.COMPLETED, "", {}),
        ("nothing", RunStatus.COMPLETED, "", {}),
        ("generator", RunStatus.COMPLETED, "", {}),
        ("nested", RunStatus.COMPLETED, "", {"good": 1.0}),
    ],
)
def test_an_aggregation_gives_numbers_or_a_reason(runner, how, status, told, metrics):
    outcome = runner.start(aggregating(how))
    assert (outcome.status, dict(outcome.record.metrics)) == (status, metrics)
    assert told in outcome.record.reason
    assert one(outcome).status is LineStatus.COMPLETED


@pytest.mark.parametrize(
    "run",
    [aggregating("endless"), spec("hostile_whole_run", [{"what": "endless"}], flow_file="")],
    ids=["class", "all"],
)
def test_an_aggregation_that_never_ends_is_ended(runner, monkeypatch, run):
    monkeypatch.setattr(drive, "_AGGREGATION_S", 0.5)
    outcome = runner.start(run)
    assert outcome.status is RunStatus.FAILED
    assert "it took longer than 0.5 s" in outcome.record.reason


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("raises", "RuntimeError: no sum of these"),
        ("text", "eval_all returned no mapping"),
        ("nan", "The metric 'bad' is inf"),
    ],
)
def test_a_function_for_a_whole_run_that_fails_fails_its_run(runner, what, told):
    outcome = runner.start(spec("hostile_whole_run", [{"what": what}], flow_file=""))
    assert outcome.status is RunStatus.FAILED
    assert told in outcome.record.reason


def test_a_function_for_a_whole_run_may_remove_its_own_files(runner):
    assert runner.start(spec("hostile_whole_run", [{"what": "removes"}], flow_file="")).record.metrics == {"good": 1.0}


@pytest.mark.parametrize(
    "run",
    [
        hostile("class", "a", parameters={"init.exits": "yes"}),
        spec("hostile_whole_run", [{"what": "exits"}], flow_file=""),
    ],
    ids=["made", "whole run"],
)
def test_code_that_ends_its_process_outside_of_lines_is_refused_with_its_exit_code(runner, run):
    with pytest.raises(BusinessFailure, match="exit code 7"):
        runner.start(run)


@pytest.mark.parametrize(
    ("flow_file", "what"),
    [
        ("waits", "waits"),
        ("waits", "blocks"),
        ("generates", "endless"),
        ("generates_while_it_waits", "endless"),
    ],
)
def test_code_that_never_ends_times_out_and_the_run_after_it_is_fine(runner, flow_file, what):
    outcome = runner.start(hostile(flow_file, what))
    assert "The line timed out: it took longer than 1 s" in one(outcome).error
    again = one(runner.start(hostile(flow_file, "a")))
    assert again.status is LineStatus.COMPLETED, again.error


@pytest.mark.parametrize("flow_file", ["class", "waits"])
@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("cycle", "Circular reference"),
        ("bytes", "'value' (bytes) has no JSON form"),
        ("keys", "'value' (dict) has no JSON form"),
        ("number", "4300"),
        ("huge", "at most 67,108,864 are allowed"),
    ],
)
def test_a_value_that_cannot_be_stored_fails_its_line(runner, flow_file, what, told):
    line = one(runner.start(hostile(flow_file, what, line_timeout_s=30.0)))
    assert line.status is LineStatus.FAILED
    assert told in line.error


@pytest.mark.parametrize("flow_file", ["class", "waits"])
@pytest.mark.parametrize("what", ["close", "away", "signals", "json"])
def test_what_code_does_to_its_process_ends_with_its_run(runner, flow_file, what):
    # Whether the line completes depends on what was spoilt; that it ends, and is told, does not.
    outcome = runner.start(hostile(flow_file, what, "b", line_timeout_s=5.0, environment={"OF": f"{flow_file} {what}"}))
    assert [line.line for line in outcome.lines] == [0, 1]
    assert all(line.error for line in outcome.lines if line.status is LineStatus.FAILED)


@pytest.mark.parametrize(
    ("what", "told"), [("broken", "ParserError"), ("nobody", "nobody"), ("missing", "missing.prompty")]
)
def test_a_prompty_that_a_class_cannot_load_fails_its_line(runner, what, told):
    run = spec("hostile_prompty", [{"what": what}], flow_file="flow.flex.yaml")
    line = one(runner.start(run))
    assert line.status is LineStatus.FAILED
    assert told in line.error
