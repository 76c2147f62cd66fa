"""Lines on their way to Azure ML and back: a file of those to run, and artifacts that become records again."""

from __future__ import annotations

import json

import pytest

from shared.adapters.azure.machine_learning.runs.artifacts import by_line
from shared.adapters.azure.machine_learning.runs.dag import staged_dag
from shared.adapters.azure.machine_learning.runs.delta import nothing_to_run, read_rows, write_delta
from shared.adapters.azure.machine_learning.runs.lines import NO_RECORD, message_of, model_calls, records
from shared.adapters.azure.machine_learning.runs.vendored import engine_files, pack_engines
from shared.errors import BusinessFailure


def rows_of(delta, *, is_dag: bool) -> list[tuple[int, dict[str, object]]]:
    with delta.file.open("rb") as stream:
        return list(read_rows(stream, is_dag=is_dag))


@pytest.mark.parametrize("is_dag", [True, False])
def test_lines_come_back_as_they_were_given(is_dag, tmp_path):
    lines = [(0, {"text": "ü 😀\u2028", "inputs": {"a": [1]}}), (4, {"text": None, "inputs": "x"})]
    delta = write_delta(tmp_path / "lines.jsonl", iter(lines), is_dag=is_dag, defaults={})
    assert rows_of(delta, is_dag=is_dag) == lines
    assert (delta.lines, delta.refused) == (2, {})


def test_a_column_that_a_line_lacks_has_the_flows_default_there_and_none_in_the_record(tmp_path):
    lines = [(0, {"text": "a"}), (1, {"text": "b", "shout": True}), (2, {"text": "c"})]
    delta = write_delta(tmp_path / "lines.jsonl", lines, is_dag=True, defaults={"shout": False, "other": 1})
    assert delta.columns == ("text", "shout")
    written = [json.loads(line) for line in delta.file.read_text().splitlines()]
    assert [row["shout"] for row in written] == [False, True, False]
    assert rows_of(delta, is_dag=True) == lines


def test_a_line_nested_too_deeply_is_not_submitted_and_has_failed(tmp_path):
    deep: object = "x"
    for _ in range(200):
        deep = [deep]
    delta = write_delta(tmp_path / "l", [(0, {"a": 1}), (1, {"a": deep}), (2, {"a": 2})], is_dag=False, defaults={})
    assert delta.lines == 2
    found = list(records(rows_of(delta, is_dag=False), [info(0), info(1)], delta.refused))
    assert [(line.line, line.status) for line in found] == [(0, "completed"), (1, "failed"), (2, "completed")]
    assert "nested deeper" in found[1].error


def test_an_input_without_a_json_form_is_named(tmp_path):
    with pytest.raises(BusinessFailure, match="Line 8 has an input without a JSON form"):
        write_delta(tmp_path / "l", [(7, {"a": object()})], is_dag=True, defaults={})


def test_what_reading_the_lines_raises_passes(tmp_path):
    def lines():
        yield 0, {"a": 1}
        raise OSError("the dataset is gone")

    with pytest.raises(OSError, match="gone"):
        write_delta(tmp_path / "l", lines(), is_dag=True, defaults={})


def info(index: int, **changes: object) -> dict[str, object]:
    return {"line_number": index, "run_info": {"status": "Completed", "output": {"n": index}, **changes}}


def test_artifacts_are_read_in_order_however_lines_lie_in_their_files():
    files = [[info(2), info(0), info(1)], [info(25)]]
    assert [line["line_number"] for line in by_line(files)] == [0, 1, 2, 25]


def test_a_line_that_left_nothing_has_failed_and_the_others_keep_their_numbers():
    rows = [(3, {"a": "x"}), (5, {"a": "y"}), (9, {"a": "z"})]
    found = list(records(rows, [info(0), info(2)], {}))
    assert [(line.line, line.inputs["a"], line.outputs) for line in found] == [
        (3, "x", {"n": 0}),
        (5, "y", {}),
        (9, "z", {"n": 2}),
    ]
    assert found[1].error == NO_RECORD


def test_the_line_that_only_lets_a_run_begin_is_in_no_record(tmp_path):
    nothing_to_run(tmp_path / "l", is_dag=True)
    with (tmp_path / "l").open("rb") as stream:
        assert list(records(read_rows(stream, is_dag=True), [info(0)], {})) == []


