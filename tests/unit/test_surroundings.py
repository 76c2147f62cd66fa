"""What an installation adds to a use case names its cells: a variable or an endpoint that a line went by is no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.connections import Connection
from shared.experimentation.assembly import prepare
from shared.experimentation.surroundings import Surroundings
from shared.use_case.load import load
from tests.unit.use_case_folder import change, put, written

FLOW = "flows/standard/flow.dag.yaml"
ALONE, NEITHER = (True, False), (False, False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = written(tmp_path)
    change(folder, "experiment.yaml", "  api_key: ${api_key}\n", "  api_key: ${api_key}\n- other\n")
    return folder


def configurations(
    folder: Path, environment: Mapping[str, str] | None = None, other: str = "https://other.example.com"
) -> tuple[str, str]:
    """Of the flow's default choice, and of its evaluator."""
    connections = {
        name: Connection(name, "azure", address, "k")
        for name, address in (("aoai", "https://aoai.example.com"), ("other", other))
    }
    use_case = load(folder, "dev", data=folder.parents[1] / "data")
    chain = prepare(use_case, "b" * 64, Surroundings(connections, environment=environment or {}), selection="*").chain
    return chain.cells[-1].configuration, chain.evaluators[0].configuration


def changed(folder: Path, **other: object) -> tuple[bool, ...]:
    before, after = configurations(folder), configurations(folder, **other)  # type: ignore[arg-type]
    return tuple(old != new for old, new in zip(before, after, strict=True))


def test_a_variable_that_the_flow_asks_for_counts_for_that_flow(folder: Path) -> None:
    put(folder, FLOW, f"{(folder / FLOW).read_text()}environment_variables:\n  STYLE: ${{env:HOUSE_STYLE}}\n")
    assert changed(folder, environment={"HOUSE_STYLE": "brief"}) == ALONE
    assert changed(folder, environment={"SOMETHING_ELSE": "brief"}) == NEITHER


def test_a_variable_in_which_a_class_is_told_its_model_counts(folder: Path) -> None:
    for name in ("flow.dag.yaml", "classify.jinja2", "parse.py"):
        (folder / "flows/standard" / name).unlink()
    change(folder, "experiment.yaml", "  classify.temperature: [0, 0.7]", "  init.tone: [warm, cold]")
    put(folder, "flows/standard/flow.flex.yaml", "entry: greet:Greet\n")
    put(folder, "flows/standard/init.json", '{"model": "${model}"}\n')
    code = "class Greet:\n    def __init__(self, model: str, tone: str = 'warm'):\n        pass\n\n"
    code += "    def __call__(self, text: str, tone: str = 'x'):\n        return {'label': text}\n"
    put(folder, "flows/standard/greet.py", code)
    assert changed(folder, environment={"MODEL": "gpt-4o"}) == ALONE


def test_an_endpoint_that_no_node_names_counts_where_the_flow_or_a_parameter_does(folder: Path) -> None:
    elsewhere = "https://elsewhere.example.com"
    assert changed(folder, other=elsewhere) == NEITHER

    put(folder, FLOW, f"{(folder / FLOW).read_text()}environment_variables:\n  BASE: ${{other.api_base}}\n")
    assert changed(folder, other=elsewhere) == ALONE


def test_an_endpoint_that_only_a_parameter_names_counts_for_its_choice(folder: Path) -> None:
    code = "from promptflow.core import tool\n\n\n@tool\ndef parse(answer: str, conn=None) -> str:\n    return answer\n"
    put(folder, "flows/standard/parse.py", code)
    change(folder, "experiment.yaml", "  classify.temperature: [0, 0.7]", "  parse.conn: [aoai, other]")
    assert changed(folder, other="https://elsewhere.example.com") == ALONE
