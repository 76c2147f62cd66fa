"""What only the local flow runner has: prompt flow, models that refuse, worker processes, and flows that misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from shared.adapters.local.flow_runner import LocalFlowRunner, drive, process, spool
from shared.connections import Connection
from shared.errors import BusinessFailure, NotFound, Throttled, Transient
from shared.ports import RunOutcome, RunSpec, RunStatus
from shared.results import LineRecord, LineStatus
from tests.contract.model_server import ModelServer

FLOWS = Path(__file__).parent / "flows"
KEY = "sk-test-0123456789"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFlowRunner]:
    runner = LocalFlowRunner(tmp_path_factory.mktemp("runner"), grace_s=150)
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as model:
        yield model


@pytest.fixture
def own_runner(tmp_path: Path) -> Iterator[Callable[..., LocalFlowRunner]]:
    made = []

    def make(**settings: object) -> LocalFlowRunner:
        made.append(LocalFlowRunner(tmp_path / "home", **{"grace_s": 150, **settings}))
        return made[-1]

    yield make
    for runner in made:
        runner.close()


def spec(folder: str, given: object, **changes: object) -> RunSpec:
    values: dict[str, object] = {
        "name": f"run-{uuid4().hex}",
        "flow": FLOWS / folder,
        "flow_digest": folder.encode().hex().ljust(64, "0"),
        "lines": given,
        "tolerated_failures": 1.0,
        "line_timeout_s": 30.0,
    }
    return RunSpec(**{**values, **changes})


def acts(*whats: str, **changes: object) -> RunSpec:
    return spec("misbehaving", [{"what": what} for what in whats], **changes)


def tickets(model: ModelServer, *texts: str, **changes: object) -> RunSpec:
    connections = {
        "aoai": Connection("aoai", "azure", model.url, KEY),
        "unused": Connection("unused", "azure", "x", KEY),
    }
    return spec("triage", [{"ticket": text} for text in texts], **{"connections": connections, **changes})


def values(outcome: RunOutcome) -> list[object]:
    return [line.outputs.get("value") for line in outcome.lines]


def one(outcome: RunOutcome) -> LineRecord:
    (line,) = outcome.lines
    return line


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --------------------------------------------------------------------------------------- variants, parameters, models


def test_a_node_uses_its_default_variant_unless_another_is_chosen(runner, model):
    default = runner.start(tickets(model, "one"))
    strict = runner.start(tickets(model, "one", variants={"classify": "strict"}))

    assert one(default).outputs == {"category": "plain 0.2 answer", "answer": "plain 0.2 answer"}
    assert one(strict).outputs["answer"] == "strict 0.4 answer"


def test_a_parameter_is_set_on_top_of_the_chosen_variant(runner, model):
    run = tickets(model, "one", variants={"classify": "strict"}, parameters={"classify.temperature": 0.9})
    assert one(runner.start(run)).outputs["answer"] == "strict 0.9 answer"
    assert one(runner.start(tickets(model, "one"))).outputs["answer"] == "plain 0.2 answer"


def test_a_parameter_that_the_node_does_not_write_down_reaches_the_model(runner, model):
    runner.start(tickets(model, "a seed", parameters={"classify.seed": 42}))
    assert [request["seed"] for request in model.requests if request["messages"][-1]["content"] == "a seed"] == [42]


def test_inputs_have_their_types_and_defaults(runner, model):
    run = tickets(model, lines=[{"ticket": "a"}, {"ticket": "a", "shout": "true"}])
    assert [line.outputs["category"] for line in runner.start(run).lines] == ["plain 0.2 answer", "PLAIN 0.2 ANSWER"]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"variants": {"classify": "stricter"}}, "no variant 'stricter'.*'plain', 'strict'"),
        ({"variants": {"tidy": "strict"}}, "'tidy' does not use variants"),
        ({"variants": {"missing": "strict"}}, "no node 'missing'"),
        ({"parameters": {"missing.temperature": 1}}, "'missing.temperature' names no node"),
        ({"parameters": {"temperature": 1}}, "<node>.<input>"),
        ({"connections": {}}, "aoai"),
    ],
)
def test_a_choice_that_the_flow_does_not_offer_is_refused(runner, model, choice, told):
    with pytest.raises(BusinessFailure, match=told):
        runner.start(tickets(model, "one", **choice))


def test_tokens_latency_engine_and_used_models_are_recorded(runner, model):
    outcome = runner.start(tickets(model, "one", "two"))

    assert [(line.tokens.prompt, line.tokens.completion) for line in outcome.lines] == [(11, 3), (11, 3)]
    assert outcome.record.tokens.total == 28
    assert 0 < outcome.record.latency.p50_ms <= outcome.record.latency.p95_ms <= outcome.record.latency.max_ms
    assert outcome.record.engine == "promptflow 1.18.5"
    assert outcome.record.models == (f"aoai: {model.url}",)


def test_no_more_lines_are_in_flight_than_allowed(runner, model):
    model.most_in_flight = 0
    runner.start(tickets(model, *(f"[slow 0.2] {n}" for n in range(12)), concurrency=4))
    assert model.most_in_flight == 4


@pytest.mark.parametrize(("refusal", "attempts"), [("[429 x2]", 3), ("[500 x1]", 2), ("[503 x4]", 5)])
def test_a_refusal_that_passes_is_tried_again_and_counted(runner, model, refusal, attempts):
    text = f"{refusal} {uuid4().hex}"
    outcome = runner.start(tickets(model, text, "fine"))

    line, fine = outcome.lines
    assert (line.status, line.attempts, fine.attempts) == (LineStatus.COMPLETED, attempts, 1)
    assert model.tries[text] == attempts
    assert outcome.record.retries == attempts - 1


@pytest.mark.parametrize("refusal", ["[500]", "[nothing]"])
def test_a_refusal_that_lasts_fails_the_line_after_six_tries(runner, model, refusal):
    text = f"{refusal} {uuid4().hex}"
    line = one(runner.start(tickets(model, text)))

    assert (line.status, line.attempts, model.tries[text]) == (LineStatus.FAILED, 6, 6)
    assert "OpenAI API hits" in line.error


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ("[401]", "AuthenticationError: Error code: 401"),
        ("[garbage]", "answered with something that is no JSON"),
        ("[broken json]", "answered with broken JSON"),
        ("[empty]", "answered without `choices`"),
    ],
)
def test_an_answer_that_trying_again_cannot_mend_fails_the_line_at_once(runner, model, refusal, told):
    text = f"{refusal} {uuid4().hex}"
    line = one(runner.start(tickets(model, text)))

    assert line.status is LineStatus.FAILED
    assert told in line.error
    assert model.tries[text] == 1
    assert KEY not in line.error


def test_a_model_that_is_not_there_fails_lines_not_the_runner(runner):
    nobody = {"aoai": Connection("aoai", "azure", "http://127.0.0.1:9", KEY)}
    line = one(runner.start(spec("triage", [{"ticket": "x"}], connections=nobody, line_timeout_s=3.0)))

    assert line.status is LineStatus.FAILED
    assert "Connection error" in line.error


# ------------------------------------------------------------------------------------------------- lines that go wrong


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
    assert "is not provided in line 9 of input data" in outcome.record.reason


def test_a_run_without_lines_fails_and_says_so(runner):
    outcome = runner.start(acts())
    assert (outcome.status, outcome.record.reason) == (RunStatus.FAILED, "the run has no lines")


def test_lines_that_capture_their_output_at_the_same_time_each_get_their_own(runner):
    outcome = runner.start(acts(*(f"capture {n}" for n in range(64))))
    assert values(outcome) == [[str(n), str(n)] for n in range(64)]


# ----------------------------------------------------------------------------------------------- flows that go wrong


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


def graded(*truths: str, **changes: object) -> RunSpec:
    return spec("accuracy", [{"prediction": "a", "truth": truth} for truth in truths], **changes)


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


# ----------------------------------------------------------------------------------------------------- the processes


def test_runs_of_one_flow_share_a_process_and_others_do_not(runner):
    (first,) = values(runner.start(acts("pid")))
    (again,) = values(runner.start(acts("pid")))
    (other,) = values(runner.start(acts("pid", environment={"A": "1"})))
    assert first == again != other != os.getpid()


def test_a_flow_sees_its_environment_and_nothing_of_ours(own_runner, monkeypatch):
    monkeypatch.setenv("GENAIOPS_SIGNING_KEY", "secret")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "secret")
    asked = ("GIVEN", "FROM_THE_FLOW", "GENAIOPS_SIGNING_KEY", "AZURE_CLIENT_SECRET", "PATH")
    given = values(own_runner().start(acts(*(f"environment {name}" for name in asked), environment={"GIVEN": "yes"})))
    assert given == ["yes", "written in the flow", None, None, os.environ["PATH"]]


def test_a_flow_asks_for_a_variable_of_its_host_and_gets_none_of_ours(runner, monkeypatch):
    monkeypatch.setenv("A_VARIABLE_OF_THE_HOST", "for the flow")
    monkeypatch.setenv("GENAIOPS_SIGNING_KEY", "secret")
    run = acts("environment FROM_HERE", "environment OF_OURS", environment={"B": "a worker of its own"})
    assert values(runner.start(run)) == ["for the flow", "${env:GENAIOPS_SIGNING_KEY}"]


def test_the_given_environment_goes_before_what_the_flow_writes_down(runner):
    run = acts("environment FROM_THE_FLOW", environment={"FROM_THE_FLOW": "given"})
    assert values(runner.start(run)) == ["given"]


def test_a_flow_has_an_empty_input_and_its_own_folder_and_engine_home(runner):
    stdin, where = values(runner.start(acts("stdin", "where")))
    assert stdin == ""
    assert where["folder"] == str(FLOWS / "misbehaving")
    settings = (Path(where["home"]) / "pf.yaml").read_text()
    assert "enabled: false" in settings
    assert "destination: none" in settings


def test_a_worker_starts_no_process_and_leaves_nothing_in_the_flows_folder(runner):
    (pid,) = values(runner.start(acts("pid")))
    children = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    assert "".join(children) == ""
    assert list((FLOWS / "misbehaving").glob("__pycache__/*")) == []


def test_with_one_place_flows_take_turns(own_runner):
    runner = own_runner(max_workers=1)
    (first,) = values(runner.start(acts("pid")))
    assert runner.start(graded("a")).status is RunStatus.COMPLETED
    (second,) = values(runner.start(acts("pid")))
    assert first != second
    assert eventually(lambda: not is_alive(first))


def test_with_one_place_a_run_waits_for_another_flows_run(own_runner):
    runner = own_runner(max_workers=1)
    outcomes = []
    threads = [
        threading.Thread(target=lambda run=run: outcomes.append(runner.start(run).status))
        for run in (acts("sleep 0.5"), graded("a"), acts("a", flow_digest="e" * 64))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [RunStatus.COMPLETED] * 3


def test_without_an_interpreter_no_flow_can_be_run(own_runner):
    with pytest.raises(BusinessFailure, match="/nowhere/python"):
        own_runner(python="/nowhere/python").start(acts("a"))


def test_an_idle_worker_is_ended(own_runner):
    runner = own_runner(idle_s=0.2)
    (pid,) = values(runner.start(acts("pid")))
    assert eventually(lambda: not is_alive(pid))
    assert values(runner.start(acts("again"))) == [""]


def test_a_run_is_cancelled_and_keeps_the_lines_that_ended(runner):
    read = []

    def endless() -> Iterator[Mapping[str, object]]:
        while True:
            read.append(1)
            yield {"what": "sleep 0.05"}

    run = acts(lines=endless(), concurrency=2)
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(runner.start(run)))
    thread.start()
    assert eventually(lambda: len(read) > 10)
    assert runner.look(run.name).status is RunStatus.RUNNING
    runner.cancel(run.name)
    thread.join()

    (outcome,) = outcomes
    assert outcome.status is RunStatus.CANCELLED
    assert outcome.record.reason == "the run was cancelled"
    assert 0 < len(list(outcome.lines)) < len(read)
    assert runner.look(run.name).status is RunStatus.CANCELLED


def test_closing_ends_the_workers_and_runs_under_way_can_be_started_again(own_runner):
    runner = own_runner()
    (pid,) = values(runner.start(acts("pid")))
    run = acts("sleep 30")
    errors = []

    def start() -> None:
        try:
            runner.start(run)
        except Transient as error:
            errors.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    assert eventually(
        lambda: runner.look(run.name).status is RunStatus.RUNNING if run.name in runner._active else False
    )
    time.sleep(0.2)
    runner.close()
    thread.join()
    assert "closed" in errors[0]
    assert eventually(lambda: not is_alive(pid))
    with pytest.raises(Transient, match="closed"):
        runner.start(acts("a"))


def test_a_run_is_found_after_a_restart(own_runner):
    first = own_runner()
    run = acts("a", "pid")
    pids = values(first.start(run))
    first.close()

    again = own_runner()
    assert values(again.start(run)) == pids
    assert values(again.look(run.name)) == pids


def test_a_full_disk_is_a_passing_fault_and_the_run_can_be_started_again(runner, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run = acts("echo back")
    with monkeypatch.context() as patch:
        patch.setattr(spool._Unordered, "add", full)
        with pytest.raises(Transient, match="No space left on device"):
            runner.start(run)
    assert values(runner.start(run)) == ["back"]


def test_lines_that_cannot_be_read_end_the_run_with_their_error(runner):
    def lines() -> Iterator[Mapping[str, object]]:
        yield {"what": "a"}
        raise ValueError("line 2 of the dataset is broken")

    with pytest.raises(ValueError, match="line 2 of the dataset"):
        runner.start(acts(lines=lines()))
    assert values(runner.start(acts("next one"))) == ["one"]


# -------------------------------------------------------------------------------------- runs that outlast their start


class Gated:
    """Lines that do not come before `gate` is set: a run as long as a test needs it."""

    def __init__(self, *lines: object, then: Exception | None = None) -> None:
        self.gate = threading.Event()
        self.read = 0
        self._lines = lines
        self._then = then

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for what in self._lines:
            self.read += 1
            assert self.gate.wait(60)
            yield {"what": what}
        if self._then is not None:
            assert self.gate.wait(60)
            raise self._then


def when_ended(runner: LocalFlowRunner, name: str) -> RunOutcome:
    """Look until it has ended; raises what a look raises."""
    outcome = runner.look(name)
    while outcome.status is RunStatus.RUNNING:
        time.sleep(0.01)
        outcome = runner.look(name)
    return outcome


def test_a_start_does_not_wait_for_long_runs_and_looks_find_their_end(own_runner):
    runner = own_runner(grace_s=0.02)
    gated = [Gated(f"run {n}") for n in range(8)]
    runs = [acts(lines=lines) for lines in gated]

    assert [runner.start(run).status for run in runs] == [RunStatus.RUNNING] * 8
    assert [runner.look(run.name) for run in runs] == [RunOutcome(RunStatus.RUNNING)] * 8

    for lines in gated:
        lines.gate.set()
    assert [values(when_ended(runner, run.name)) for run in runs] == [[str(n)] for n in range(8)]
    assert [values(runner.look(run.name)) for run in runs] == [[str(n)] for n in range(8)]


def test_starting_a_run_that_is_under_way_joins_it(own_runner):
    runner = own_runner(grace_s=0.02)
    first, second = Gated("from first"), Gated("from second")
    runner.start(run := acts(lines=first))

    assert runner.start(acts(lines=second, name=run.name)).status is RunStatus.RUNNING
    first.gate.set()
    assert values(when_ended(runner, run.name)) == ["first"]
    assert values(runner.start(acts(lines=second, name=run.name))) == ["first"]
    assert second.read == 0


def test_why_a_run_failed_is_told_by_every_look_until_it_is_started_again(own_runner):
    runner = own_runner(grace_s=0.02)
    broken = Gated(object())
    runner.start(run := acts(lines=broken))
    broken.gate.set()

    for _ in range(3):
        with pytest.raises(BusinessFailure, match="Line 1 has an input without a JSON form"):
            when_ended(runner, run.name)
    runner.start(acts("the second", name=run.name))
    assert values(when_ended(runner, run.name)) == ["second"]


@pytest.mark.parametrize("fault", [Transient("the dataset is out of reach"), Throttled("too many reads", 7.0)])
def test_a_passing_fault_is_told_once_and_then_the_run_counts_as_lost(own_runner, fault):
    runner = own_runner(grace_s=0.02)
    interrupted = Gated("a", then=fault)
    runner.start(run := acts(lines=interrupted))
    interrupted.gate.set()

    with pytest.raises(type(fault), match=str(fault)):
        when_ended(runner, run.name)
    with pytest.raises(NotFound, match=run.name):
        runner.look(run.name)
    runner.start(acts("the second", name=run.name))
    assert values(when_ended(runner, run.name)) == ["second"]


def test_a_fault_that_a_start_has_told_is_not_told_again(runner):
    run = acts(lines=(1 / 0 for _ in range(1)))
    with pytest.raises(ZeroDivisionError):
        runner.start(run)
    with pytest.raises(NotFound):
        runner.look(run.name)


def test_a_run_waits_for_its_turn_and_can_be_cancelled_there(own_runner):
    runner = own_runner(grace_s=0.02, max_runs=1)
    first, second, third = Gated("a"), Gated("b"), Gated("at last")
    runs = [acts(lines=lines) for lines in (first, second, third)]
    assert [runner.start(run).status for run in runs] == [RunStatus.RUNNING] * 3

    runner.cancel(runs[1].name)
    assert runner.look(runs[1].name).status is RunStatus.CANCELLED
    assert runner.look(runs[0].name).status is RunStatus.RUNNING
    first.gate.set()
    third.gate.set()
    assert values(when_ended(runner, runs[2].name)) == ["last"]
    assert second.read == 0


def test_a_run_that_waits_for_another_flows_place_can_be_cancelled(own_runner):
    runner = own_runner(grace_s=0.02, max_workers=1)
    lines = Gated("a")
    runner.start(holder := acts(lines=lines))
    assert eventually(lambda: lines.read == 1)
    runner.start(waiting := graded("a"))

    runner.cancel(waiting.name)
    assert when_ended(runner, waiting.name).status is RunStatus.CANCELLED
    assert runner.look(holder.name).status is RunStatus.RUNNING
    lines.gate.set()
    assert when_ended(runner, holder.name).status is RunStatus.COMPLETED


def test_ended_runs_leave_neither_threads_nor_entries(own_runner):
    before = set(threading.enumerate())
    runner = own_runner(grace_s=0.02)
    for _ in range(5):
        runner.start(run := acts("a"))
        when_ended(runner, run.name)

    assert runner._active == {}
    assert eventually(lambda: not runner._threads)
    runner.close()
    assert eventually(lambda: set(threading.enumerate()) <= before)


def test_closing_ends_what_is_under_way_and_what_waits(own_runner):
    runner = own_runner(grace_s=0.02, max_runs=1)
    runs = [acts("sleep 30"), acts("b")]
    for run in runs:
        runner.start(run)
    assert eventually(lambda: runner._pool._leases and runner._pool._leases[0].ready.done())
    runner.close()

    for run in runs:
        with pytest.raises(Transient, match="closed"):
            runner.look(run.name)
        with pytest.raises(Transient, match="closed"):
            runner.start(run)
    assert runner._threads == set()


def test_closing_does_not_wait_for_a_flow_that_is_being_loaded(own_runner):
    runner = own_runner(grace_s=0.02)
    runner.start(run := acts("a"))
    runner.close()

    assert runner._threads == set()
    with pytest.raises(Transient, match="closed"):
        runner.look(run.name)


# --------------------------------------------------------------------------------------------------- the runner's folder


def test_wiring_a_runner_touches_no_disk(own_runner, tmp_path):
    own_runner()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_a_passing_fault_of_the_run(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(Transient, match="Results cannot be kept in"):
        LocalFlowRunner(tmp_path / "home", grace_s=150).start(acts("a"))


def test_after_a_run_what_is_too_old_is_removed(own_runner, tmp_path):
    runs = tmp_path / "home" / "runs"
    two_days_ago = time.time() - 2 * 24 * 3600
    for name in ("ended", "half-done.part", "under-way.part"):
        (runs / name).mkdir(parents=True)
        (runs / name / "lines").touch()
        os.utime(runs / name / "lines", (two_days_ago, two_days_ago))
        os.utime(runs / name, (two_days_ago, two_days_ago))
    os.utime(runs / "under-way.part" / "lines")
    (runs / "another process removed it").symlink_to("nowhere")

    runner = own_runner()
    run = acts("a")
    runner.start(run)
    runner.close()
    left = {path.name for path in runs.iterdir()}
    assert {"ended", "half-done.part"}.isdisjoint(left)
    assert "under-way.part" in left
    assert values(runner.look(run.name)) == [""]


OWNER = """
import sys, threading
from pathlib import Path
from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.ports import RunSpec

def spec(what):
    return RunSpec(name=what, flow=Path(sys.argv[2]), flow_digest="d" * 64, lines=[{"what": what}], line_timeout_s=3600)

runner = LocalFlowRunner(Path(sys.argv[1]), grace_s=150)
(line,) = runner.start(spec("pid")).lines
threading.Thread(target=runner.start, args=(spec(sys.argv[3]),), daemon=True).start()
print(line.outputs["value"], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("what", ["hang", "hold"])
def test_no_worker_outlives_its_owner_even_if_that_is_killed(tmp_path, what):
    home, flow = str(tmp_path), str(FLOWS / "misbehaving")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, home, flow, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        worker = int(owner.stdout.readline())
        assert is_alive(worker)
        time.sleep(0.5)
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.communicate()
    assert eventually(lambda: not is_alive(worker))
    (abandoned,) = [scratch for scratch in (tmp_path / "workers").iterdir() if str(owner.pid) in scratch.name][:1]
    successor = LocalFlowRunner(tmp_path, grace_s=150)
    successor.start(acts("a"))
    assert eventually(lambda: not abandoned.exists())
    successor.close()
    assert list((tmp_path / "workers").iterdir()) == []
