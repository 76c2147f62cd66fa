"""Reading a use case: what a valid one means, and how every mistake is named by file, line and key."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import BusinessFailure, InvalidName, Malformed
from shared.use_case.bundle import make
from shared.use_case.flow_facts import flow_facts
from shared.use_case.load import InvalidUseCase, load
from shared.use_case.model import ConnectionSpec, Problem, Reuse
from tests.unit.use_case_folder import EXPERIMENT, FLOW, change, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def problems_of(folder: Path, environment: str = "dev") -> tuple[Problem, ...]:
    with pytest.raises(InvalidUseCase) as caught:
        load(folder, environment, data=folder.parents[1] / "data")
    assert isinstance(caught.value, BusinessFailure)
    return caught.value.problems


def only_problem(folder: Path, environment: str = "dev") -> Problem:
    found = problems_of(folder, environment)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


# ------------------------------------------------------------------------------------------------------- a valid folder


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


# ------------------------------------------------------------------------------------------------------------- overlays


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


def test_an_overlay_never_changes_name_or_flow(folder: Path) -> None:
    put(folder, "experiment.prod.yaml", "name: other\nflow: flows/evaluation\n")
    found = problems_of(folder, "prod")
    assert [(p.file, p.line, p.key) for p in found] == [
        ("experiment.prod.yaml", 1, "name"),
        ("experiment.prod.yaml", 2, "flow"),
    ]


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


# ---------------------------------------------------------------------------------------------------- one mistake each


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("datasets:\n- name: train", "dataset:\n- name: train", "dataset", "did you mean 'datasets'?"),
        ("name: greetings\n", "name: Grüße\n", "name", "is not a valid name"),
        ("name: greetings\n", "name: a/b\n", "name", "is not a valid name"),
        ("flow: flows/standard", "flow: flows/standrad", "flow", "did you mean 'flows/standard'?"),
        (
            "flow: flows/standard",
            "flow: ../greetings/flows/standard",
            "flow",
            "is no flow; did you mean 'flows/standard'?",
        ),
        ("api_key: ${api_key}", "api_key: sk-123", "connections[0].api_key", "secret in clear"),
        ("- name: aoai", "- name: other", "flow", "connection 'aoai', which `connections` does not list"),
        ("source: data/train.jsonl", "source: data/trian.jsonl", "datasets[0].source", "there is no file"),
        ("source: data/train.jsonl", "source: ../../x.jsonl", "datasets[0].source", "without `..`"),
        (
            "source: data/train.jsonl",
            "source: azureml:a/b:1",
            "datasets[0].source",
            "names no data asset; expected azureml:",
        ),
        ("source: data/train.jsonl", "source: sample.json", "datasets[0].source", "must end in one of"),
        ("  description: For experiments.", "  reference: x", "datasets[0].reference", "only an evaluator's dataset"),
        ("  description: For experiments.", "  max_rows: 0", "datasets[0].max_rows", "whole number from 1"),
        ("${data.text}", "${data.txt}", "datasets[0].mappings.text", "did you mean 'text'?"),
        ("${data.text}", "${dta.text}", "datasets[0].mappings.text", "refers to nothing"),
        ("${data.text}", "${run.outputs.label}", "datasets[0].mappings.text", "only an evaluator reads"),
        ("${run.outputs.label}", "${run.outputs.labl}", "evaluators[0].datasets[0].mappings.found", "'label'"),
        ("${run.outputs.label}", "${run.inputs.txt}", "evaluators[0].datasets[0].mappings.found", "'text'"),
        ("reference: train", "reference: trian", "evaluators[0].datasets[0].reference", "did you mean 'train'?"),
        ("  - name: truth", "  - name: train", "evaluators[0].datasets[0].name", "is an experiment dataset"),
        ("flow: flows/evaluation", "flow: evaluations", "evaluators[0].flow", "did you mean 'flows/evaluation'?"),
        ("classify.temperature", "classfy.temperature", "parameters.classfy.temperature", "'classify'"),
        ("classify.temperature", "classify.temprature", "parameters.classify.temprature", "'temperature'"),
        ("classify.temperature", "temprature", "parameters.temprature", "did you mean 'temperature'?"),
        ("classify.temperature", "classify.text", "parameters.classify.text", "fed by the flow"),
        ("classify.temperature", "parse.other", "parameters.parse.other", "is no input of the node 'parse'"),
        ("[0, 0.7]", "[]", "parameters.classify.temperature", "one or more values"),
        ("[0, 0.7]", "0.7", "parameters.classify.temperature", "expected a list"),
        ("[0, 0.7]", "[0, 0]", "parameters.classify.temperature[1]", "is there twice"),
        ("[0, 0.7]", "[0, .nan]", "parameters.classify.temperature[1]", "expected a constant"),
        ("choose_by: scores.accuracy", "choose_by: score.accuracy", "gates.choose_by", "did you mean 'scores'?"),
        ("choose_by: scores.accuracy", "choose_by: accuracy", "gates.choose_by", "<evaluator>.<metric>"),
        ("    dataset: train", "    dataset: trein", "gates.checks[0].dataset", "did you mean 'train'?"),
        ("    at_least: 0.5", "    at_lest: 0.5\n    at_most: 1", "gates.checks[0].at_lest", "'at_least'"),
        ("    at_least: 0.5\n", "", "gates.checks[0]", "sets no limit"),
        ("    at_least: 0.5", "    at_least: high", "gates.checks[0].at_least", "expected a number"),
        ("    at_least: 0.5", "    at_least: 2\n    at_most: 1", "gates.checks[0].at_least", "nothing passes"),
        ("    at_least: 0.5", "    max_drop: -1", "gates.checks[0].max_drop", "expected a number from 0"),
        ("approvers: [ann@example.org]", "approvers: []", "approval.approvers", "names nobody"),
        ("approvers: [ann@example.org]", "approvers: [a, a]", "approval.approvers[1]", "twice"),
        ("timeout_minutes: 30", "timeout_minutes: 0", "approval.timeout_minutes", "expected a number from"),
        ("reminder_minutes: 10", "reminder_minutes: 45", "approval.reminder_minutes", "not before the timeout"),
        ("endpoint: greetings", "endpoint: a b", "deployment.endpoint", "is not a valid name"),
        ("traffic: 10", "traffic: 101", "deployment.traffic", "from 0 to 100"),
        ("after_ci: true", "after_ci: yes please", "deployment.after_ci", "expected true or false"),
        ("sample_request: sample.json", "sample_request: s.json", "deployment.sample_request", "there is no file"),
        ("expected_outputs: [label]", "expected_outputs: [lable]", "deployment.expected_outputs[0]", "'label'"),
        ("test_calls: 3", "test_calls: 3\nreuse: line", "reuse", "did you mean 'lines'?"),
        ("test_calls: 3", "test_calls: 3\ntolerated_failures: 2", "tolerated_failures", "from 0 to 1"),
        ("test_calls: 3", "test_calls: 3\nconcurrency: many", "concurrency", "whole number"),
    ],
)
def test_a_mistake_is_named_by_line_and_key_with_what_was_expected(
    folder: Path, old: str, new: str, key: str, says: str
) -> None:
    assert EXPERIMENT.count(old) >= 1
    text = EXPERIMENT.replace(old, new, 1)
    put(folder, "experiment.yaml", text)
    found = [p for p in problems_of(folder) if p.key == key]
    assert len(found) == 1, [str(p) for p in problems_of(folder)]
    assert says in found[0].message
    assert found[0].file == "experiment.yaml"
    last = key.rsplit(".", 1)[-1].split("[", maxsplit=1)[0]
    shown = text.splitlines()[found[0].line - 1]
    assert last in shown or key.endswith("]"), f"line {found[0].line} is {shown!r}"


def test_all_problems_come_at_once_in_the_order_of_the_file(folder: Path) -> None:
    change(folder, "experiment.yaml", "traffic: 10", "traffic: ten")
    change(folder, "experiment.yaml", "${data.text}", "${data.txt}")
    change(folder, "experiment.yaml", "at_least: 0.5", "at_least: a")
    found = problems_of(folder)
    assert [p.key for p in found] == ["datasets[0].mappings.text", "gates.checks[0].at_least", "deployment.traffic"]
    assert [p.line for p in found] == sorted(p.line for p in found)


def test_a_misspelt_input_is_named_and_the_one_that_is_missing_too(folder: Path) -> None:
    line = change(folder, "experiment.yaml", '    text: "${data.text}"', '    txt: "${data.text}"')
    put(folder, "data/train.jsonl", '{"txt": "a"}\n{"txt": "a"}\n{"txt": "a"}\n')
    keys = {(p.key, p.line) for p in problems_of(folder)}
    assert ("datasets[0].mappings.txt", line) in keys
    assert ("datasets[0].mappings", line - 1) in keys


def test_duplicate_names_are_refused(folder: Path) -> None:
    change(
        folder,
        "experiment.yaml",
        "evaluators:\n",
        "- name: train\n  source: data/train.jsonl\n  mappings: {text: x}\n\nevaluators:\n",
    )
    assert only_problem(folder).key == "datasets[1].name"


def test_the_use_case_must_be_the_one_that_was_asked_for(folder: Path) -> None:
    with pytest.raises(InvalidUseCase, match="'greetings', but the use case 'farewells' was asked for"):
        load(folder, "dev", data=folder.parents[1] / "data", name="farewells")


# --------------------------------------------------------------------------------------------------------- the datasets


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


# ------------------------------------------------------------------------------------------------------------- the YAML


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


# ------------------------------------------------------------------------------------------------------------- the flow


def test_flow_facts_tell_what_a_flow_takes_gives_and_offers_to_vary(folder: Path) -> None:
    facts = flow_facts(folder / "flows" / "standard")
    assert {name: spec.required for name, spec in facts.inputs.items()} == {"text": True, "tone": False}
    assert facts.outputs == ("label",)
    assert facts.variants == {"classify": ("plain", "terse")}
    assert facts.default_variants == {"classify": "plain"}
    assert facts.connections == ("aoai",)
    assert facts.takes("parse") == {"answer"}
    assert {"hint", "temperature", "text"} <= (facts.takes("classify") or set())
    assert facts.chosen({"classify": "terse"})["classify"].inputs["tone"] == "short"


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("${inputs.tone}", "${inputs.tune}", "node_variants.classify.variants.plain.node.inputs.tone", "'tone'"),
        ("${parse.output}", "${prase.output}", "outputs.label.reference", "'parse'"),
        ("${classify.output}", "${parse.output}", "nodes", "wait for each other: parse"),
        (
            "default_variant_id: plain",
            "default_variant_id: plan",
            "node_variants.classify.default_variant_id",
            "'plain'",
        ),
        ("path: parse.py", "path: prase.py", "nodes.1.source.path", "'parse.py'"),
        ("path: parse.py", "path: ../evaluation/grade.py", "nodes.1.source.path", "outside the flow's folder"),
        ("- name: parse", "- name: classify", "nodes.1.name", "another node"),
        ("  type: python", "  type: pyton", "nodes.1.type", "'python'"),
        ("  classify:\n    default", "  clasify:\n    default", "node_variants.clasify", "'classify'"),
    ],
)
def test_a_mistake_in_the_flow_is_named_in_the_flows_file(
    folder: Path, old: str, new: str, key: str, says: str
) -> None:
    change(folder, "flows/standard/flow.dag.yaml", old, new)
    found = [p for p in problems_of(folder) if p.key == key]
    assert [p.file for p in found] == ["flows/standard/flow.dag.yaml"], [str(p) for p in problems_of(folder)]
    assert says in found[0].message


def test_a_connection_that_a_python_tool_takes_counts_as_used(folder: Path) -> None:
    put(
        folder,
        "flows/standard/parse.py",
        "from promptflow.core import tool\n\n\n@tool\ndef parse(answer: str, conn: CustomConnection) -> str:\n    return answer\n",
    )
    change(
        folder,
        "flows/standard/flow.dag.yaml",
        "    answer: ${classify.output}",
        "    answer: ${classify.output}\n    conn: search",
    )
    assert "connection 'search'" in only_problem(folder).message


# ------------------------------------------------------------------------------------------------------ whatever comes


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


# ---------------------------------------------------------------------------------------------- what cannot be packed


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


def test_of_very_many_problems_the_first_are_listed_and_the_others_counted(folder: Path) -> None:
    text = (folder / "experiment.yaml").read_text()
    (folder / "experiment.yaml").write_text(text + "".join(f"unknown_{n}: 1\n" for n in range(1_000)))
    with pytest.raises(InvalidUseCase) as caught:
        load(folder, "dev", data=folder.parents[1] / "data")
    assert len(caught.value.problems) == 200
    assert caught.value.more == 800
    assert str(caught.value).startswith("The use case is not valid: 1,000 problems.")
    assert str(caught.value).endswith("and 800 more")


def test_a_deployment_needs_a_sample_request(folder: Path) -> None:
    line = change(folder, "experiment.yaml", "  sample_request: sample.json\n", "")
    problem = only_problem(folder)
    assert (problem.key, problem.line) == ("deployment.sample_request", line - 3 - 1)
    assert "with which the endpoint is tested" in problem.message


def test_who_approves_must_be_said_where_a_merge_asks_for_it(folder: Path) -> None:
    change(folder, "experiment.yaml", "  approvers: [ann@example.org]\n", "")
    problem = only_problem(folder)
    assert problem.key == "approval.approvers"
    assert "`deployment.after_ci`" in problem.message
    change(folder, "experiment.yaml", "  after_ci: true\n", "")
    load(folder, "dev", data=folder.parents[1] / "data")


def test_a_variable_that_no_process_can_have_is_named(folder: Path) -> None:
    text = (folder / "flows/standard/flow.dag.yaml").read_text()
    put(folder, "flows/standard/flow.dag.yaml", 'environment_variables:\n  GOOD: "1"\n  TONE: "a\\0b"\n' + text)
    problem = only_problem(folder)
    assert (problem.file, problem.line) == ("flows/standard/flow.dag.yaml", 3)
    assert "the variable 'TONE' cannot be set" in problem.message
