"""Workers that are copies of one process with prompt flow in it, and what is done where that cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from shared.adapters.local.flow_runner import fork_server
from shared.ports import RunStatus
from tests.contract.local_runner import FLOWS, acts, eventually, graded, is_alive, values


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def group(pid: int) -> int:
    return os.getpgid(pid)


def test_workers_of_two_flows_are_copies_of_one_process_with_one_thread(own_runner):
    runner = own_runner()
    (first,) = values(runner.start(acts("pid")))
    (second,) = values(runner.start(acts("pid", environment={"A": "1"})))
    assert first != second
    assert parent(first) == parent(second) != os.getpid()
    assert len(list(Path(f"/proc/{parent(first)}/task").iterdir())) == 1
    assert (group(first), group(second)) == (first, second)


def test_each_copy_has_an_environment_and_an_engine_home_of_its_own(own_runner, monkeypatch):
    runner = own_runner()
    monkeypatch.setenv("A_VARIABLE_OF_THE_HOST", "before")
    (_, one) = values(runner.start(acts("environment GIVEN", "where", environment={"GIVEN": "1"})))
    monkeypatch.setenv("GENAIOPS_SIGNING_KEY", "secret")
    (given, other) = values(runner.start(acts("environment GIVEN", "where", environment={"GIVEN": "2"})))
    assert given == "2"
    assert one["home"] != other["home"]
    assert one["folder"] == other["folder"] == str(FLOWS / "misbehaving")
    (secret,) = values(runner.start(acts("environment GENAIOPS_SIGNING_KEY", environment={"GIVEN": "3"})))
    assert secret is None


def test_a_copy_that_ends_takes_no_other_along_and_says_how_it_ended(own_runner):
    runner = own_runner()
    (other,) = values(runner.start(acts("pid", environment={"A": "1"})))
    outcome = runner.start(acts("kill"))
    (line,) = outcome.lines
    assert "SIGKILL" in line.error
    assert values(runner.start(acts("pid", environment={"A": "1"}))) == [other]


def test_a_run_goes_on_after_the_end_of_the_process_that_was_copied(own_runner):
    runner = own_runner()
    (first,) = values(runner.start(acts("pid")))
    os.kill(parent(first), signal.SIGKILL)
    assert eventually(lambda: not is_alive(first))
    (again,) = values(runner.start(acts("pid")))
    assert again != first
    assert parent(again) != os.getpid()


def test_copies_end_with_their_runner_and_with_its_process(own_runner, tmp_path):
    runner = own_runner()
    (closed,) = values(runner.start(acts("pid")))
    copied = parent(closed)
    runner.close()
    assert not is_alive(copied)
    assert eventually(lambda: not is_alive(closed))

    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from shared.adapters.local.flow_runner import LocalFlowRunner\n"
        "from tests.contract.local_runner import acts, values\n"
        "runner = LocalFlowRunner(Path(sys.argv[1]), grace_s=150)\n"
        "print(*values(runner.start(acts('pid'))), flush=True)\n"
        "time.sleep(600)\n"
    )
    root = str(Path(__file__).parents[2])
    host = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "other")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    try:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        copied = parent(pid)
        host.kill()
        assert eventually(lambda: not is_alive(pid) and not is_alive(copied))
    finally:
        host.kill()
        host.communicate()


def test_when_no_flow_has_been_used_for_long_the_process_that_is_copied_ends(own_runner):
    runner = own_runner(idle_s=0.5)
    (pid,) = values(runner.start(acts("pid")))
    copied = parent(pid)
    assert eventually(lambda: not is_alive(copied))
    assert runner.start(graded("a")).status is RunStatus.COMPLETED


def test_a_flow_that_was_foreseen_finds_the_process_to_copy(own_runner):
    runner = own_runner()
    runner.foresee(FLOWS / "misbehaving", "flow.dag.yaml")
    begun = runner._pool._nursery._fork_server
    assert begun is not None
    (pid,) = values(runner.start(acts("pid")))
    assert parent(pid) == begun.result()._process.pid


def test_a_code_flow_that_was_foreseen_needs_none(own_runner):
    runner = own_runner()
    runner.foresee(FLOWS / "code", "returns_text.flex.yaml")
    assert runner._pool._nursery._fork_server is None
    assert runner._pool._nursery._spare is None


def test_where_importing_prompt_flow_begins_threads_workers_are_processes_of_their_own(own_runner, monkeypatch):
    monkeypatch.setattr(fork_server, "_MODULE", "tests.contract.threaded_fork_server")
    runner = own_runner()
    (first,) = values(runner.start(acts("pid")))
    (second,) = values(runner.start(acts("pid", environment={"A": "1"})))
    assert parent(first) == parent(second) == os.getpid()
    assert not runner._pool._nursery._can_copy


def test_where_no_process_can_be_copied_a_spare_one_waits_for_the_next_flow(own_runner, monkeypatch):
    monkeypatch.setattr(fork_server, "IS_POSSIBLE", False)
    runner = own_runner()
    runner.foresee(FLOWS / "misbehaving", "flow.dag.yaml")
    foreseen = runner._pool._nursery._spare
    assert foreseen is not None
    (first,) = values(runner.start(acts("pid")))
    assert first == foreseen.result()._process.pid

    spare = runner._pool._nursery._spare
    assert spare is not None
    (second,) = values(runner.start(acts("pid", environment={"A": "1"})))
    assert second == spare.result()._process.pid != first
