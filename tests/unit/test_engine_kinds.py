"""Which engine a flow needs, told by its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.local.engines import needs_promptflow
from shared.adapters.local.engines.environment import declared_environment
from shared.adapters.local.engines.kinds import mentioned

FLOWS = Path(__file__).parents[1] / "contract" / "flows"


@pytest.mark.parametrize(
    ("flow", "flow_file", "needs"),
    [
        ("triage", "flow.dag.yaml", True),
        ("prompty", "answer.prompty", True),
        ("class_flow", "flow.flex.yaml", True),
        ("class_evaluator", "flow.flex.yaml", False),
        ("code", "returns_text.flex.yaml", False),
        ("evaluators", "", False),
        ("nowhere", "flow.dag.yaml", False),
    ],
)
def test_only_what_uses_prompt_flow_is_started_with_it(flow, flow_file, needs):
    assert needs_promptflow(FLOWS / flow, flow_file) is needs


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("import promptflow", True),
        ("    from promptflow.core import Prompty", True),
        ("# from promptflow.core import Prompty", False),
        ("import promptflows", False),
        ("text = 'import promptflow'", False),
    ],
)
def test_an_import_anywhere_in_the_folder_counts(tmp_path, line, needs):
    (tmp_path / "flow.flex.yaml").write_text("entry: a:b\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "helper.py").write_text(f"import os\n{line}\n")
    assert needs_promptflow(tmp_path, "flow.flex.yaml") is needs


def test_connections_are_found_as_whole_words_in_the_flows_files(tmp_path):
    (tmp_path / "a.py").write_text("client('aoai')")
    (tmp_path / "b.prompty").write_text("connection: second\n")
    (tmp_path / "c.py").write_text("aoai_2 = 'third-one'")
    assert mentioned(tmp_path, ["second", "aoai", "third", "aoai_2"]) == ["second", "aoai", "aoai_2"]


def test_prompties_and_init_json_ask_for_variables_of_the_host_by_name(monkeypatch, tmp_path):
    for name in ("ENDPOINT", "MODEL_KEY", "TONE", "UNASKED"):
        monkeypatch.setenv(name, f"of {name}")
    (tmp_path / "flow.flex.yaml").write_text("entry: a:b\n")
    (tmp_path / "a.prompty").write_text("---\nmodel:\n  azure_endpoint: ${env:ENDPOINT}\n---\nsystem:\nHello\n")
    (tmp_path / "init.json").write_text('{"model": {"key": "${x}", "name": "plain"}, "tone": "${y}"}')
    assert declared_environment(tmp_path, "flow.flex.yaml") == {
        "ENDPOINT": "of ENDPOINT",
        "MODEL_KEY": "of MODEL_KEY",
        "TONE": "of TONE",
    }
