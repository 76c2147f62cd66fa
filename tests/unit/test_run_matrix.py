"""The run matrix: one thing is varied at a time, equal work has equal digests, and a plan is what is frozen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.digests import json_digest
from shared.errors import BusinessFailure, Malformed
from shared.experimentation.assembly import Preparation, build_cells, prepare, prepare_log
from shared.experimentation.choices import Choice, choices
from shared.experimentation.frozen import Upload
from shared.experimentation.matrix import Cell, PreparedDataset
from shared.experimentation.plan import counted, plan
from shared.experimentation.surroundings import Surroundings
from shared.use_case.flow_facts import FlowFacts, NodeSpec
from shared.use_case.load import load
from shared.use_case.model import UseCase
from tests.unit.use_case_folder import change, put, written

BUNDLE = "b" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def loaded(folder: Path) -> UseCase:
    return load(folder, "dev", data=folder.parents[1] / "data")


def prepared(folder: Path, selection: str = "*", upload: Upload | None = None) -> Preparation:
    return prepare(loaded(folder), BUNDLE, Surroundings(), selection=selection, upload=upload)


def labels(cells: tuple[Cell, ...]) -> list[str]:
    return [f"{cell.dataset}:{cell.label}" for cell in cells]


def flow(**variants: list[str]) -> FlowFacts:
    node = NodeSpec(type="llm", inputs={}, takes=None, connections=(), aggregation=False)
    return FlowFacts(
        inputs={},
        outputs=(),
        nodes={name: dict.fromkeys(offered, node) for name, offered in variants.items()},
        default_variants={name: offered[0] for name, offered in variants.items()},
    )


def configured(choice: Choice, repetition: int) -> str:
    return json_digest([dict(choice.variants), dict(choice.parameters), repetition])


# ------------------------------------------------------------------------------------------------------------- choices


def test_everything_is_the_default_then_each_variant_then_each_value_one_at_a_time() -> None:
    found = choices(flow(a=["x", "y", "z"], b=["p", "q"]), {"a.temperature": (0, 0.5, 1), "b.stop": ("x",)}, "*")
    assert [choice.label for choice in found] == [
        "default",
        "a.y",
        "a.z",
        "b.q",
        "a.temperature=0.5",
        "a.temperature=1",
    ]
    assert found[0].variants == {"a": "x", "b": "p"}
    assert found[1].variants == {"a": "y", "b": "p"}
    assert found[1].parameters == {"a.temperature": 0, "b.stop": "x"}
    assert found[4].variants == {"a": "x", "b": "p"}
    assert found[4].parameters == {"a.temperature": 0.5, "b.stop": "x"}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("defaults", ["default"]),
        ("all", ["default", "a.y", "a.z", "b.y", "a.t=1"]),
        ("a.z", ["a.z"]),
        ("y", ["a.y", "b.y"]),
        ("x", ["default"]),
        (" b.y , a.x ", ["default", "b.y"]),
        ("a.t=1,a.y,a.y", ["a.y", "a.t=1"]),
    ],
)
def test_a_selection_runs_exactly_what_it_names(selection: str, expected: list[str]) -> None:
    found = choices(flow(a=["x", "y", "z"], b=["w", "y"]), {"a.t": (0, 1)}, selection)
    assert [choice.label for choice in found] == expected


def test_an_unknown_variant_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(BusinessFailure, match=r"'classify\.ters' is no variant.*did you mean 'classify\.terse'\?"):
        choices(flow(classify=["plain", "terse"]), {}, "classify.ters")


@given(
    st.lists(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=80), st.lists(st.text(max_size=3))),
        min_size=1,
        max_size=8,
    )
)
def test_labels_are_short_differ_for_different_values_and_can_be_selected(values: list[object]) -> None:
    different = [v for i, v in enumerate(values) if all((v, type(v)) != (w, type(w)) for w in values[:i])]
    offered = {"n.i": ("the default value", *different)}
    found = choices(flow(), offered, "*")
    names = [choice.label for choice in found]
    assert len(set(names)) == len(names) == len(different) + 1
    assert all(len(name) <= 400 for name in names)
    for choice in found[1:]:
        assert choices(flow(), offered, choice.label) == (choice,)


# --------------------------------------------------------------------------------------------------------------- cells


def test_cells_are_every_choice_on_every_dataset_and_named_by_what_they_are() -> None:
    data = tuple(
        PreparedDataset(name=name, container="bundles", blob=name, content_hash=name * 64, rows=1, source="x.jsonl")
        for name in ("a", "b")
    )
    chosen = choices(flow(n=["x", "y"]), {}, "*")
    cells = build_cells(chosen, data, configured)
    assert labels(cells) == ["a:default", "a:n.y", "b:default", "b:n.y"]
    assert [cell.index for cell in cells] == [0, 1, 2, 3]
    assert [cell.is_default for cell in cells] == [True, False, True, False]
    assert len({cell.digest for cell in cells}) == 4
    assert cells[3].name == f"00003-b-{cells[3].digest[:8]}"
    assert build_cells(chosen, data, lambda _choice, _repetition: "e" * 64)[0].digest != cells[0].digest


def test_a_repeated_matrix_runs_every_cell_again_as_another_run() -> None:
    one = PreparedDataset(name="a", container="b", blob="c", content_hash="a" * 64, rows=1, source="x.jsonl")
    cells = build_cells(choices(flow(n=["x", "y"]), {}, "*"), (one,), configured, repeat=3)
    assert [(cell.label, cell.repetition) for cell in cells] == [
        *(("default", repetition) for repetition in range(3)),
        *(("n.y", repetition) for repetition in range(3)),
    ]
    assert len({cell.digest for cell in cells}) == 6


def test_too_many_cells_are_refused() -> None:
    one = PreparedDataset(name="a", container="b", blob="c", content_hash="a" * 64, rows=1, source="x.jsonl")
    with pytest.raises(BusinessFailure, match="100,001 runs are too many"):
        build_cells(choices(flow(), {"n.i": tuple(range(100_001))}, "*"), (one,), configured)


# --------------------------------------------------------------------------------------------------------- preparation


def test_preparation_freezes_code_data_and_evaluations_by_content(folder: Path) -> None:
    preparation = prepared(folder)
    chain = preparation.chain
    assert labels(chain.cells) == ["train:default", "train:classify.terse", "train:classify.temperature=0.7"]
    assert [d.name for d in chain.datasets] == ["train", "truth"]
    assert chain.dataset("train").mappings == {"text": "${data.text}"}
    assert set(preparation.freeze) == {f"datasets/{d.content_hash}" for d in chain.datasets}
    assert {d.blob for d in chain.datasets} == set(preparation.freeze)
    evaluator = chain.evaluators_of("train")[0]
    assert (evaluator.evaluator, evaluator.truth_dataset) == ("scores", "truth")
    assert preparation.notes == ("truth (truth.csv): 1 of 3 rows repeat earlier ones.",)
    assert prepared(folder) == preparation, "preparing again gives the same"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("flows/standard/classify.jinja2", "{{text}}", "{{ text }}"),
        ("data/train.jsonl", "hello", "hallo"),
        ("experiment.yaml", "[0, 0.7]", "[0.1, 0.7]"),
        ("experiment.yaml", '    text: "${data.text}"\n', '    text: "${data.text}"\n    tone: warm\n'),
        ("experiment.yaml", "  description: For experiments.", "  max_rows: 2"),
    ],
)
def test_whatever_changes_a_run_changes_its_cells_digest(folder: Path, name: str, old: str, new: str) -> None:
    before = prepared(folder).chain.cells[0]
    change(folder, name, old, new)
    assert prepared(folder).chain.cells[0].digest != before.digest


def test_what_changes_no_run_leaves_the_digests(folder: Path) -> None:
    before = prepared(folder).chain.cells
    change(folder, "flows/evaluation/grade.py", "return expected", "return found")
    change(folder, "experiment.yaml", "at_least: 0.5", "at_least: 0.9")
    assert prepared(folder).chain.cells == before


# -------------------------------------------------------------------------------------------------------------- a plan


def test_a_plan_counts_the_matrix_that_is_frozen(folder: Path) -> None:
    change(folder, "experiment.yaml", "  description: For experiments.", "  max_rows: 2")
    use_case = loaded(folder)
    found = plan(use_case)
    assert [run.cell for run in found.runs] == list(prepared(folder).chain.cells)
    assert (len(found.runs), found.evaluations, found.lines, found.evaluation_lines) == (3, 3, 6, 6)
    assert found.model_calls == 6, "one llm node, two rows, three runs"
    assert plan(use_case, "defaults").model_calls == 2


def test_a_model_that_aggregates_is_called_once_a_run(folder: Path) -> None:
    text = (folder / "flows/evaluation/flow.dag.yaml").read_text()
    put(folder, "flows/evaluation/judge.jinja2", "{{grades}}")
    put(
        folder,
        "flows/evaluation/flow.dag.yaml",
        text + "- name: judge\n  type: llm\n  aggregation: true\n  connection: aoai\n"
        "  source: {type: code, path: judge.jinja2}\n  inputs: {grades: '${grade.output}'}\n",
    )
    found = plan(loaded(folder), "defaults")
    assert found.runs[0].model_calls == 3
    assert found.runs[0].evaluations[0].model_calls == 1


# ------------------------------------------------------------------------------------------------------------- uploads


def uploaded(tmp_path: Path, name: str, file: str, content: str) -> Upload:
    return Upload(name, put(tmp_path / "scratch", file, content), "bundles", "datasets/frozen")


def test_an_upload_takes_the_place_of_the_dataset_and_only_what_it_touches_is_run(folder: Path, tmp_path: Path) -> None:
    change(
        folder,
        "experiment.yaml",
        "evaluators:\n",
        "- {name: other, source: data/train.jsonl, mappings: {text: '${data.text}'}}\n\nevaluators:\n",
    )
    upload = uploaded(tmp_path, "train", "new.csv", "text\na\nb\n")
    preparation = prepared(folder, upload=upload)
    train = preparation.chain.dataset("train")
    assert {cell.dataset for cell in preparation.chain.cells} == {"train"}
    assert (train.container, train.blob, train.source, train.rows) == ("bundles", "datasets/frozen", "new.csv", 2)
    assert list(preparation.freeze.values()) == [loaded(folder).evaluators[0].datasets[0].path]


def test_new_ground_truth_evaluates_the_runs_on_the_dataset_that_it_belongs_to(folder: Path, tmp_path: Path) -> None:
    chain = prepared(folder, upload=uploaded(tmp_path, "truth", "t.csv", "answer\na\nb\nc\n")).chain
    assert {cell.dataset for cell in chain.cells} == {"train"}
    assert chain.dataset("truth").source == "t.csv"


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("trian", '{"text": "a"}\n', BusinessFailure, "did you mean 'train'?"),
        ("train", '{"txt": "a"}\n', BusinessFailure, "new.jsonl has no column 'text'"),
        ("train", '{"text": "a"}\n{"x": 1}\n', BusinessFailure, "new.jsonl, line 2: has no 'text'"),
        ("train", '{"text": "a"}\n' * 4, BusinessFailure, "truth has 3 rows for the 4 of train"),
        ("truth", '{"answer": "a"}\n', BusinessFailure, "truth has 1 rows for the 3 of train"),
        ("truth", '{"anwser": "a"}\n' * 3, BusinessFailure, "needs; it has: anwser"),
        ("train", '{"text": "a"}\nx\n', Malformed, "new.jsonl, line 2"),
        ("train", "", Malformed, "new.jsonl has no rows"),
    ],
)
def test_an_upload_that_cannot_be_used_says_why(
    folder: Path, tmp_path: Path, name: str, content: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        prepared(folder, upload=uploaded(tmp_path, name, "new.jsonl", content))
    assert says in str(caught.value)


# ------------------------------------------------------------------------------------------------------ production logs


def test_a_log_is_one_cell_that_every_evaluator_reads_whose_columns_are_there(folder: Path, tmp_path: Path) -> None:
    log = uploaded(tmp_path, "weekly", "log.jsonl", '{"text": "hi", "label": "warm", "answer": "warm"}\n')
    use_case = loaded(folder)
    scores = use_case.evaluators[0]
    truth = replace(scores.datasets[0], mappings={"expected": "${data.verdict}"})
    more = replace(use_case, evaluators=(scores, replace(scores, name="judged", datasets=(truth,))))

    preparation = prepare_log(more, BUNDLE, Surroundings(), log)
    assert labels(preparation.chain.cells) == ["weekly:log"]
    assert [e.evaluator for e in preparation.chain.evaluators] == ["scores"]
    assert preparation.chain.evaluators[0].truth_dataset == "weekly"
    assert preparation.notes == ("The evaluator judged is left out: weekly has no verdict.",)
    assert counted(preparation, more).model_calls == 0, "the flow has run already"


def test_a_log_that_no_evaluator_can_read_is_refused_with_what_is_missing(folder: Path, tmp_path: Path) -> None:
    log = uploaded(tmp_path, "weekly", "log.jsonl", '{"text": "hi"}\n')
    with pytest.raises(BusinessFailure, match=r"No evaluator can read .*columns: text.*has no answer, label"):
        prepare_log(loaded(folder), BUNDLE, Surroundings(), log)
