"""The YAML of a use case: what cannot be read is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shared.use_case.load import InvalidUseCase, load
from shared.use_case.problems import MOST_SHOWN
from tests.unit.use_case_folder import EXPERIMENT, change, only_problem, problems_of, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"name: x\nflow: \xff\n", 2, "0xff is not UTF-8"),
        (b"name: x\n\tflow: y\n", 2, "never with tabs"),
        (b"name: x\nflow: [a\ndatasets: 1\n", 3, "is not valid YAML"),
        (b"name: x\nname: y\n", 2, "is written twice (first on line 1)"),
        (b"name: x\nflow: a\x01b\n", 2, "control character"),
        (b"name: x\n---\nname: y\n", 2, "is not valid YAML"),
        (b"", 1, "is empty"),
        (b"name: &a [*a]\n", 1, "anchors are expanded"),
        (b"name: !!python/object:os.system x\n", 1, "YAML tag"),
        (b"? [a, b]\n: c\n", 1, "expected a plain word"),
        (b"- a\n", 1, "expected a mapping"),
        (b"name: x\nflow: " + b"[" * 100_000, 2, "nested too deeply"),
        (b"#" * 300_000, 0, "at most 262,144 are allowed"),
    ],
)
def test_broken_yaml_is_named_by_its_line(folder: Path, content: bytes, line: int, says: str) -> None:
    put(folder, "experiment.yaml", content)
    assert any(p.line == line and says in p.message for p in problems_of(folder)), [str(p) for p in problems_of(folder)]


def test_anchors_that_explode_are_refused_before_they_are_expanded(folder: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    put(folder, "experiment.yaml", f"a0: &a0 [x]\n{levels}{EXPERIMENT}")
    assert "anchors are expanded" in only_problem(folder).message


def test_honest_anchors_and_merge_keys_work(folder: Path) -> None:
    change(folder, "experiment.yaml", "  mappings:\n    text:", "  mappings: &m\n    text:")
    change(
        folder,
        "experiment.yaml",
        "evaluators:\n",
        "- name: again\n  source: data/train.jsonl\n  mappings:\n    <<: *m\n    tone: warm\n\nevaluators:\n",
    )
    use_case = load(folder, "dev", data=folder.parents[1] / "data")
    assert use_case.datasets[1].mappings == {"tone": "warm", "text": "${data.text}"}


def test_a_folder_without_an_experiment_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidUseCase, match=r"experiment\.yaml:0: file: cannot be read"):
        load(tmp_path, "dev", data=None)


def test_a_large_file_is_parsed_once_for_all_environments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    compose = YAML.compose

    def counted(self: YAML, text: str) -> object:
        parsed.append(len(text))
        return compose(self, text)

    monkeypatch.setattr(YAML, "compose", counted)
    large = EXPERIMENT + "".join(f"key_{number}: 1\n" for number in range(2_000))
    put(folder, "experiment.yaml", large)
    put(folder, "experiment.pr.yaml", "runtime: other\n")
    assert len(problems_of(folder)) == len(problems_of(folder, "pr")) == MOST_SHOWN
    assert parsed.count(len(large)) == 1
