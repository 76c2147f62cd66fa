"""Reading a use case: what a valid one means, and what overlays change."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import InvalidName
from shared.use_case.load import load
from shared.use_case.model import ConnectionSpec, Reuse
from tests.unit.use_case_folder import change, only_problem, problems_of, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def test_a_valid_folder_becomes_values_that_need_no_further_checks(folder: Path) -> None:
    use_case = load(folder, "dev", data=folder.parents[1] / "data")

    assert use_case.name == "greetings"
    assert use_case.flow == folder / "flows" / "standard"
    assert [d.name for d in use_case.datasets] == ["train"]
    assert use_case.datasets[0].mappings == {"text": "${data.text}"}
    assert use_case.evaluators_of("train") == ("scores",)
    truth = use_case.evaluators[0].datasets[0]
    assert (truth.name, truth.reference) == ("truth", "train")
    assert truth.path == folder.parents[1] / "data" / "greetings" / "truth.csv"
    assert [connection.name for connection in use_case.connections] == ["aoai"]
    assert use_case.parameters == {"classify.temperature": (0, 0.7)}
    assert use_case.gates.choose_by == ("scores", "accuracy")
    assert use_case.gates.checks[0].at_least == 0.5
    assert use_case.approval.approvers == ("ann@example.org",)
    assert use_case.deployment is not None
    assert use_case.deployment.sample_request == folder / "sample.json"
    assert use_case.reuse is Reuse.LINES


def test_approvers_are_people_and_groups_of_whom_several_may_be_needed(folder: Path) -> None:
    change(
        folder,
        "experiment.yaml",
        "  approvers: [ann@example.org]\n",
        "  approvers:\n  - ann@example.org\n  - {group: 3F2A9C41-0000-4000-8000-00000000AA01, mail: team@example.org}\n"
        "  required: 3\n  requester_may_approve: true\n",
    )
    approval = load(folder, "dev", data=folder.parents[1] / "data").approval
    assert approval.approvers == ("ann@example.org", "team@example.org")
    assert approval.groups == {"team@example.org": "3f2a9c41-0000-4000-8000-00000000aa01"}
    assert (approval.required, approval.requester_may_approve) == (3, True)


def test_a_minimal_file_of_the_template_needs_no_block_of_ours(folder: Path) -> None:
    put(
        folder,
        "experiment.yaml",
        "name: greetings\nflow: standard\n"
        "datasets:\n- name: train\n  source: train.jsonl\n  mappings:\n    text: '${data.text}'\nevaluators:\n",
    )
    use_case = load(folder, "dev", data=None)
    assert use_case.flow.name == "standard"
    assert use_case.connections == (ConnectionSpec("aoai"),), "without the block, those that the nodes use"
    assert use_case.evaluators == ()
    assert use_case.deployment is None


def test_without_a_flow_key_the_flow_has_the_use_cases_name(folder: Path) -> None:
    (folder / "flows" / "standard").rename(folder / "flows" / "greetings")
    change(folder, "experiment.yaml", "flow: flows/standard\n", "")
    assert load(folder, "dev", data=folder.parents[1] / "data").flow.name == "greetings"


def test_an_evaluator_may_repeat_the_source_of_an_experiment_dataset(folder: Path) -> None:
    change(
        folder,
        "experiment.yaml",
        "  - name: truth\n    reference: train\n    source: truth.csv\n",
        "  - name: train\n    source: data/train.jsonl\n",
    )
    change(folder, "experiment.yaml", "${data.answer}", "${data.text}")
    dataset = load(folder, "dev", data=None).evaluators[0].datasets[0]
    assert (dataset.name, dataset.reference, dataset.path) == ("train", None, folder / "data" / "train.jsonl")


def test_reading_without_data_gives_the_same_use_case(folder: Path) -> None:
    data = folder.parents[1] / "data"
    change(folder, "experiment.yaml", '    text: "${data.text}"\n', "")
    assert load(folder, "dev", data=data, read_data=False) == load(folder, "dev", data=data)


def test_an_overlay_replaces_whole_blocks_and_leaves_the_others(folder: Path) -> None:
    put(
        folder,
        "experiment.pr.yaml",
        "name: greetings\ndatasets:\n- name: train\n  source: data/train.jsonl\n  max_rows: 2\n"
        "  mappings: {text: '${data.text}'}\nconcurrency: 4\n",
    )
    use_case = load(folder, "pr", data=folder.parents[1] / "data")
    assert use_case.datasets[0].max_rows == 2
    assert use_case.datasets[0].description == ""
    assert use_case.concurrency == 4
    assert use_case.evaluators_of("train") == ("scores",)


def test_an_overlays_datasets_drop_the_evaluations_of_those_that_it_leaves_out(folder: Path) -> None:
    change(folder, "experiment.yaml", "    dataset: train\n", "")
    put(
        folder,
        "experiment.pr.yaml",
        "datasets:\n- name: few\n  source: data/train.jsonl\n  mappings: {text: '${data.text}'}\n",
    )
    assert load(folder, "pr", data=folder.parents[1] / "data").evaluators_of("few") == ()


def test_an_overlay_never_changes_name_or_flow_and_says_so(folder: Path) -> None:
    put(folder, "experiment.prod.yaml", "name: other\nflow: flows/evaluation\n")
    use_case = load(folder, "prod", data=folder.parents[1] / "data")
    assert (use_case.name, use_case.flow) == ("greetings", folder / "flows" / "standard")
    assert [(w.file, w.line, w.key) for w in use_case.warnings] == [
        ("experiment.prod.yaml", 1, "name"),
        ("experiment.prod.yaml", 2, "flow"),
    ]
    assert "it stays 'flows/standard'" in use_case.warnings[1].message


def test_a_gate_on_an_evaluator_that_the_overlay_removed_is_no_silent_loss(folder: Path) -> None:
    put(folder, "experiment.pr.yaml", "evaluators:\n")
    found = problems_of(folder, "pr")
    assert {p.key for p in found} == {"gates.choose_by", "gates.checks[0].metric"}
    assert all("must replace `gates` as well" in p.message for p in found)


def test_an_unknown_environment_names_the_known_ones(folder: Path) -> None:
    put(folder, "experiment.prod.yaml", "")
    problem = only_problem(folder, "prd")
    assert "did you mean 'prod'?" in problem.message
    assert "experiment.prd.yaml" in problem.message
    assert load(folder, "prod", data=folder.parents[1] / "data").environment == "prod", "an empty overlay is enough"


def test_an_environment_that_is_no_name_is_refused_before_it_becomes_a_path(folder: Path) -> None:
    with pytest.raises(InvalidName, match="environment"):
        load(folder, "../../etc", data=None)
