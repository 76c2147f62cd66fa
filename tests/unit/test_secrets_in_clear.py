"""Secrets that somebody wrote into a use case folder: they are found before they travel in a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.references import is_secret
from tests.unit.use_case_folder import change, problems_of, put, written

KEY = "0123456789abcdef0123456789abcdef"
CLASS = "class Answer:\n    def __init__(self, model_config: dict, token: str = ''): ...\n    def __call__(self, text): ...\n"
PROMPTY = """\
---
model:
  configuration:
    type: azure_openai
    api_key: {key}
inputs:
  text: {{type: string}}
---
user:
{{{{text}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def found(folder: Path, file: str) -> list[tuple[int, str]]:
    """Line and key of each secret that is told of a file; never the secret itself."""
    problems = problems_of(folder)
    assert KEY not in str(problems)
    return [(p.line, p.key) for p in problems if p.file == file and "holds a secret in clear" in p.message]


def as_class(folder: Path, flow: str, init: str) -> None:
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/flow.flex.yaml", flow)
    put(folder, "flows/standard/m.py", CLASS)
    put(folder, "flows/standard/init.json", init)


def test_a_key_in_init_json_is_found(folder: Path) -> None:
    init = f'{{\n"model_config": {{"connection": "aoai",\n"api_key": "{KEY}"}},\n"token": "sk-{KEY}"}}'
    as_class(folder, "entry: m:Answer\n", init)
    assert found(folder, "flows/standard/init.json") == [(3, "model_config.api_key"), (4, "token")]


def test_a_key_in_the_defaults_of_a_flow_file_is_found(folder: Path) -> None:
    flow = f"entry: m:Answer\ninit:\n  model_config:\n    type: object\n    default:\n      api_key: {KEY}\n"
    as_class(folder, flow, "{}")
    assert found(folder, "flows/standard/flow.flex.yaml") == [(6, "init.model_config.default.api_key")]


def test_a_key_among_a_flows_variables_is_found(folder: Path) -> None:
    line = change(
        folder, "flows/standard/flow.dag.yaml", "nodes:\n", f"environment_variables:\n  SHOP_API_KEY: {KEY}\nnodes:\n"
    )
    assert found(folder, "flows/standard/flow.dag.yaml") == [(line + 1, "environment_variables.SHOP_API_KEY")]
    as_class(folder, f"entry: m:Answer\nenvironment_variables:\n  SHOP_API_KEY: {KEY}\n", "{}")
    assert found(folder, "flows/standard/flow.flex.yaml") == [(3, "environment_variables.SHOP_API_KEY")]


def test_a_key_in_a_prompty_is_found_and_a_reference_is_none(folder: Path) -> None:
    change(folder, "experiment.yaml", "flow: flows/standard", "flow: flows/p")
    put(folder, "flows/p/p.prompty", PROMPTY.format(key=KEY))
    assert found(folder, "flows/p/p.prompty") == [(5, "model.configuration.api_key")]
    put(folder, "flows/p/p.prompty", PROMPTY.format(key="${env:SOME_KEY}"))
    assert found(folder, "flows/p/p.prompty") == []


def test_a_broken_prompt_of_a_prompty_is_named_by_its_line(folder: Path) -> None:
    change(folder, "experiment.yaml", "flow: flows/standard", "flow: flows/p")
    put(folder, "flows/p/p.prompty", PROMPTY.format(key="${env:SOME_KEY}") + "{{ text\n")
    (problem,) = [p for p in problems_of(folder) if p.file == "flows/p/p.prompty"]
    assert (problem.line, problem.key) == (11, "prompt")
    assert "is not a valid Jinja template" in problem.message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ANYTHING", f"sk-{KEY}", True),
        ("ANYTHING", f"ghp_{KEY}", True),
        ("STORE", f"AccountName=x;AccountKey={KEY}", True),
        ("SHOP_PASSWORD", "correct-horse-battery", True),
        ("SHOP_PASSWORD", "short", False),
        ("SHOP_PASSWORD", "${SHOP_PASSWORD}", False),
        ("SHOP_PASSWORD", "<your password goes here>", False),
        ("GREETING", "sk-please be polite to everybody", False),
        ("MAX_TOKENS", 4000, False),
    ],
)
def test_secrets_are_told_by_name_and_by_look(name: str, value: object, expected: bool) -> None:
    assert is_secret(name, value) is expected
