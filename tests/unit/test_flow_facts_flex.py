"""What a flex flow takes and gives: read from `flow.flex.yaml`, `init.json` and the source, which is never imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.use_case.flow_facts import flow_facts
from shared.use_case.flow_model import FlowFacts, FlowKind
from shared.use_case.load import InvalidUseCase
from shared.use_case.model import Problem
from tests.unit.use_case_folder import put

CHAT = """\
from promptflow.core import AzureOpenAIModelConfiguration, Prompty

raise RuntimeError("this module was imported")


class Chat:
    def __init__(self, model_config: AzureOpenAIModelConfiguration, most_tokens: int = 4096, *, tone="polite"):
        self.model_config = model_config

    def __call__(self, question: str, chat_history: list = None) -> str:
        return ""

    def __aggregate__(self, line_results: list) -> dict:
        return {"lines": len(line_results)}
"""


def facts_of(folder: Path, code: str, yaml: str = "entry: flow:run\n", init: object = None) -> FlowFacts:
    put(folder, "flow.py", code)
    put(folder, "flow.flex.yaml", yaml)
    if init is not None:
        put(folder, "init.json", init if isinstance(init, str) else json.dumps(init))
    return flow_facts(folder, "flow.flex.yaml")


def problem_of(folder: Path, code: str, yaml: str = "entry: flow:run\n", init: object = None) -> Problem:
    with pytest.raises(InvalidUseCase) as caught:
        facts_of(folder, code, yaml, init)
    (problem,) = caught.value.problems
    return problem


def outputs_of(folder: Path, code: str) -> tuple[tuple[str, ...], bool]:
    facts = facts_of(folder, code)
    return facts.outputs, facts.gives_any_output


# ------------------------------------------------------------------------------------------------------------- inputs


def test_a_function_flow_takes_what_its_signature_says(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path, "def run(text: str, /, count: int = 2, *, tags: list[str], loud=False):\n    return ''\n"
    )
    assert (facts.kind, facts.entry) == (FlowKind.FUNCTION, "flow:run")
    assert {name: spec.type for name, spec in facts.inputs.items()} == {
        "text": "string",
        "count": "int",
        "tags": "list",
        "loud": "bool",
    }
    assert [name for name, spec in facts.inputs.items() if spec.required] == ["text", "tags"]
    assert (facts.inputs["count"].default, facts.inputs["loud"].default) == (2, False)
    assert not facts.takes_any_input
    assert facts.init == {}


def test_the_files_types_and_defaults_go_before_those_of_the_signature(tmp_path: Path) -> None:
    yaml = "entry: flow:run\ninputs:\n  text: {type: string, default: hello}\n  count: {type: double}\n"
    facts = facts_of(tmp_path, "def run(text, count=2): return ''\n", yaml)
    assert (facts.inputs["text"].default, facts.inputs["text"].required) == ("hello", False)
    assert (facts.inputs["count"].type, facts.inputs["count"].default) == ("double", 2)


def test_an_empty_text_as_default_leaves_the_default_to_the_source(tmp_path: Path) -> None:
    yaml = "entry: flow:run\ninputs:\n  text: {type: string, default: ''}\n  history: {type: list, default: ''}\n"
    facts = facts_of(tmp_path, "def run(text, history=None): return ''\n", yaml)
    assert {name: spec.required for name, spec in facts.inputs.items()} == {"text": True, "history": False}


def test_a_dag_file_with_an_entry_is_a_flex_flow(tmp_path: Path) -> None:
    put(tmp_path, "flow.py", "def run(text): return ''\n")
    put(tmp_path, "flow.dag.yaml", "entry: flow:run\n")
    assert flow_facts(tmp_path).kind is FlowKind.FUNCTION


def test_a_default_of_none_is_a_default(tmp_path: Path) -> None:
    assert not facts_of(tmp_path, "def run(history: list = None): return ''\n").inputs["history"].required


def test_keyword_arguments_take_any_input_and_the_files_inputs_are_known_all_the_same(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "def run(**row): return ''\n", "entry: flow:run\ninputs:\n  text: {type: string}\n")
    assert facts.takes_any_input
    assert facts.inputs["text"].required


def test_an_input_of_the_file_that_the_function_does_not_take_is_named(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, "def run(text): return ''\n", "entry: flow:run\ninputs:\n  txt: {type: string}\n")
    assert (problem.file, problem.line, problem.key) == ("flow.flex.yaml", 3, "inputs.txt")
    assert "did you mean 'text'?" in problem.message


# ------------------------------------------------------------------------------------------------------------ classes


def test_a_class_flow_is_read_without_importing_its_module(tmp_path: Path) -> None:
    init = {"model_config": {"connection": "aoai", "azure_deployment": "${azure_deployment}"}, "most_tokens": 2048}
    facts = facts_of(tmp_path, CHAT, "entry: flow:Chat\n", init)
    assert facts.kind is FlowKind.CLASS
    assert {name: spec.required for name, spec in facts.inputs.items()} == {"question": True, "chat_history": False}
    assert facts.outputs == ("output",)
    assert facts.init["model_config"].default == init["model_config"], "references stay as they are written"
    assert (facts.init["most_tokens"].default, facts.init["tone"].default) == (2048, "polite")
    assert facts.connections == ("aoai",)
    assert facts.calls_model


def test_the_file_may_give_the_values_of_init_and_init_json_goes_before_it(tmp_path: Path) -> None:
    yaml = """\
