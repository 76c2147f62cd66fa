"""What a DAG flow takes, gives and offers to vary, read from its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.flow_facts import flow_facts
from tests.unit.use_case_folder import change, loaded, only_problem, problems_of, put, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


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


def test_a_variable_that_no_process_can_have_is_named(folder: Path) -> None:
    text = (folder / "flows/standard/flow.dag.yaml").read_text()
    put(folder, "flows/standard/flow.dag.yaml", 'environment_variables:\n  GOOD: "1"\n  TONE: "a\\0b"\n' + text)
    problem = only_problem(folder)
    assert (problem.file, problem.line) == ("flows/standard/flow.dag.yaml", 3)
    assert "the variable 'TONE' cannot be set" in problem.message


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("${classify.output}", "${classify.outputs}", "nodes.1.inputs.answer", "there is only its output"),
        ("${classify.output}", "${classify.output", "nodes.1.inputs.answer", "ends with a brace"),
        ("${parse.output}", "parse.output", "outputs.label.reference", "must be `${<node>.output}`"),
        ("${parse.output}", "${parse.result}", "outputs.label.reference", "${parse.output}"),
        ("  text:\n    type: string", "  text:\n    type: strng", "inputs.text.type", "did you mean 'string'?"),
        ("    answer: ${c", "    anwser: ${c", "nodes.1.inputs.anwser", "did you mean 'answer'?"),
        ("    answer: ${c", "    anwser: ${c", "nodes.1.inputs", "lacks 'answer', which the tool in parse.py needs"),
    ],
)
def test_what_would_fail_every_line_is_found_before(folder: Path, old: str, new: str, key: str, says: str) -> None:
    change(folder, "flows/standard/flow.dag.yaml", old, new)
    found = [p for p in problems_of(folder) if p.key == key]
    assert [says in p.message for p in found] == [True], [str(p) for p in problems_of(folder)]


def test_a_python_file_without_a_tool_is_no_node(folder: Path) -> None:
    put(folder, "flows/standard/parse.py", "def parse(answer):\n    return answer\n")
    problem = only_problem(folder)
    assert problem.file == "flows/standard/parse.py"
    assert "no function under `@tool`" in problem.message


def test_prompt_flows_older_word_for_inputs_is_understood(folder: Path) -> None:
    change(
        folder,
        "flows/standard/flow.dag.yaml",
        'text: "${inputs.text}", tone: short',
        'text: "${flow.text}", tone: short',
    )
    assert not loaded(folder).warnings