def test_what_the_aggregation_reads_is_kept_apart_from_the_outputs():
    kept = json.dumps({"line": 4, "aggregated": {"value": 1}})
    tied = json.dumps({"line": 5, "kept": "gASVBAAA"})
    artifacts = [info(0, output={"n": 1, "line_number": 0, "genaiops": kept}), info(1, output={"genaiops": tied})]
    first, second = records([(4, {}), (5, {})], artifacts, {})
    assert (first.outputs, first.aggregated, first.is_tied) == ({"n": 1}, {"value": 1}, False)
    assert (second.outputs, second.aggregated, second.is_tied) == ({}, None, True)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Execution failure in 'grade': (ValueError) no", "Execution failure in 'grade': (ValueError) no"),
        ("Execution failure in 'Flow.__call__': (FlowError) ValueError: no", "ValueError: no"),
        ("Execution failure in 'Flow.__call__': (KeyError) 'a'", "KeyError: 'a'"),
        ("Something  \n odd [Error reference: https://x]", "Something odd"),
        ("", "UserError"),
    ],
)
def test_errors_are_worded_as_on_a_laptop(message, told):
    assert message_of({"message": message, "code": "UserError"}) == told


def test_a_call_within_a_call_of_a_model_is_that_call():
    chat = {"type": "LLM", "children": [{"type": "LLM"}]}
    assert model_calls({"type": "Flow", "children": [chat, {"type": "Tool", "children": [{"type": "Embedding"}]}]}) == 2


DAG = {
    "inputs": {"truth": {"type": "string"}},
    "outputs": {"correct": {"type": "int", "reference": "${grade.output}"}},
    "nodes": [
        {"name": "grade", "type": "python", "inputs": {"truth": "${inputs.truth}"}},
        {
            "name": "sum",
            "type": "python",
            "aggregation": True,
            "inputs": {
                "grades": "${grade.output.score}",
                "truths": "${inputs.truth}",
                "again": "${grade.output.score}",
            },
        },
        {"name": "tell", "type": "llm", "aggregation": True, "inputs": {"sums": "${sum.output}", "tone": "calm"}},
    ],
}


def test_aggregation_nodes_read_known_lines_through_the_added_node_and_each_other_as_before():
    staged = staged_dag(DAG, aggregate=True, known=True, runs_lines=True)
    nodes = {node["name"]: node for node in staged.content["nodes"]}
    first, second = "${genaiops_merged.output.v0}", "${genaiops_merged.output.v1}"
    assert nodes["sum"]["inputs"] == {"grades": first, "truths": second, "again": first}
    assert nodes["tell"]["inputs"] == {"sums": "${sum.output}", "tone": "calm"}
    assert nodes["genaiops_merged"]["inputs"] == {
        "lines": "${inputs.genaiops_line}",
        "v0": "${grade.output.score}",
        "v1": "${inputs.truth}",
    }
    assert staged.aggregations == ("sum", "tell")


def test_where_every_line_is_known_no_node_of_a_line_is_left():
    staged = staged_dag(DAG, aggregate=True, known=True, runs_lines=False)
    assert [node["name"] for node in staged.content["nodes"]] == ["sum", "tell", "genaiops_kept", "genaiops_merged"]
    assert list(staged.content["inputs"]) == ["genaiops_line"]


def test_without_known_lines_the_aggregation_stays_as_it_was_written():
    staged = staged_dag(DAG, aggregate=True, known=False, runs_lines=True)
    assert [node for node in staged.content["nodes"] if node.get("aggregation")] == DAG["nodes"][1:]
    assert list(staged_dag(DAG, aggregate=False, known=False, runs_lines=True).tools) == []


def test_the_same_engines_make_the_same_archive(tmp_path):
    for name in ("a.zip", "b.zip"):
        pack_engines(tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    names = {path.name for path in engine_files()}
    assert {"load.py", "reasons.py", "code.py", "evaluators.py", "kept.py", "nesting.py"} <= names
    assert {"runner.py", "bootstrap.py", "perform.py"} & names == set()
