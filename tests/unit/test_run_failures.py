"""What runs that left no record tell those who look: a failure until a new start, a passing fault once."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.local.flow_runner import failures
from shared.adapters.local.flow_runner.failures import Failures
from shared.errors import BusinessFailure, Malformed, Throttled, Transient

NAME = "chain-cell"


def raised(known: Failures, name: str = NAME) -> str:
    """The kind of error that a look raises; nothing, if it raises none."""
    try:
        known.tell(name)
    except Exception as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("error", [BusinessFailure("no such node"), Malformed("row 3 has no column")])
def test_a_failure_that_would_come_again_is_told_until_the_name_is_started_again(error: Exception) -> None:
    known = Failures()
    assert known.note(NAME, error) is error

    for _ in range(3):
        with pytest.raises(type(error), match=str(error)):
            known.tell(NAME)
    known.begin_again(NAME)
    assert raised(known) == ""


def test_a_passing_fault_is_told_once() -> None:
    known = Failures()
    known.note(NAME, Transient("the disk is full"))
    assert [raised(known), raised(known)] == ["Transient", ""]


def test_what_a_start_has_told_a_look_does_not_repeat_unless_it_would_come_again() -> None:
    known = Failures()
    known.note("passing", Transient("the disk is full"))
    known.note("lasting", BusinessFailure("no such node"))
    for name in ("passing", "lasting"):
        known.told(name)
    assert [raised(known, name) for name in ("passing", "lasting")] == ["", "BusinessFailure"]


def test_a_throttled_run_keeps_its_pause() -> None:
    known = Failures()
    known.note(NAME, Throttled("slow down", 7.5))
    with pytest.raises(Throttled) as told:
        known.tell(NAME)
    assert told.value.retry_after == 7.5


def test_a_fault_that_comes_back_at_every_try_becomes_a_failure() -> None:
    known = Failures()
    kinds = []
    for number in range(1, 6):
        known.begin_again(NAME)
        kinds.append(type(known.note(NAME, Transient(f"fault {number}"))).__name__)

    assert kinds == ["Transient"] * 4 + ["BusinessFailure"]
    with pytest.raises(BusinessFailure, match="was tried 5 times and failed each time, at last with: fault 5"):
        known.tell(NAME)
    known.begin_again(NAME)
    assert isinstance(known.note(NAME, Transient("from the beginning")), Transient)


def test_pauses_are_no_tries_and_an_end_begins_the_count_anew() -> None:
    known = Failures()
    for _ in range(20):
        assert isinstance(known.note(NAME, Throttled("slow down", 1.0)), Throttled)
    for _ in range(4):
        known.note(NAME, Transient("again"))
    known.forget(NAME)
    assert isinstance(known.note(NAME, Transient("again")), Transient)


def test_only_so_many_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_REMEMBERED", 2)
    known = Failures()
    for name in ("a", "b", "c"):
        known.note(name, BusinessFailure("no"))
    assert [raised(known, name) for name in ("a", "b", "c")] == ["", "BusinessFailure", "BusinessFailure"]


def run_that_fails() -> None:
    try:
        Path("/nowhere").read_text()
    except OSError as cause:
        raise BusinessFailure("no") from cause


def test_a_remembered_failure_keeps_no_frames_of_its_run_nor_of_those_who_were_told() -> None:
    known = Failures()
    with pytest.raises(BusinessFailure) as ended:
        run_that_fails()
    caught = ended.value
    known.note(NAME, caught)
    assert caught.__traceback__ is None
    assert caught.__cause__ is not None
    assert caught.__cause__.__traceback__ is None

    told = []
    for _ in range(2):
        with pytest.raises(BusinessFailure) as look:
            known.tell(NAME)
        told.append(look.value)
    assert told[0] is not told[1]
