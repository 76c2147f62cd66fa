"""What a prompty, and an evaluator without a flow file, takes and gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.flow_facts import flow_facts, read_flow
from shared.use_case.flow_model import FlowKind
from shared.use_case.load import InvalidUseCase
from shared.use_case.model import Problem
from shared.use_case.problems import Problems
from tests.unit.use_case_folder import put

PROMPTY = """\
---
name: Answer
model:
  api: chat
  configuration:
    type: azure_openai
    azure_deployment: gpt-4o
    connection: aoai
  parameters:
    max_tokens: 100
inputs:
  question:
    type: string
  tone:
    type: string
    default: polite
---
system:
Be {{tone}}.
user:
{{question}}
"""
JSON_FORMAT = "    response_format: {type: json_object}\n"


def problem_of(folder: Path, file: str) -> Problem:
    with pytest.raises(InvalidUseCase) as caught:
        flow_facts(folder, file)
    (problem,) = caught.value.problems
    return problem


def test_a_prompty_tells_its_inputs_output_and_connection(tmp_path: Path) -> None:
    put(tmp_path, "answer.prompty", PROMPTY)
    facts = flow_facts(tmp_path, "answer.prompty")
    assert facts.kind is FlowKind.PROMPTY
    assert {name: spec.required for name, spec in facts.inputs.items()} == {"question": True, "tone": False}
    assert (facts.outputs, facts.gives_any_output) == (("output",), False)
    assert facts.connections == ("aoai",)
    assert facts.model_calls(7, {}) == 7


def test_an_answer_in_json_gives_the_declared_outputs_or_any(tmp_path: Path) -> None:
    text = PROMPTY.replace("inputs:\n", JSON_FORMAT + "inputs:\n")
    put(tmp_path, "any.prompty", text)
    put(tmp_path, "declared.prompty", text.replace("inputs:\n", "outputs:\n  answer: {type: string}\ninputs:\n"))
    assert flow_facts(tmp_path, "any.prompty").gives_any_output
    declared = flow_facts(tmp_path, "declared.prompty")
    assert (declared.outputs, declared.gives_any_output) == (("answer",), False)


def test_without_inputs_the_sample_tells_them(tmp_path: Path) -> None:
    put(tmp_path, "sample.json", '{"question": "why?"}')
    put(tmp_path, "file.prompty", "---\nsample: file:sample.json\n---\n{{question}}\n")
    put(tmp_path, "inside.prompty", "---\nsample: {question: why}\n---\r\n{{question}}\r\n")
    for name in ("file.prompty", "inside.prompty"):
        assert flow_facts(tmp_path, name).inputs["question"].required


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("system:\nHello\n", 1, "has no front matter"),
        ("---\nname: a\ninputs: [\n---\nHello\n", 4, "is not valid YAML"),
        ("---\nname: a\ninputs: [a]\n---\nHello\n", 3, "expected a mapping"),
        ("---\ninputs:\n  question: string\n---\nHello\n", 3, "expected a mapping"),
        ("---\nmodel: gpt\n---\nHello\n", 2, "expected a mapping"),
        ("---\nmodel:\n  configuration: x\n---\nHello\n", 3, "expected a mapping"),
        ("---\n- a\n---\nHello\n", 2, "expected a mapping"),
        ("---\nsample: ../../sample.json\n---\nHello\n", 2, "is no JSON file"),
    ],
)
def test_a_broken_front_matter_is_named_by_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    put(tmp_path, "a.prompty", text)
    problem = problem_of(tmp_path, "a.prompty")
    assert (problem.file, problem.line) == ("a.prompty", line)
    assert says in problem.message


def test_a_prompty_that_is_not_utf_8_is_named_by_its_line(tmp_path: Path) -> None:
    put(tmp_path, "a.prompty", b"---\nname: a\n---\n\xff\n")
    assert problem_of(tmp_path, "a.prompty").line == 4


# --------------------------------------------------------------------------------------- evaluators without a flow file


def test_an_evaluator_without_a_flow_file_takes_what_its_functions_take_together(tmp_path: Path) -> None:
    put(tmp_path, "eval_length.py", "def eval_length(answer: str, most: int = 9): ...\ndef helper(x): ...\n")
    put(tmp_path, "eval_match.py", "async def eval_match(answer, expected): ...\n")
    put(tmp_path, "other.py", "def eval_other(unused): ...\n")
    facts = flow_facts(tmp_path, "")
    assert facts.kind is FlowKind.PYTHON
    assert {n: s.required for n, s in facts.inputs.items()} == {"answer": True, "most": False, "expected": True}
    assert (facts.gives_any_output, facts.takes_any_input, facts.calls_model) == (True, False, False)


def test_an_argument_is_required_where_any_function_requires_it(tmp_path: Path) -> None:
    put(tmp_path, "eval_a.py", "def eval_a(x=1): ...\ndef eval_b(x): ...\n")
    assert flow_facts(tmp_path, "").inputs["x"].required


def test_an_evaluator_of_whole_runs_takes_whatever_is_mapped(tmp_path: Path) -> None:
    code = "from promptflow.core import AzureOpenAIModelConfiguration\n"
    put(tmp_path, "eval_nlp.py", code + "def eval_use_case(run_name, data_id, column_mapping, output_path): ...\n")
    facts = flow_facts(tmp_path, "")
    assert facts.inputs == {}
    assert facts.takes_any_input
    assert facts.calls_model


def test_an_evaluator_without_functions_is_named_and_so_is_a_module_that_cannot_be_read(tmp_path: Path) -> None:
    put(tmp_path, "eval_nothing.py", "def check(x): ...\n")
    assert "defines a function `eval_…`" in problem_of(tmp_path, "").message
    put(tmp_path, "eval_good.py", "def eval_good(x): ...\n")
    put(tmp_path, "eval_nothing.py", "\n\ndef eval(:\n")
    assert problem_of(tmp_path, "").line == 3


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("name: Answer", "nmae: Answer\ninputz: 1", "inputz", "did you mean 'inputs'?"),
        ("type: azure_openai", "type: azure_opnai", "model.configuration.type", "did you mean 'azure_openai'?"),
        ("    connection: aoai", "    conection: aoai", "model.configuration.conection", "did you mean 'connection'?"),
        ("max_tokens: 100", "max_tokns: 100", "model.parameters.max_tokns", "did you mean 'max_tokens'?"),
        ("api: chat", "api: chta", "model.api", "did you mean 'chat'?"),
        ("type: string\n  tone", "type: strng\n  tone", "inputs.question.type", "did you mean 'string'?"),
    ],
)
def test_a_misspelt_key_or_word_of_a_prompty_is_told(tmp_path: Path, old: str, new: str, key: str, says: str) -> None:
    assert old in PROMPTY
    text = PROMPTY.replace(old, new)
    put(tmp_path, "answer.prompty", text)
    problems = Problems()
    assert read_flow(tmp_path, "answer.prompty", problems, shown="answer.prompty") is not None
    told = [warning for warning in problems.warnings if warning.key == key]
    assert [(warning.file, says in warning.message) for warning in told] == [("answer.prompty", True)]
    assert text.splitlines()[told[0].line - 1].strip().startswith(key.rpartition(".")[2])


def test_the_prompties_that_are_right_have_no_warnings(tmp_path: Path) -> None:
    put(tmp_path, "answer.prompty", PROMPTY.replace("name: Answer", "name: Answer\nauthors: [Ann]\nlicence: free"))
    problems = Problems()
    assert read_flow(tmp_path, "answer.prompty", problems, shown="answer.prompty") is not None
    assert not problems.warnings


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("  parameters:", "  paramters:", "model.paramters", "did you mean 'parameters'?"),
        ("connection: aoai", "connection: [aoai]", "model.configuration.connection", "expected a name"),
    ],
)
def test_what_prompt_flow_breaks_at_is_a_problem_of_the_prompty(
    tmp_path: Path, old: str, new: str, key: str, says: str
) -> None:
    put(tmp_path, "answer.prompty", PROMPTY.replace(old, new))
    problem = problem_of(tmp_path, "answer.prompty")
    assert (problem.key, says in problem.message) == (key, True)
