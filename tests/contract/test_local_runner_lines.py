"""Lines and flows that go wrong in the local flow runner, and what people are told."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from shared.adapters.local.flow_runner import drive, process
from shared.errors import BusinessFailure
from shared.ports import RunStatus
from shared.results import LineStatus
from tests.contract.local_runner import acts, eventually, graded, is_alive, one, spec, tickets, values


def test_a_line_that_hangs_times_out_and_the_others_go_on(runner):
    outcome = runner.start(acts("a", "hang", "b", "c", "d", line_timeout_s=1.0, concurrency=2))

    lines = list(outcome.lines)
    assert [line.status for line in lines] == ["completed", "failed", "completed", "completed", "completed"]
    assert lines[1].error == "The line timed out: it took longer than 1 s."


def test_every_line_may_hang(runner):
    outcome = runner.start(acts(*["hang"] * 6, line_timeout_s=0.5, concurrency=2))
    assert outcome.record.failed_lines == 6


def test_after_a_run_with_stuck_lines_the_worker_is_replaced(runner):
    before, _ = values(runner.start(acts("pid", "hang", line_timeout_s=1.0)))
    after = values(runner.start(acts("pid")))
    assert after != [before]
    assert eventually(lambda: not is_alive(before))


def test_a_line_that_holds_the_interpreter_is_ended_and_found(runner, monkeypatch):
    monkeypatch.setattr(process, "_GRACE_S", 5.0)
    outcome = runner.start(acts("a", "hold", "b", line_timeout_s=1.0))

    lines = list(outcome.lines)
    assert [line.status for line in lines] == ["completed", "failed", "completed"]
    assert "held the interpreter" in lines[1].error


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("_exit 3", "ended by itself with exit code 3; it last printed: last words"),
        ("kill", "was ended by SIGKILL"),
    ],
)
def test_the_line_that_ends_its_process_is_found_and_the_others_complete(runner, what, told):
    outcome = runner.start(acts("sleep 0.3", "sleep 0.3", what, "a", "b"))

    lines = list(outcome.lines)
    assert [line.status for line in lines] == ["completed", "completed", "failed", "completed", "completed"]
    assert told in lines[2].error


def test_a_flow_that_always_ends_its_process_cannot_be_run(runner, monkeypatch):
    monkeypatch.setattr(drive, "_MOST_DEATHS", 3)
    told = r"'misbehaving' ended 3 times in this run, the last time while it ran line 2: .* exit code 3"
    with pytest.raises(BusinessFailure, match=told):
        runner.start(acts(*["_exit 3"] * 20))
    assert values(runner.start(acts("the next"))) == ["next"]


def test_another_run_of_the_same_flow_survives_the_end_of_the_process(runner):
    outcomes = {}
    threads = [
        threading.Thread(target=lambda name=name, whats=whats: outcomes.update({name: runner.start(acts(*whats))}))
        for name, whats in {"good": ["sleep 0.3"] * 40, "bad": ["sleep 0.5", "_exit 1"]}.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes["good"].record.failed_lines == 0
    assert outcomes["bad"].record.failed_lines == 1


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("raise too bad", "Execution failure in 'act': (ValueError) too bad"),
        ("exit 4", "sys.exit(4)"),
        ("object", "the output 'value' (lock) has no JSON form"),
        ("cycle", "the output 'value' (list) has no JSON form"),
    ],
)
def test_a_line_fails_with_a_reason_that_helps(runner, what, told):
    line = one(runner.start(acts(what)))
    assert line.status is LineStatus.FAILED
    assert told in line.error


@pytest.mark.parametrize("depth", [101, 200, 300, 980, 988, 995, 5_000])
def test_an_output_nested_too_deeply_fails_its_line_alone(runner, depth):
    outcome = runner.start(acts("a", f"nest {depth}", "b"))

    lines = list(outcome.lines)
    assert [line.status for line in lines] == ["completed", "failed", "completed"]
    assert "the output 'value' is nested deeper than 100 levels" in lines[1].error


def test_an_output_of_a_hundred_levels_is_stored(runner):
    (value,) = values(runner.start(acts("nest 100")))
    assert str(value) == "[" * 100 + "'core'" + "]" * 100


@pytest.mark.parametrize("depth", [101, 300, 5_000])
def test_an_input_nested_too_deeply_fails_its_line_alone(runner, depth):
    nested: list[object] = []
    for _ in range(depth):
        nested = [nested]
    lines = list(runner.start(spec("misbehaving", [{"what": "a"}, {"what": nested}])).lines)
    assert [line.status for line in lines] == ["completed", "failed"]
    assert lines[1].error == "An input of the line is nested deeper than 100 levels."


def test_a_line_that_the_worker_has_lost_is_found_and_fails(runner, monkeypatch):
    monkeypatch.setattr(drive, "_GRACE_S", 1.0)
    outcome = runner.start(acts("a", "lose", "b", line_timeout_s=1.0, concurrency=1))

    lines = list(outcome.lines)
    assert [line.status for line in lines] == ["completed", "failed", "completed"]
    assert "it left its lines unanswered for 3 s" in lines[1].error


@pytest.mark.parametrize("what", ["deep", "list", "nothing", "text"])
def test_a_line_that_writes_into_the_workers_pipe_is_found_and_fails(runner, what):
    outcome = runner.start(acts("a", f"write {what}", "b", concurrency=1))

    lines = list(outcome.lines)
    assert [line.status for line in lines] == ["completed", "failed", "completed"]
    assert "something other than its worker wrote into the pipe" in lines[1].error


@pytest.mark.parametrize(
    ("told", "tokens"),
    [
        ("-5", (0, 0)),
        ('"many"', (0, 0)),
        ("NaN", (0, 0)),
        ("1e300", (1_000_000_000, 1_000_000_000)),
        ("[7]", (0, 0)),
        ("12.0", (12, 12)),
    ],
)
def test_what_is_no_number_of_tokens_is_not_counted(runner, model, told, tokens):
    line = one(runner.start(tickets(model, f"[usage {told}]")))
    assert (line.status, line.tokens.prompt, line.tokens.completion) == (LineStatus.COMPLETED, *tokens)


def test_an_error_is_kept_short(runner):
    assert len(one(runner.start(acts("raise " + "e" * 100_000))).error) == 4_000


def test_a_flow_may_print_a_hundred_megabytes(runner):
    outcome = runner.start(acts("print 100", "a"))
    assert outcome.record.failed_lines == 0


def test_what_json_cannot_say_becomes_what_it_can(runner):
    assert values(runner.start(acts("nan", "surrogate", "\ud800"))) == [
        {"score": None, "rest": [1, None]},
        "half a character: ?",
        "",
    ]


def test_a_large_output_arrives(runner):
    (value,) = values(runner.start(acts("big 20000000")))
    assert len(value) == 20_000_000


def test_a_line_without_its_input_fails_and_says_which(runner):
    line = one(runner.start(spec("misbehaving", [{"other": 1}])))
    assert line.status is LineStatus.FAILED
    assert "'what' is not provided in line 1 of input data" in line.error


def test_an_input_without_a_json_form_is_named(runner):
    with pytest.raises(BusinessFailure, match="Line 2 has an input without a JSON form"):
        runner.start(spec("misbehaving", [{"what": "a"}, {"what": object()}]))


def test_texts_call_lines_by_the_numbers_that_they_are_given(runner):
    run = spec("misbehaving", [{"what": "a"}, {"what": "raise no"}, {"other": 1}], line_numbers=[2, 5, 8])
    outcome = runner.start(replace(run, tolerated_failures=0.0))
    assert "2 of 3 lines failed (lines 6, 9). Line 6: " in outcome.record.reason
    assert outcome.record.reason.endswith(". That is 66.7 % of the lines; 0 % are tolerated")
    assert "is not provided in line 9 of input data" in outcome.record.reason


def test_a_run_without_lines_fails_and_says_so(runner):
    outcome = runner.start(acts())
    assert (outcome.status, outcome.record.reason) == (RunStatus.FAILED, "the run has no lines")


def test_lines_that_capture_their_output_at_the_same_time_each_get_their_own(runner):
    outcome = runner.start(acts(*(f"capture {n}" for n in range(64))))
    assert values(outcome) == [[str(n), str(n)] for n in range(64)]


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        ("missing_package", "imports 'a_package_that_nobody_has', which is not installed"),
        ("wrong_source", "SyntaxError|invalid syntax"),
        ("exits_on_import", "exit code 7; it last printed: this module leaves at once"),
    ],
)
def test_a_flow_that_cannot_be_loaded_says_why(runner, flow, told):
    with pytest.raises(BusinessFailure, match=told):
        runner.start(spec(flow, [{}]))
    assert values(runner.start(acts("other flows go on"))) == ["flows go on"]


@pytest.mark.parametrize(("dag", "told"), [("nodes: [", "not valid YAML"), ("inputs: {}", "no list `nodes`")])
def test_a_flow_file_that_is_wrong_is_refused(runner, tmp_path, dag, told):
    (tmp_path / "flow.dag.yaml").write_text(dag)
    with pytest.raises(BusinessFailure, match=told):
        runner.start(spec("broken", [{}], flow=tmp_path, flow_digest="f" * 64))


@pytest.mark.parametrize(("truth", "told"), [("explode", "no metrics today"), ("nan", "'broken' is nan")])
def test_an_aggregation_that_fails_fails_the_run(runner, truth, told):
    outcome = runner.start(graded("a", truth))
    assert outcome.status is RunStatus.FAILED
    assert "the aggregation failed" in outcome.record.reason
    assert told in outcome.record.reason


def test_metrics_survive_the_end_of_the_process(runner):
    outcome = runner.start(graded("a", "a", "the end", "b", concurrency=1))
    assert outcome.record.failed_lines == 1
    assert outcome.record.metrics == {"accuracy": pytest.approx(2 / 3), "lines": 3.0}


def test_runs_that_aggregate_at_the_same_time_keep_their_metrics_apart(runner):
    metrics = {}
    threads = [
        threading.Thread(
            target=lambda n=n: metrics.update({n: runner.start(graded(*["a"] * n, *["b"] * (10 - n))).record.metrics})
        )
        for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics == {n: {"accuracy": n / 10, "lines": 10.0} for n in range(10)}
