"""The local flow runner's worker processes, and the folder that it keeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from shared.adapters.local.flow_runner import LocalFlowRunner, spool
from shared.errors import BusinessFailure, Transient
from shared.ports import RunStatus
from shared.results import LineRecord, LineStatus
from tests.contract.local_runner import FLOWS, acts, eventually, graded, is_alive, spec, values


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


def test_a_flow_that_was_prepared_is_loaded_when_its_run_comes(own_runner):
    runner = own_runner()
    runner.prepare(acts())
    assert eventually(lambda: runner._pool._leases and runner._pool._leases[0].ready.done())
    prepared = runner._pool._leases[0].worker

    outcome = runner.start(acts("pid"))
    assert len(runner._pool._leases) == 1
    assert values(outcome) == [prepared._process.pid]


def test_preparing_takes_no_place_from_others_and_hides_what_is_wrong_until_the_start(own_runner):
    runner = own_runner(max_workers=1)
    (pid,) = values(runner.start(acts("pid")))
    runner.prepare(graded("a"))
    runner.prepare(spec("missing_package", []))
    assert values(runner.start(acts("pid"))) == [pid]
    with pytest.raises(BusinessFailure, match="a_package_that_nobody_has"):
        runner.start(spec("missing_package", [{}]))


def test_only_flows_that_need_prompt_flow_have_a_process_that_imports_it_ahead(own_runner):
    runner = own_runner()
    (plain,) = runner.start(spec("code", [{"text": "a"}], flow_file="returns_text.flex.yaml")).lines
    assert plain.status == "completed"
    nursery = runner._pool._nursery
    assert (nursery._spare, nursery._fork_server) == (None, None)
    runner.start(acts("a"))
    assert (nursery._spare or nursery._fork_server) is not None


def test_where_every_line_is_known_and_no_node_aggregates_no_process_is_started(own_runner):
    runner = own_runner()
    line = LineRecord(line=0, status=LineStatus.COMPLETED, inputs={"what": "a"})
    outcome = runner.start(acts(known_lines=[line], known_count=1))
    assert (outcome.status, outcome.record.lines, outcome.record.metrics) == (RunStatus.COMPLETED, 0, {})
    assert runner._pool._leases == []


def test_lines_beside_known_ones_survive_the_end_of_their_process(runner):
    line = LineRecord(line=0, status=LineStatus.COMPLETED, inputs={"what": "a"})
    outcome = runner.start(acts("sleep 0.3", "kill", "b", line_numbers=[1, 2, 3], known_lines=[line], known_count=1))
    assert [(line.line, line.status) for line in outcome.lines] == [(1, "completed"), (2, "failed"), (3, "completed")]


def test_a_known_line_without_what_the_aggregation_needs_is_refused(own_runner):
    line = LineRecord(line=4, status=LineStatus.COMPLETED, inputs={})
    with pytest.raises(BusinessFailure, match="Line 5 was taken from an earlier run, which kept nothing"):
        own_runner().start(graded("a", known_lines=[line], known_count=1))


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
