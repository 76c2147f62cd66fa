"""The command line as a whole: help, exit codes, errors as one line, and nothing heavy imported."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from genaiops.cli import outcome, wiring
from genaiops.cli.outcome import ExitCode, TimedOut, exit_code_of
from shared import bootstrap, chain_store, settings
from shared.chain.messages import ChainKind
from shared.chain.state import Chain
from shared.errors import BusinessFailure, InvalidName, Malformed, NotFound, Throttled, Transient
from shared.settings import InvalidSettings
from tests import samples
from tests.cli import fake_ports, run

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "demo start submit upload watch status approve reject cancel report validate plan dead-letters docs".split()  # noqa: SIM905
)


def in_a_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GENAIOPS_")}
    return subprocess.run(
        [sys.executable, "-m", "genaiops", *arguments],
        cwd=ROOT, env=kept | environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_help_lists_every_command_and_every_exit_code() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert [name for name in COMMANDS if f" {name} " not in shown.stdout] == []
    words = " ".join(shown.stdout.split())
    assert [code for code, meaning in outcome.MEANING.items() if f"{code.value} {meaning}" not in words] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert f"python -m genaiops {command}" in shown.stdout


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, genaiops.cli.app; heavy = {'pydantic', 'pandas', 'promptflow', 'aiohttp', 'azure', 'jinja2',"
        " 'ruamel', 'sqlite3'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_kinds_that_the_command_line_knows_are_the_kinds_there_are() -> None:
    assert set(wiring.Kind.__args__) == {kind.value for kind in ChainKind}


def test_an_unknown_command_is_a_usage_error() -> None:
    done = in_a_process("experiment")
    assert done.returncode == ExitCode.USAGE
    assert "experiment" in done.stderr


def test_a_wrong_setting_is_one_line_for_each_setting(tmp_path: Path) -> None:
    done = in_a_process("status", GENAIOPS_HOME=str(tmp_path), GENAIOPS_HTTP_PORT="eighty", GENAIOPS_PROFILE="moon")
    assert done.returncode == ExitCode.USAGE
    assert "GENAIOPS_HTTP_PORT is 'eighty'" in done.stderr
    assert "GENAIOPS_PROFILE is 'moon'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "start"])
def test_a_home_that_cannot_be_made_names_the_setting(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "inside", Path("/proc/no-such-process")):
        done = in_a_process(command, GENAIOPS_HOME=str(home))
        assert done.returncode == ExitCode.USAGE
        assert f"{home} cannot be used" in done.stderr
        assert "set GENAIOPS_HOME to a folder" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_start_tells_a_wrong_connection_before_it_serves(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("aoai={broken\n")
    done = in_a_process("start", GENAIOPS_HOME=str(tmp_path / "home"), GENAIOPS_ENV_FILE=str(tmp_path / ".env"))
    assert done.returncode == ExitCode.NO
    assert f"The connection 'aoai' in {tmp_path / '.env'} is not valid JSON" in done.stderr
    assert "dashboard" not in done.stdout, "nothing was started"
    assert not (tmp_path / "home" / "stand-in.log").exists()


def test_a_chain_that_does_not_exist_is_said_without_a_traceback(tmp_path: Path) -> None:
    done = in_a_process("status", "no-such-chain", GENAIOPS_HOME=str(tmp_path))
    assert done.returncode == ExitCode.NOT_FOUND
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no-such-chain" in done.stderr


def test_output_into_a_pipe_has_no_colours(tmp_path: Path) -> None:
    done = in_a_process("status", GENAIOPS_HOME=str(tmp_path))
    assert done.returncode == ExitCode.OK
    assert "\x1b" not in done.stdout
    assert "no chains yet" in done.stdout


def test_an_unexpected_error_names_itself_and_debug_shows_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_ports(tmp_path, monkeypatch)

    def broken() -> None:
        raise KeyError("who would have thought")

    monkeypatch.setattr(wiring, "ports", broken)
    plain, debug = run("status"), run("--debug", "status")
    assert plain.exit_code == debug.exit_code == ExitCode.BUG
    assert "Unexpected KeyError: 'who would have thought' (--debug shows where)" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr


def test_ctrl_c_ends_a_command_with_its_own_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ports(tmp_path, monkeypatch)

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(wiring, "ports", interrupted)
    ended = run("watch", "some-chain")
    assert ended.exit_code == ExitCode.INTERRUPTED
    assert ended.stderr.strip() == "Interrupted."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), ExitCode.NOT_FOUND),
        (InvalidSettings("x"), ExitCode.USAGE),
        (InvalidName("x"), ExitCode.USAGE),
        (Malformed("x"), ExitCode.NO),
        (BusinessFailure("x"), ExitCode.NO),
        (TimedOut("x"), ExitCode.TIMED_OUT),
        (Transient("x"), ExitCode.TIMED_OUT),
        (Throttled("x", 1), ExitCode.TIMED_OUT),
        (ConnectionRefusedError("x"), ExitCode.TIMED_OUT),
        (PermissionError("x"), ExitCode.NO),
        (ZeroDivisionError("x"), ExitCode.BUG),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_every_family_of_errors_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def ended_chain(home: Path) -> Chain:
    """A chain that has ended, with its results, in a home on disk."""
    blobs = bootstrap.wire(settings.read({"GENAIOPS_HOME": str(home)})).blobs
    chain = samples.deployed(samples.awaiting_approval(samples.sample_chain(), samples.sha("evidence")))
    chain_store.create(blobs, chain)
    samples.write_results(blobs, chain)
    return chain


def on_a_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a command whose streams are a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "genaiops", *arguments],
        cwd=ROOT, env=os.environ | {"TERM": "xterm-256color"} | environment, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux: the other side is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    return process.wait(60), said.decode()


def test_on_a_terminal_watch_draws_the_steps_and_what_went_wrong(tmp_path: Path) -> None:
    chain = ended_chain(tmp_path)
    code, said = on_a_terminal("watch", chain.id, GENAIOPS_HOME=str(tmp_path))
    assert code == ExitCode.OK
    assert "\x1b[32m" in said, "colours"
    assert "━" * 60 in said, "every line is done"
    assert "1 line failed on every run, within the tolerated share." in said
    assert "ended as succeeded" in said


def test_no_color_is_heeded_on_a_terminal(tmp_path: Path) -> None:
    chain = ended_chain(tmp_path)
    _, said = on_a_terminal("status", chain.id, GENAIOPS_HOME=str(tmp_path), NO_COLOR="1")
    assert "succeeded" in said
    assert "\x1b[32m" not in said


def test_tables_in_a_pipe_end_where_their_text_ends(tmp_path: Path) -> None:
    chain = ended_chain(tmp_path)
    lines = in_a_process("status", chain.id, GENAIOPS_HOME=str(tmp_path)).stdout.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
