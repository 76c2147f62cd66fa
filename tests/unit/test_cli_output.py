"""What the command line prints: nothing that a terminal would obey, and tables as wide as whoever reads them."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path

import pytest

from genaiops import embedded
from genaiops.cli import output
from genaiops.cli.outcome import ExitCode
from shared import chain_store
from shared.chain.state import ChainStatus, LogEntry, StepStatus
from shared.ports import Ports
from shared.visible import for_terminal, in_json, visible
from tests import samples
from tests.cli import FakeBus, fake_ports, run

HOSTILE = "a\x1b]0;owned\x07b\x9b2Jc\u202ed\re\x00f"
SHOWN = "a‹U+001B›]0;owned‹U+0007›b‹U+009B›2Jc‹U+202E›d‹U+000D›e‹U+0000›f"
REASON = "The use case is not valid: 2 problems.\n  experiment.yaml:1: name: first\n  experiment.yaml:2: flow: second"


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, FakeBus]:
    return fake_ports(tmp_path / "home", monkeypatch)


def failed(ports: Ports) -> str:
    """A chain that failed with a reason of several lines, which its step and its log tell as well."""
    chain = samples.sample_chain(status=ChainStatus.FAILED, reason=REASON, ended_at=samples.NOW)
    first = chain.steps[0].model_copy(update={"status": StepStatus.FAILED, "detail": REASON})
    chain_store.create(ports.blobs, chain.model_copy(update={"steps": (first, *chain.steps[1:])}))
    entries = (
        LogEntry(number=1, at=samples.NOW, level="error", text=f"Preparation failed: {REASON}"),
        LogEntry(number=2, at=samples.NOW, level="error", text=f"The chain ends as failed: {REASON}"),
    )
    chain_store.append_log(ports.blobs, chain.id, entries)
    return chain.id


# --------------------------------------------------------------------------------------------- what a terminal obeys


def test_text_is_written_out_wherever_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(HOSTILE)
    output.complain(HOSTILE)
    output.print_table(("name", "text"), [("row", HOSTILE)], title=None)
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == SHOWN
    assert printed.err.splitlines() == [SHOWN]
    assert SHOWN in printed.out.splitlines()[-1]


def test_json_for_scripts_is_escaped_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"text": HOSTILE + "é"})
    output.print_json_line({"text": HOSTILE + "é"})
    whole = capsys.readouterr().out
    assert whole == visible(whole)
    assert "é" in whole
    assert json.loads(whole[: whole.index("}") + 1]) == {"text": HOSTILE + "é"}


def test_line_breaks_and_tabs_stay_and_a_carriage_return_overwrites_nothing() -> None:
    assert for_terminal("a\tb\r\nc\nd\re") == "a\tb\nc\nd‹U+000D›e"
    assert in_json('"\u2028"') == '"\\u2028"'


def test_the_log_of_the_host_writes_out_what_flows_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    embedded._log_to_terminal()
    try:
        json.loads(HOSTILE)
    except ValueError:
        logging.getLogger("genaiops.test").exception("the flow said %s", HOSTILE)
    assert f"the flow said {SHOWN}" in stream.getvalue()
    assert "JSONDecodeError: Expecting value" in stream.getvalue()
    assert stream.getvalue() == for_terminal(stream.getvalue())


# ------------------------------------------------------------------------------------------------------ tables in a pipe


def test_a_table_in_a_pipe_is_as_wide_as_columns_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = "ticket_triage-ci-0123456789ab"
    row = (identifier, "ci", "The use case has " + "many " * 30 + "problems.")
    monkeypatch.setenv("COLUMNS", "72")
    output.print_table(("chain", "kind", "reason"), [row])
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 72
    assert identifier in narrow, "an id can be copied"
    assert narrow.count("many") == 30, "nothing is cut off"

    monkeypatch.setenv("COLUMNS", "300")
    output.print_table(("chain", "kind", "reason"), [row])
    assert row[2] in capsys.readouterr().out


def test_lines_of_text_are_never_folded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    output.say("word " * 50)
    assert len(capsys.readouterr().out.splitlines()) == 1


# ---------------------------------------------------------------------------------------------- reasons of several lines


def test_watch_prints_a_reason_of_several_lines_once(wired: tuple[Ports, FakeBus]) -> None:
    chain = failed(wired[0])
    watched = run("watch", chain)
    assert watched.exit_code == ExitCode.NO
    assert watched.stdout.count("experiment.yaml:1: name: first") == 1
    assert watched.stdout.count("experiment.yaml:2: flow: second") == 1
    assert watched.stdout.splitlines()[-1].endswith("The use case is not valid: 2 problems. …")


def test_tables_show_the_first_line_of_a_reason(wired: tuple[Ports, FakeBus]) -> None:
    chain = failed(wired[0])
    listed = run("status").stdout
    assert "The use case is not valid: 2 problems. …" in listed
    assert "first" not in listed
    one = run("status", chain).stdout
    assert one.count("experiment.yaml:1: name: first") == 1


def test_the_list_says_awaiting_approval_as_people_write_it(wired: tuple[Ports, FakeBus]) -> None:
    chain = samples.awaiting_approval(samples.sample_chain(), samples.sha("evidence"))
    chain_store.create(wired[0].blobs, chain)
    listed = run("status").stdout
    assert "awaiting approval" in listed
    assert "awaiting_approval" not in listed