entry: flow:Chat
init:
  model_config: {type: AzureOpenAIModelConfiguration, default: {connection: other, azure_deployment: a}}
  most_tokens: {type: int, default: 1}
sample:
  init: {tone: short}
"""
    facts = facts_of(tmp_path, CHAT, yaml, {"most_tokens": 2})
    assert facts.connections == ("other",)
    assert (facts.init["most_tokens"].default, facts.init["tone"].default) == (2, "short")


def test_an_argument_of_init_json_that_the_class_does_not_take_is_named_with_its_line(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, CHAT, "entry: flow:Chat\n", '{\n  "model_config": {},\n  "most_token": 1\n}')
    assert (problem.file, problem.line) == ("init.json", 3)
    assert "did you mean 'most_tokens'?" in problem.message


@pytest.mark.parametrize(
    ("init", "line", "says"),
    [
        ('{\n"model_config": ,\n}', 2, "is not valid JSON"),
        ("[1]", 1, "expected a mapping"),
        ("", 1, "is not valid JSON"),
        ("[" * 100_000, None, "nested too deeply"),
    ],
)
def test_a_broken_init_json_is_named_by_its_line(tmp_path: Path, init: str, line: int | None, says: str) -> None:
    problem = problem_of(tmp_path, CHAT, "entry: flow:Chat\n", init)
    assert problem.file == "init.json"
    assert says in problem.message
    assert line is None or problem.line == line


def test_a_class_may_inherit_what_it_takes_and_gives(tmp_path: Path) -> None:
    code = """\
class Base:
    def __init__(self, size: int):
        pass

    def __call__(self, text: str) -> str:
        return text


class Flow(Base):
    pass
"""
    facts = facts_of(tmp_path, code, "entry: flow:Flow\n")
    assert (list(facts.init), list(facts.inputs)) == (["size"], ["text"])
    assert not facts.calls_model


def test_a_dataclass_is_made_from_its_fields(tmp_path: Path) -> None:
    code = """\
from dataclasses import dataclass


@dataclass
class Flow:
    size: int
    tone: str = "polite"

    def __call__(self, text: str) -> str:
        return text
