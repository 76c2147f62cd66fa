"""The reader of the template language, on files of a few lines: what it expands to, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.pipelines.expressions import ExpressionError, evaluate
from tests.pipelines.templates import TemplateError, expand


def expanded(folder: Path, text: str, **templates: str) -> Any:
    for name, template in templates.items():
        (folder / f"{name}.yml").write_text(dedent(template))
    (folder / "main.yml").write_text(dedent(text))
    return expand(folder / "main.yml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("eq('Wait', 'wait')", True),
        ("and(true, ne(variables['a'], ''))", True),
        ("not(in('a', 'b', 'c'))", True),
        ("replace('a-b', '-', '_')", "a_b"),
        ("join(' ', items.*.name)", "x y"),
        ("items[1].name", "y"),
        ("coalesce('', 'it''s')", "it's"),
        ("startsWith('refs/heads/release/1', 'refs/heads/release/')", True),
        ("eq(1, '1')", True),
    ],
)
def test_expressions_have_their_documented_values(text: str, value: Any) -> None:
    assert evaluate(text, {"variables": {"a": "b"}, "items": [{"name": "x"}, {"name": "y"}]}) == value


@pytest.mark.parametrize("text", ["eq(1", "unknown(1)", "parameters.x", "eq(1, 2) 3", "variables['z']", "a b"])
def test_what_is_no_expression_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, {"variables": {}})


def test_conditions_loops_and_templates_are_put_in(tmp_path: Path) -> None:
    result = expanded(
        tmp_path,
        """
        parameters:
        - {name: names, type: object, default: [a, b]}
        - {name: deep, type: boolean, default: true}
        jobs:
        - ${{ each name in parameters.names }}:
          - template: job.yml
            parameters: {name: "${{ name }}"}
        - ${{ if not(parameters.deep) }}:
          - job: shallow
        - ${{ else }}:
          - job: deep
            ${{ if parameters.deep }}: {displayName: "Deep: ${{ parameters.deep }}"}
        """,
        job="""
        parameters:
        - {name: name, type: string}
        jobs:
        - job: ${{ parameters.name }}
        """,
    )
    assert result["jobs"] == [{"job": "a"}, {"job": "b"}, {"job": "deep", "displayName": "Deep: True"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobs:\n- template: none.yml", "there is no template"),
        ("jobs:\n- template: job.yml", "the parameter name is missing"),
        ("jobs:\n- template: job.yml\n  parameters: {name: a, more: b}", "there is no parameter more"),
        ("jobs:\n- template: job.yml\n  parameters: {name: [a]}", "which is no string"),
        ("jobs:\n- ${{ else }}:\n  - job: a", "follows no if"),
        ("jobs:\n- job: ${{ parameters.name }}", "has no 'name'"),
        ("jobs:\n- &one\n  job: a\n- *one", "anchors and aliases"),
        ("jobs:\n- job: a\n  ${{ if true }}: {job: b}", "stands there twice"),
        ("parameters: {name: a}\njobs: []", "must be a list"),
    ],
)
def test_what_the_service_would_refuse_or_misread_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    template = "parameters:\n- {name: name, type: string}\njobs:\n- job: ${{ parameters.name }}\n"
    with pytest.raises(TemplateError, match=said):
        expanded(tmp_path, text, job=template)
