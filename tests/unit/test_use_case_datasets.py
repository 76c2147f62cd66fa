"""Datasets of a use case: their rows, and the mappings from their columns to the inputs of flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import BusinessFailure
from shared.use_case.load import InvalidUseCase, load
from tests.unit.use_case_folder import change, loaded, only_problem, problems_of, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def test_an_unmapped_input_takes_the_column_of_its_own_name_and_one_with_a_default_keeps_it(folder: Path) -> None:
    change(folder, "experiment.yaml", '  mappings:\n    text: "${data.text}"\n', "  mappings:\n")
    use_case = load(folder, "dev", data=folder.parents[1] / "data")
    assert use_case.datasets[0].mappings == {"text": "${data.text}"}


def test_a_mapped_name_that_the_flow_lacks_is_dropped_with_a_warning_where_every_input_has_a_value(
    folder: Path,
) -> None:
    line = change(folder, "experiment.yaml", '    text: "${data.text}"\n', '    txt: "${data.text}"\n    tone: warm\n')
    use_case = loaded(folder)
    assert use_case.datasets[0].mappings == {"text": "${data.text}", "tone": "warm"}
    (warning,) = use_case.warnings
    assert (warning.file, warning.line, warning.key) == ("experiment.yaml", line, "datasets[0].mappings.txt")
    assert "did you mean 'text'?" in warning.message
    assert "It has no effect: every input has a value without it" in warning.message


def test_an_input_whose_default_is_none_takes_the_column_of_its_own_name_if_there_is_one(folder: Path) -> None:
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/flow.flex.yaml", "entry: greet:greet\n")
    put(
        folder,
        "flows/standard/greet.py",
        "def greet(text, history=None, tone=None, size=1):\n    return {'label': text}\n",
    )
    put(folder, "data/train.jsonl", '{"text": "a", "history": [], "size": 2}\n' * 3)
    change(folder, "experiment.yaml", "parameters:\n  classify.temperature: [0, 0.7]\n", "")
    assert loaded(folder).datasets[0].mappings == {"text": "${data.text}", "history": "${data.history}"}


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


# --------------------------------------------------------------------------------------------------------- data assets


def test_a_data_asset_is_named_with_or_without_a_version_and_has_no_file_here(folder: Path) -> None:
    change(folder, "experiment.yaml", "source: data/train.jsonl", "source: azureml:greetings.train:3")
    change(folder, "experiment.yaml", "source: truth.csv", "source: azureml:truth")
    use_case = loaded(folder)
    train, truth = use_case.datasets[0], use_case.evaluators[0].datasets[0]
    assert (train.source, train.path) == ("azureml:greetings.train:3", None)
    assert (truth.source, truth.path, truth.reference) == ("azureml:truth", None, "train")


@pytest.mark.parametrize(
    "source",
    ["azureml:", "azureml::1", "azureml:a:", "azureml:a:1:2", "azureml:a b", "azureml:../a", "azureml:a@latest"],
)
def test_what_names_no_data_asset_is_a_problem(folder: Path, source: str) -> None:
    change(folder, "experiment.yaml", "source: data/train.jsonl", f"source: '{source}'")
    problem = only_problem(folder)
    assert problem.key == "datasets[0].source"
    assert "expected azureml:<name>:<version>, or azureml:<name> for the latest" in problem.message


def test_a_data_assets_columns_are_checked_where_a_file_of_it_can_be_had(folder: Path, tmp_path: Path) -> None:
    change(folder, "experiment.yaml", "source: data/train.jsonl", "source: azureml:train:3")
    fetched = put(tmp_path, "fetched.jsonl", '{"txt": "a"}\n')
    asked: list[tuple[str, str]] = []

    def assets(use_case: str, source: str) -> Path:
        asked.append((use_case, source))
        return fetched

    with pytest.raises(InvalidUseCase, match="'text' is no column of the dataset; did you mean 'txt'"):
        load(folder, "dev", data=folder.parents[1] / "data", assets=assets)
    put(tmp_path, "fetched.jsonl", '{"text": "a"}\n')
    use_case = load(folder, "dev", data=folder.parents[1] / "data", assets=assets)
    assert use_case.datasets[0].path is None
    assert asked == [("greetings", "azureml:train:3")] * 2


def test_a_data_asset_that_is_not_there_is_a_problem(folder: Path) -> None:
    change(folder, "experiment.yaml", "source: data/train.jsonl", "source: azureml:train:3")

    def assets(use_case: str, source: str) -> Path:
        raise BusinessFailure(f"{source}: nobody registered it for {use_case}.")

    with pytest.raises(InvalidUseCase, match="source: azureml:train:3: nobody registered it for greetings"):
        load(folder, "dev", data=folder.parents[1] / "data", assets=assets)


# --------------------------------------------------------------------------------------------------------- many-to-many


def test_several_evaluators_may_share_several_datasets(folder: Path) -> None:
    put(
        folder,
        "experiment.yaml",
        """\
name: greetings
flow: standard
datasets:
- &one {name: one, source: data/train.jsonl}
- {name: two, source: data/train.jsonl, max_rows: 2}
evaluators:
- name: evaluation
  datasets: &both
  - {name: one, mappings: {expected: "${data.text}", found: "${run.outputs.label}"}}
  - {name: truth, reference: two, source: truth.csv, mappings: {expected: "${data.answer}", found: x}}
- name: again
  flow: evaluation
  datasets: *both
""",
    )
    use_case = loaded(folder)
    assert use_case.evaluators_of("one") == use_case.evaluators_of("two") == ("evaluation", "again")
    assert [d.reference or d.name for d in use_case.evaluators[1].datasets] == ["one", "two"]


def test_one_name_never_means_two_files(folder: Path) -> None:
    text = (folder / "experiment.yaml").read_text()
    block = text[text.index("- name: scores") : text.index("parameters:")]
    other = block.replace("name: scores", "name: again").replace("truth.csv", "azureml:truth")
    put(folder, "experiment.yaml", text.replace(block, block + other))
    assert "another evaluator has a dataset 'truth' with other rows" in only_problem(folder).message
