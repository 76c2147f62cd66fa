"""Dead letters from the command line: seen, sent again, or removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.cli.outcome import ExitCode
from shared import dead_letters
from shared.chain.messages import Queue
from shared.delivery import Delivery
from shared.ports import Ports
from tests.cli import ANSWERED_AT, FakeBus, fake_ports, printed_json, run

BODY = b'{"version": 1, "type": "ChainRequest", "kind": "nightly"}'


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, FakeBus]:
    return fake_ports(tmp_path, monkeypatch)


@pytest.fixture
def letter(wired: tuple[Ports, FakeBus]) -> str:
    """The id of the one dead letter."""
    delivery = Delivery(Queue.CHAIN_REQUESTS, BODY, "build-7", 1, ANSWERED_AT)
    dead_letters.reject(wired[0], delivery, "kind: [nightly] is no kind of chain")
    return dead_letters.listed(wired[0])[0].id


def test_without_dead_letters_the_list_says_so(wired: tuple[Ports, FakeBus]) -> None:
    del wired
    assert "There are no dead letters." in run("dead-letters", "list").stdout
    assert printed_json(run("dead-letters", "list", "--json")) == []


def test_a_dead_letter_is_listed_with_its_reason_and_shown_with_its_body(letter: str) -> None:
    listed = run("dead-letters", "list")
    assert letter in listed.stdout
    assert "Malformed: kind: [nightly] is no kind of chain" in listed.stdout
    shown = run("dead-letters", "show", letter)
    assert BODY.decode() in shown.stdout
    assert printed_json(run("dead-letters", "show", letter, "--json"))["body"] == BODY.decode()


def test_replay_sends_the_message_again_and_removes_the_record(wired: tuple[Ports, FakeBus], letter: str) -> None:
    assert run("dead-letters", "replay", letter).exit_code == ExitCode.OK
    ((queue, message),) = wired[1].sent
    assert (queue, message.body) == ("chain-requests", BODY)
    assert message.message_id != "build-7", "duplicate detection would drop the same id"
    assert dead_letters.listed(wired[0]) == []


def test_discard_removes_the_record_and_sends_nothing(wired: tuple[Ports, FakeBus], letter: str) -> None:
    assert run("dead-letters", "discard", letter).exit_code == ExitCode.OK
    assert wired[1].sent == []
    assert dead_letters.listed(wired[0]) == []


@pytest.mark.parametrize("command", ["show", "replay", "discard"])
def test_a_dead_letter_that_does_not_exist_is_not_found(wired: tuple[Ports, FakeBus], command: str) -> None:
    del wired
    refused = run("dead-letters", command, "no-such-letter")
    assert refused.exit_code == ExitCode.NOT_FOUND
    assert "no-such-letter" in refused.stderr
