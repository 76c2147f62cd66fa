"""Variables that the values of a class flow's `__init__` stand for: one that is not set is found before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.init_variables import missing
from tests.unit.use_case_folder import change, loaded, put, written

CODE = """\
class Greet:
    def __init__(self, size: str, model_config: dict = None):
        pass

    def __call__(self, text: str):
        return {"label": text}
"""
INIT = """\
{
  "size": "${size}",
  "model_config": {
    "connection": "aoai",
    "api_key": "${api_key}",
    "azure_deployment": "${deployment}"
  }
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = written(tmp_path)
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/flow.flex.yaml", "entry: greet:Greet\n")
    put(folder, "flows/standard/greet.py", CODE)
    put(folder, "flows/standard/init.json", INIT)
    change(folder, "experiment.yaml", "parameters:\n  classify.temperature: [0, 0.7]\n", "")
    return folder


def test_each_reference_is_a_variable_named_after_its_place(folder: Path) -> None:
    size, deployment = missing(loaded(folder), {})
    assert (size.file, size.line, size.key) == ("flows/standard/init.json", 2, "size")
    assert "the variable SIZE is not set" in size.message
    assert (deployment.line, deployment.key) == (6, "model_config.azure_deployment")
    assert "MODEL_CONFIG_AZURE_DEPLOYMENT" in deployment.message


def test_the_environment_or_the_use_cases_variables_may_set_them(folder: Path) -> None:
    put(folder, "environment/env.yaml", "SIZE: 5\n")
    use_case = loaded(folder)
    assert [problem.key for problem in missing(use_case, {})] == ["model_config.azure_deployment"]
    assert missing(use_case, {"MODEL_CONFIG_AZURE_DEPLOYMENT": "gpt"}) == []


def test_a_value_that_a_parameter_gives_needs_no_variable(folder: Path) -> None:
    block = "parameters:\n  init.size: [a]\n  init.model_config.azure_deployment: [b]\n\ngates:\n"
    change(folder, "experiment.yaml", "gates:\n", block)
    assert missing(loaded(folder), {}) == []


def test_a_reference_in_the_flows_file_is_named_there(folder: Path) -> None:
    (folder / "flows/standard/init.json").unlink()
    put(
        folder,
        "flows/standard/flow.flex.yaml",
        "entry: greet:Greet\ninit:\n  size:\n    type: string\n    default: ${size}\n",
    )
    (problem,) = missing(loaded(folder), {})
    assert (problem.file, problem.line) == ("flows/standard/flow.flex.yaml", 5)
