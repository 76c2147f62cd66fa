"""Misspelt keys of a flow's file, and variables of its prompts that nothing gives a value: told, though nothing breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.load import InvalidUseCase
from tests.unit.use_case_folder import change, loaded, only_problem, put, written

FLOW = "flows/standard/flow.dag.yaml"
GRADE = "flows/evaluation/flow.dag.yaml"
PROMPT = "flows/standard/classify.jinja2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "right"),
    [
        (GRADE, "inputs:\n  expected", "descripton: x\ninputs:\n  expected", "descripton", "description"),
        (GRADE, "aggregation: true", "agregation: true", "nodes[1].agregation", "aggregation"),
        (FLOW, "type: code\n    path", "tol: x\n    type: code\n    path", "nodes[1].source.tol", "tool"),
        (FLOW, "reference: ${p", "referense: x\n    reference: ${p", "outputs.label.referense", "reference"),
        (
            FLOW,
            "      terse:\n",
            "      terse:\n        descripton: x\n",
            "node_variants.classify.variants.terse.descripton",
            "description",
        ),
    ],
)
def test_a_misspelt_key_is_told_with_the_nearest_one(
    folder: Path, file: str, old: str, new: str, key: str, right: str
) -> None:
    line, below = change(folder, file, old, new), int(new.startswith("      terse"))
    (warning,) = loaded(folder).warnings
    assert (warning.file, warning.line, warning.key) == (file, line + below, key)
    assert f"did you mean {right!r}?" in warning.message


def test_a_misspelt_connection_is_missing_and_told(folder: Path) -> None:
    text = (folder / FLOW).read_text().replace("connection: aoai", "conection: aoai", 1)
    put(folder, FLOW, text)
    with pytest.raises(InvalidUseCase) as caught:
        loaded(folder)
    assert [(p.key, p.message) for p in caught.value.problems] == [
        ("node_variants.classify.variants.plain.node.connection", "an llm node needs the name of a connection")
    ]
    assert ["did you mean 'connection'?" in warning.message for warning in caught.value.warnings] == [True]


def test_a_condition_without_a_value_to_compare_with_is_named(folder: Path) -> None:
    line = change(
        folder, FLOW, "  type: python\n", '  activate: {when: "${inputs.tone}", equals: polite}\n  type: python\n'
    )
    problem = only_problem(folder)
    assert (problem.line, problem.key) == (line, "nodes.1.activate")
    assert "a mapping with `when` and `is`" in problem.message


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("system:\nBe {{tone}}.\n\n{{txet | upper}}", [(4, "{{txet}}")]),
        ("{% for word in text %}{{ word }}{{ loop.index }}{% endfor %}", []),
        ("{% if hint %}{{ hint }}{% endif %}{{ style or tone }}", []),
        ("{{ hint | default('none') }}{{ mood if mood is defined else '' }}", []),
    ],
)
def test_a_variable_of_a_prompt_that_nothing_gives_is_told(
    folder: Path, prompt: str, told: list[tuple[int, str]]
) -> None:
    put(folder, PROMPT, prompt)
    found = loaded(folder).warnings
    assert [(warning.file, warning.line, warning.key) for warning in found] == [(PROMPT, *place) for place in told]
    assert all("did you mean 'text'?" in warning.message for warning in found)


def test_a_variable_that_a_parameter_gives_is_not_told(folder: Path) -> None:
    put(folder, PROMPT, "{{text}}{{hint}}")
    assert [warning.key for warning in loaded(folder).warnings] == ["{{hint}}"]
    change(folder, "experiment.yaml", "  classify.temperature", "  classify.hint: [be kind]\n  classify.temperature")
    assert not loaded(folder).warnings