"""
    facts = facts_of(tmp_path, code, "entry: flow:Flow\n")
    assert {name: spec.required for name, spec in facts.init.items()} == {"size": True, "tone": False}


def test_a_class_of_an_unknown_base_may_take_and_give_anything(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "from lib import Base\nclass Flow(Base): pass\n", "entry: flow:Flow\n", {"size": 1})
    assert (facts.takes_any_input, facts.gives_any_output) == (True, True)
    assert facts.init["size"].default == 1


def test_a_class_without_call_is_no_flow(tmp_path: Path) -> None:
    assert "no method `__call__`" in problem_of(tmp_path, "class Flow: pass\n", "entry: flow:Flow\n").message


# ------------------------------------------------------------------------------------------------------------ outputs


@pytest.mark.parametrize(
    ("code", "outputs", "others"),
    [
        ("def run(x) -> str: ...", ("output",), False),
        ("def run(x) -> 'int | None': ...", ("output",), False),
        ("async def run(x) -> list[str]: ...", ("output",), False),
        ("def run(x):\n    yield x", ("output",), False),
        ("def run(x):\n    print(x)", ("output",), False),
        ("def run(x):\n    return f'{x}'", ("output",), False),
        ("def run(x):\n    return x", (), True),
        ("def run(x) -> dict:\n    return {'a': 1, 'b': x}", ("a", "b"), False),
        ("def run(x):\n    if x:\n        return {'a': 1}\n    return dict(b=1)", ("a", "b"), False),
        ("def run(x):\n    return {'a': 1, **x}", ("a",), True),
        ("def run(x):\n    return {'a': 1} if x else other(x)", ("a",), True),
        ("def run(x):\n    r = {'a': 1}\n    r['b'] = r['a']\n    return r", ("a", "b"), False),
        ("def run(x):\n    r = {'a': 1}\n    r.update(x)\n    return r", (), True),
        ("def run(x):\n    def inner():\n        return {'a': 1}\n    return {'b': inner()}", ("b",), False),
        ("class R(TypedDict):\n    a: int\n    b: str\ndef run(x) -> R: ...", ("a", "b"), False),
        ("class R(TypedDict):\n    a: int\ndef run(x):\n    return R(a=1)", ("a",), False),
        (
            "@dataclass\nclass P:\n    a: int\n@dataclass\nclass R(P):\n    b: str\ndef run(x) -> R: ...",
            ("a", "b"),
            False,
        ),
        ("class R(TypedDict):\n    a: int\ndef run(x) -> Optional[R]: ...", ("a",), False),
        ("def run(x) -> lib.Result: ...", (), True),
        ("def run(x) -> Optional[()]: ...", (), True),
    ],
)
def test_outputs_follow_from_the_annotation_or_else_from_what_is_returned(
    tmp_path: Path, code: str, outputs: tuple[str, ...], others: bool
) -> None:
    assert outputs_of(tmp_path, code + "\n") == (outputs, others)


def test_outputs_that_the_file_declares_are_all_there_are(tmp_path: Path) -> None:
    yaml = "entry: flow:run\noutputs:\n  answer: {type: string}\n"
    facts = facts_of(tmp_path, "def run(x): return other(x)\n", yaml)
    assert (facts.outputs, facts.gives_any_output) == (("answer",), False)


# -------------------------------------------------------------------------------------------------------------- entry


def test_an_entry_may_lie_in_a_package_and_be_imported_from_another_file(tmp_path: Path) -> None:
    put(tmp_path, "steps/__init__.py", "from .answer import reply as run\n")
    put(tmp_path, "steps/answer.py", "def reply(text: str) -> str:\n    return text\n")
    put(tmp_path, "flow.flex.yaml", "entry: steps:run\n")
    assert list(flow_facts(tmp_path, "flow.flex.yaml").inputs) == ["text"]


def test_what_an_entry_that_is_made_by_a_call_takes_is_open(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "run = make()\n")
    assert (facts.kind, facts.takes_any_input, facts.gives_any_output) == (FlowKind.FUNCTION, True, True)


@pytest.mark.parametrize(
    ("yaml", "code", "file", "line", "says"),
    [
        ("entry: flow:rum\n", "def run(): ...\n", "flow.flex.yaml", 1, "did you mean 'run'?"),
        ("entry: flw:run\n", "def run(): ...\n", "flow.flex.yaml", 1, "did you mean 'flow'?"),
        ("entry: flow\n", "def run(): ...\n", "flow.flex.yaml", 1, "expected <module>:<function or class>"),
        ("entry: [flow]\n", "def run(): ...\n", "flow.flex.yaml", 1, "expected a text"),
        ("inputs: {}\n", "def run(): ...\n", "flow.flex.yaml", 1, "the key 'entry' is missing"),
        ("entry: ../flow:run\n", "def run(): ...\n", "flow.flex.yaml", 1, "is no module"),
        ("entry: flow:run\n", "x = 1\ndef run(:\n", "flow.py", 2, "is not valid Python"),
        ("entry: flow:run\n", "x = '\\ud800\n", "flow.py", 1, "is not valid Python"),
        ("entry: flow:run\ninputs: [a]\n", "def run(): ...\n", "flow.flex.yaml", 2, "expected a mapping"),
        (
            "entry: flow:run\n",
            f"def run(x):\n    return {' + '.join('x' * 2_000)}\n",
            "flow.flex.yaml",
            0,
            "too deeply",
        ),
        ("entry: flow:run\n", f"def run(x):\n    return {'(' * 500}x\n", "flow.py", 2, "is not valid Python"),
        ("- entry\n", "def run(): ...\n", "flow.flex.yaml", 1, "expected a mapping"),
        ("entry: flow:run\nenvironment_variables: {'A=B': c}\n", "def run(): ...\n", "flow.flex.yaml", 2, "'A=B'"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(
    tmp_path: Path, yaml: str, code: str, file: str, line: int, says: str
) -> None:
    problem = problem_of(tmp_path, code, yaml)
    assert (problem.file, problem.line) == (file, line)
    assert says in problem.message


# -------------------------------------------------------------------------------------------------------- model calls


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        ("def run(text): return text", False),
        ("# to openai and back, over a connection\ndef run(text): return text", False),
        ("from openai import AzureOpenAI\ndef run(text): return text", True),
        ("def run(text): return Prompty.load('a.prompty')", True),
        ("from helper import ask\ndef run(text): return ask(text)", True),
        ("def run(text, connection: 'CustomConnection'): return text", True),
    ],
)
def test_code_that_mentions_a_model_is_taken_to_call_it_once_a_line(tmp_path: Path, code: str, calls: bool) -> None:
    put(tmp_path, "helper.py", "import openai\n")
    facts = facts_of(tmp_path, code + "\n")
    assert facts.calls_model is calls
    assert facts.model_calls(10, {}) == (10 if calls else 0)


@pytest.mark.parametrize(
    ("init", "key", "says"),
    [
        ('"aoai"', "model_config", 'is "aoai"; expected a mapping with `connection` and `azure_deployment`'),
        ("null", "model_config", "is null; expected a mapping with `connection` and `azure_deployment`"),
        ('{"connection": ["aoai"]}', "model_config.connection", 'is ["aoai"]; expected the name of a connection'),
        ('{"azure_deploymnt": "gpt"}', "model_config.azure_deploymnt", "did you mean 'azure_deployment'?"),
        ('{"azure_deployment": 4}', "model_config.azure_deployment", "is 4; expected a text"),
    ],
)
def test_a_model_configuration_that_cannot_be_made_is_named(tmp_path: Path, init: str, key: str, says: str) -> None:
    problem = problem_of(tmp_path, CHAT, "entry: flow:Chat\n", f'{{\n"model_config":\n {init}}}')
    assert (problem.file, problem.line, problem.key) == ("init.json", 3 if "." in key else 2, key)
    assert says in problem.message


@pytest.mark.parametrize(
    ("annotation", "right", "wrong", "says"),
    [
        ("int", ["3", 3, 3.0, "${size}"], ["three", True, 3.5, [3], None], "a whole number"),
        ("float", [1, "0.5", 2.5], ["much", False], "a number"),
        ("bool", [True, "false"], ["yes", 1], "true or false"),
        ("str", ["a", 3], [["a"], {"a": 1}], "a text"),
        ("list[str]", [["a"], '["a"]', []], ["a", {"a": 1}], "a list"),
        ("dict", [{"a": 1}, '{"a": 1}'], ["a", [1]], "a mapping"),
        ("int | None", [None, 3], ["three"], "a whole number"),
        ("Optional[int]", [None, 3], ["three"], "a whole number"),
        ("'typing.Optional[int]'", [None, 3], ["three"], "a whole number"),
    ],
)
def test_a_value_of_init_json_has_the_type_of_its_argument(
    tmp_path: Path, annotation: str, right: list[object], wrong: list[object], says: str
) -> None:
    code = f"class Flow:\n    def __init__(self, size: {annotation}): ...\n    def __call__(self, text): ...\n"
    for value in right:
        assert facts_of(tmp_path, code, "entry: flow:Flow\n", {"size": value}).init["size"].default == value
    for value in wrong:
        problem = problem_of(tmp_path, code, "entry: flow:Flow\n", {"size": value})
        assert (problem.file, problem.line, problem.key) == ("init.json", 1, "size")
        assert f"expected {says}, for the argument's type is" in problem.message


@pytest.mark.parametrize("annotation", ["Literal['a', 'b']", "int | str", "Path", "Sequence[str]", "Any"])
def test_a_value_whose_argument_has_another_type_is_not_judged(tmp_path: Path, annotation: str) -> None:
    code = f"class Flow:\n    def __init__(self, size: {annotation}): ...\n    def __call__(self, text): ...\n"
    assert facts_of(tmp_path, code, "entry: flow:Flow\n", {"size": "a"}).init["size"].default == "a"


def test_values_that_the_flows_file_gives_are_judged_as_well(tmp_path: Path) -> None:
    yaml = "entry: flow:Chat\ninit:\n  most_tokens: {type: int, default: many}\n"
    problem = problem_of(tmp_path, CHAT, yaml, {"model_config": {}})
    assert (problem.file, problem.line, problem.key) == ("flow.flex.yaml", 3, "init.most_tokens.default")


def test_an_init_json_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "init.json").mkdir()
    problem = problem_of(tmp_path, CHAT, "entry: flow:Chat\n")
    assert (problem.file, problem.message.partition(";")[0]) == ("init.json", "cannot be read (Is a directory)")


@pytest.mark.parametrize("entry", ["[flow:run]", "3", "{a: b}", "true"])
def test_an_entry_that_is_no_text_is_named(tmp_path: Path, entry: str) -> None:
    problem = problem_of(tmp_path, "def run(text): ...\n", f"entry: {entry}\n")
    assert (problem.line, problem.key) == (1, "entry")
    assert "expected a text" in problem.message
