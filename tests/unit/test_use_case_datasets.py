"""Datasets of a use case: their rows, and the mappings from their columns to the inputs of flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.load import load
from tests.unit.use_case_folder import change, only_problem, problems_of, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def test_an_unmapped_input_takes_the_column_of_its_own_name_and_one_with_a_default_keeps_it(folder: Path) -> None:
    change(folder, "experiment.yaml", '  mappings:\n    text: "${data.text}"\n', "  mappings:\n")
    use_case = load(folder, "dev", data=folder.parents[1] / "data")
    assert use_case.datasets[0].mappings == {"text": "${data.text}"}


def test_a_mapped_name_that_the_flow_lacks_is_dropped_where_every_input_is_mapped(folder: Path) -> None:
    change(
        folder,
        "experiment.yaml",
        '    text: "${data.text}"\n',
        '    text: "${data.text}"\n    tone: warm\n    more: 1\n',
    )
    assert load(folder, "dev", data=folder.parents[1] / "data").datasets[0].mappings == {
        "text": "${data.text}",
        "tone": "warm",
    }


def test_a_bad_line_of_a_dataset_is_named(folder: Path) -> None:
    put(folder, "data/train.jsonl", '{"text": "a"}\n{"text": \n')
    assert "line 2" in only_problem(folder).message


def test_a_row_without_a_mapped_column_is_named_unless_it_is_beyond_max_rows(folder: Path) -> None:
    put(folder, "data/train.jsonl", '{"text": "a"}\n{"text": "b"}\n{"other": "c"}\n')
    assert "in line 3" in only_problem(folder).message
    change(folder, "experiment.yaml", "  description: For experiments.", "  max_rows: 2")
    assert load(folder, "dev", data=folder.parents[1] / "data").datasets[0].max_rows == 2


def test_ground_truth_with_fewer_rows_than_the_experiment_is_refused(folder: Path) -> None:
    put(folder.parents[1] / "data" / "greetings", "truth.csv", "answer\nwarm\n")
    problem = only_problem(folder)
    assert problem.key == "evaluators[0].datasets[0].source"
    assert "has 1 row for the 3 of 'train'" in problem.message
    change(folder, "experiment.yaml", "  description: For experiments.", "  max_rows: 1")
    assert load(folder, "dev", data=folder.parents[1] / "data")


def test_a_link_that_leads_out_of_the_folder_is_no_dataset(folder: Path, tmp_path: Path) -> None:
    secret = put(tmp_path, "secret.jsonl", '{"text": "a"}\n')
    (folder / "data" / "train.jsonl").unlink()
    (folder / "data" / "train.jsonl").symlink_to(secret)
    link, source = problems_of(folder)
    assert "is a symbolic link: put the file itself there" in link.message
    assert source.key == "datasets[0].source"
