"""What a bundle could not hold is a problem of the use case."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from shared.errors import Malformed
from shared.use_case.bundle import make
from shared.use_case.load import load
from tests.unit.use_case_folder import only_problem, problems_of, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["notes\n.txt"], "holds a backslash or a control character"),
        (["a\\b.txt"], "holds a backslash"),
        (["C:notes.txt"], "is absolute"),
        (["Notes.txt", "notes.txt"], "alike but for case or accents"),
        (["caf\u00e9.txt", "cafe\u0301.txt"], "alike but for case or accents"),
        (["notes", "NOTES/a.txt"], "alike but for case or accents"),
        (["x" * 241], None),
    ],
)
def test_a_folder_that_no_bundle_could_hold_is_not_valid(folder: Path, names: list[str], says: str | None) -> None:
    if says is None:  # too long for one file name: spread over folders
        names, says = ["/".join(["d" * 60] * 4) + "/x"], "is longer than 240 characters"
    for name in names:
        put(folder, name, "x")
    (problem,) = problems_of(folder)
    assert says in problem.message
    with pytest.raises(Malformed, match=re.escape(says)):
        make(folder, None)


def test_a_pipe_in_the_folder_is_a_problem(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "is neither a file nor a folder" in only_problem(folder).message


def test_a_name_that_is_not_unicode_is_a_problem(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt"))).write_bytes(b"x")
    assert "is not Unicode: rename it" in only_problem(folder).message


def test_a_folder_spelled_in_two_ways_is_no_clash(folder: Path) -> None:
    put(folder, "Notes/a.txt", "x")
    put(folder, "notes/b.txt", "x")
    load(folder, "dev", data=folder.parents[1] / "data")
    assert make(folder, None).use_case == "greetings"
