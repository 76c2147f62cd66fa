"""Use case folders that would bring a reader down: each is told what is wrong with it, soon, and in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import environment_check
from shared.use_case.load import DEFAULT_ENVIRONMENT, load
from shared.use_case.sources import overlays
from tests.unit.use_case_folder import change, loaded, only_problem, problems_of, put, written

PARSE = "flows/standard/parse.py"
FLEX = "entry: {entry}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def as_flex(folder: Path, entry: str, files: dict[str, str]) -> None:
    """The standard flow as a flex flow with these modules."""
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/flow.flex.yaml", FLEX.format(entry=entry))
    for name, content in files.items():
        put(folder, f"flows/standard/{name}.py", content)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x" * 400 + ".jsonl", "there is no file"),
        ("loop.jsonl", "there is no file"),
    ],
)
def test_a_path_that_no_file_can_have_names_no_dataset(folder: Path, source: str, says: str) -> None:
    (folder.parents[1] / "data" / "greetings" / "loop.jsonl").symlink_to("loop.jsonl")
    change(folder, "experiment.yaml", "source: truth.csv", f"source: {source}")
    assert says in only_problem(folder).message


def test_a_flow_that_is_a_link_to_itself_is_none(folder: Path) -> None:
    (folder / "flows" / "circle").symlink_to("circle")
    change(folder, "experiment.yaml", "flow: flows/standard", "flow: flows/circle")
    assert any(p.key == "flow" and "is no flow" in p.message for p in problems_of(folder))


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int x", "!!float x"])
def test_a_tag_that_does_not_fit_its_value_is_named(folder: Path, value: str) -> None:
    line = change(folder, "experiment.yaml", "  traffic: 10", f"  traffic: {value}")
    problem = only_problem(folder)
    assert (problem.line, problem.message) == (line, "is not a value that YAML knows")


@pytest.mark.parametrize(
    ("file", "content", "line", "says"),
    [
        (PARSE, b"x = " + b"-" * 9_000 + b"1\n", 0, "nested too deeply"),
        (PARSE, b"x = 1\ny = '\0'\n", 2, "holds a NUL"),
        (PARSE, b"x = 1\n# gr\xfc\n", 2, "0xfc is not UTF-8"),
        ("flows/standard/classify.jinja2", b"{{ " + b"9" * 5_000 + b" }}", 0, "a number that is too long"),
        ("flows/standard/classify.jinja2", b"{{ " + b"(" * 3_000 + b" }}", 0, "nested too deeply"),
    ],
)
def test_code_that_no_parser_takes_is_named(folder: Path, file: str, content: bytes, line: int, says: str) -> None:
    put(folder, file, content)
    found = [p for p in problems_of(folder) if p.file == file]
    assert [(p.line, says in p.message) for p in found] == [(line, True)], [str(p) for p in found]


@pytest.mark.timeout(20)
def test_modules_that_import_everything_from_each_other_are_read_once(folder: Path) -> None:
    names = [f"m{n}" for n in range(14)]
    stars = "".join(f"from {name} import *\n" for name in names)
    as_flex(folder, "m0:answer", dict.fromkeys(names[:-1], stars) | {names[-1]: stars + "def answer(text): ...\n"})
    assert not [p for p in problems_of(folder) if p.key == "entry"]


@pytest.mark.timeout(20)
def test_classes_that_are_each_others_bases_are_read_once(folder: Path) -> None:
    names = [f"K{n}" for n in range(14)]
    code = "".join(f"class {name}({', '.join(other for other in names if other != name)}): ...\n" for name in names)
    as_flex(folder, "m:K0", {"m": code})
    assert [p.message for p in problems_of(folder) if p.key == "entry"] == [
        "the class 'K0' has no method `__call__`, which is called for every line"
    ]


@pytest.mark.timeout(20)
def test_a_prompty_of_nothing_but_dashes_is_refused_soon(folder: Path) -> None:
    put(folder, "flows/p/p.prompty", "-" * 250_000)
    change(folder, "experiment.yaml", "flow: flows/standard", "flow: flows/p")
    assert any("has no front matter" in p.message for p in problems_of(folder))


def test_an_overlay_of_no_valid_environment_is_passed_over_with_a_warning(folder: Path) -> None:
    put(folder, "experiment.my copy.yaml", "runtime: x\n")
    assert not overlays(folder)
    (warning,) = loaded(folder).warnings
    assert (warning.file, warning.line) == ("experiment.my copy.yaml", 1)
    assert "is never read" in warning.message


def test_a_wrong_name_is_the_only_problem_where_the_folders_name_tells_where_the_data_is(folder: Path) -> None:
    change(folder, "experiment.yaml", "name: greetings\n", "name: greet ings\n")
    assert only_problem(folder).key == "name"


def test_an_evaluator_that_is_not_valid_python_is_not_blamed_for_lacking_functions(folder: Path) -> None:
    put(folder, "flows/evaluation/eval_grade.py", "def eval_grade(expected, found:\n")
    (folder / "flows/evaluation/flow.dag.yaml").unlink()
    assert [(p.file, p.line) for p in problems_of(folder) if p.file.startswith("flows/")] == [
        ("flows/evaluation/eval_grade.py", 1)
    ]


def test_a_broken_row_is_placed_by_the_line_of_the_file_alone(folder: Path) -> None:
    put(folder, "data/train.jsonl", '{"text": "a"}\n{"text": \n')
    assert "line 2: is not valid JSON (Expecting value, column " in problems_of(folder)[0].message


def test_a_name_is_offered_once(folder: Path) -> None:
    change(
        folder, "experiment.yaml", "parameters:\n", "- name: scores\n  flow: evaluation\n  datasets: []\nparameters:\n"
    )
    change(folder, "experiment.yaml", "choose_by: scores.accuracy", "choose_by: other.accuracy")
    problem = next(p for p in problems_of(folder) if p.key == "gates.choose_by")
    assert problem.message == "'other' is no evaluator; expected one of: scores"
    with pytest.raises(Exception, match="is not valid"):
        load(folder, DEFAULT_ENVIRONMENT, data=None)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("${data.text}", "${data.text} please", "datasets[0].mappings.text", "a reference stands alone"),
        ("${data.text}", "${data.text", "datasets[0].mappings.text", "a reference stands alone"),
        ('"${data.text}"', "[.nan]", "datasets[0].mappings.text", "is not JSON"),
        ("[ann@example.org]", r'["a@b.c\nBcc: x@y.z"]', "approval.approvers[0]", "without control characters"),
        ("description: For experiments.", r'description: "\ud800"', r"\ud800", "holds half of a character"),
        ("connections:\n- name: aoai", "connections:\n- name: aoia", "flow", "did you mean 'aoia'?"),
    ],
)
def test_a_value_that_would_fail_later_is_named(folder: Path, old: str, new: str, key: str, says: str) -> None:
    change(folder, "experiment.yaml", old, new)
    assert [says in p.message for p in problems_of(folder) if p.key == key] == [True], problems_of(folder)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ('{\n"NaN": 1,\n"traffic": NaN}', 3, "holds NaN, which is not JSON"),
        ('{"a": -Infinity}', 1, "holds -Infinity, which is not JSON"),
        ('{"azure_managed_endpoint": [],\n"azure_managed_endpoint": []}', 2, "is written twice (first on line 1)"),
        (r'{"a": "\ud800"}', 1, "holds half of a character"),
    ],
)
def test_what_json_does_not_allow_is_named_by_its_line(folder: Path, content: str, line: int, says: str) -> None:
    put(folder, "configs/deployment_config.json", content)
    problem = only_problem(folder)
    assert (problem.file, problem.line) == ("configs/deployment_config.json", line)
    assert says in problem.message


def test_a_character_in_two_halves_is_a_whole_one_in_json(folder: Path) -> None:
    put(folder, "sample.json", r'{"text": "\ud83d\ude00"}')
    assert not loaded(folder).warnings


def test_an_unset_variable_of_the_deployment_config_has_its_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
    text = (folder / "experiment.yaml").read_text()
    put(folder, "experiment.yaml", text[: text.index("deployment:\n")])
    entry = '{"ENV_NAME": "dev",\n"ENVIRONMENT_VARIABLES": {\n"Q": "${NOT_SET_ANYWHERE}"}}'
    put(folder, "configs/deployment_config.json", f'{{"azure_managed_endpoint": [\n{entry}]}}')
    (problem,) = [p for p in environment_check.problems(loaded(folder), {}, None) if "NOT_SET" in p.message]
    assert (problem.line, problem.key) == (4, "ENVIRONMENT_VARIABLES.Q")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("${aoia.api_key}", "'aoia' is no connection of the use case; did you mean 'aoai'?"),
        ("${aoai.api_kye}", "'api_kye' is no key of the connection 'aoai'; did you mean 'api_key'?"),
    ],
)
def test_a_flows_variable_refers_to_a_key_of_a_connection(folder: Path, value: str, says: str) -> None:
    flow = "flows/standard/flow.dag.yaml"
    text = (folder / flow).read_text()
    right = "environment_variables:\n  BASE: ${aoai.api_base}\n  MODE: ${env:MODE}\n"
    put(folder, flow, right + text)
    assert not loaded(folder).warnings
    put(folder, flow, f"{right}  KEY: {value}\n{text}")
    problem = only_problem(folder)
    assert (problem.file, problem.line, problem.key) == (flow, 4, "environment_variables.KEY")
    assert says in problem.message


def test_a_model_configuration_without_a_deployment_is_named_unless_a_parameter_brings_it(folder: Path) -> None:
    code = (
        "class Flow:\n"
        "    def __init__(self, model_config: AzureOpenAIModelConfiguration): ...\n"
        "    def __call__(self, text: str): return {'label': text}\n"
    )
    as_flex(folder, "m:Flow", {"m": code})
    put(folder, "flows/standard/init.json", '{"model_config": {"connection": "aoai"}}')
    change(folder, "experiment.yaml", "parameters:\n  classify.temperature: [0, 0.7]\n", "")
    assert "lacks 'azure_deployment'; add it in init.json" in only_problem(folder).message
    change(folder, "experiment.yaml", "gates:", "parameters:\n  init.model_config.azure_deployment: [gpt]\ngates:")
    assert not loaded(folder).warnings
