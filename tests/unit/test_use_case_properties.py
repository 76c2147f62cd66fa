"""Whatever the files of a use case say, the answer is a use case or problems with file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.use_case.load import InvalidUseCase, load
from tests.unit.use_case_folder import EXPERIMENT, FLOW, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


AWKWARD = [
    "",
    "[]",
    "{}",
    "1",
    "-1.5",
    "null",
    "'x'",
    "[[1]]",
    "{a: {b: 1}}",
    "true",
    ".nan",
    ".inf",
    "2020-01-01",
    "*x",
]
AWKWARD += [
    "&a b",
    "0x1F",
    "1_000",
    "${data.}",
    "${",
    "'${run.inputs.}'",
    "[null]",
    "{null: null}",
    "a/b",
    "../..",
    "|",
    "'\\0'",
]


def spoilt(text: str, data: st.DataObject) -> str:
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["value", "value", "delete", "repeat", "indent"])):
            case "value":
                lines[at] = lines[at].split(":", maxsplit=1)[0] + ": " + data.draw(st.sampled_from(AWKWARD))
            case "delete":
                lines[at] = ""
            case "repeat":
                lines.insert(at, lines[at])
            case _:
                lines[at] = "  " + lines[at]
    return "\n".join(lines)


@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from(["experiment.yaml", "experiment.pr.yaml", "flows/standard/flow.dag.yaml"]))
def test_whatever_the_files_say_the_answer_is_a_use_case_or_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    root = tmp_path_factory.mktemp("spoilt", numbered=True)
    folder = written(root)
    put(folder, "experiment.pr.yaml", "concurrency: 1\n")
    put(folder, name, spoilt(FLOW if name.endswith("dag.yaml") else EXPERIMENT, data))
    try:
        load(folder, "pr", data=root / "data")
    except InvalidUseCase as error:
        assert all(p.file and p.message and p.line >= 0 for p in error.problems)  # noqa: PT017 - either way is right
    finally:
        shutil.rmtree(root)
