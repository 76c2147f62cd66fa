"""The local flow runner with code flows: functions, classes and evaluators, run as plain Python."""

from __future__ import annotations

import pytest

from shared.errors import BusinessFailure
from shared.ports import RunSpec, RunStatus
from shared.results import LineRecord, LineStatus
from tests.contract.local_runner import FLOWS, one, spec


def code(function: str, *texts: str, **changes: object) -> RunSpec:
    given = [{"text": text} for text in texts]
    return spec("code", given, **{"flow_file": f"{function}.flex.yaml", **changes})


def graded(*pairs: tuple[str, str], **changes: object) -> RunSpec:
    given = [{"prediction": prediction, "truth": truth} for prediction, truth in pairs]
    return spec("class_evaluator", given, **{"flow_file": "flow.flex.yaml", **changes})


def evaluated(folder: str, *pairs: tuple[str, str], **changes: object) -> RunSpec:
    given = [{"prediction": prediction, "truth": truth} for prediction, truth in pairs]
    return spec(folder, given, **{"flow_file": "", **changes})


@pytest.mark.parametrize(
    ("function", "outputs"),
    [
        ("returns_text", {"output": "two words in code"}),
        ("returns_a_mapping", {"value": "two words", "sizes": [9]}),
        ("returns_a_typed_mapping", {"value": "two words"}),
        ("returns_a_dataclass", {"value": 9, "label": "two words"}),
        ("generates", {"output": "twowords"}),
        ("generates_one_output", {"value": "twowords", "text": "two words"}),
        ("waits", {"output": "TWO WORDS"}),
        ("generates_while_it_waits", {"output": "twowords"}),
        ("captures", {"value": "two\nwords\n"}),
    ],
)
def test_whatever_a_function_returns_becomes_outputs(runner, function, outputs):
    assert one(runner.start(code(function, "two words"))).outputs == outputs


def test_a_plain_functions_worker_never_imports_prompt_flow(runner):
    outcome = runner.start(code("loaded", "a", "b"))

    loaded = [line.outputs["value"] for line in outcome.lines]
    assert all("promptflow" not in names and "openai" not in names and "shared" not in names for names in loaded)
    assert outcome.record.engine.startswith("python 3.")


def test_lines_that_swap_their_output_do_not_see_each_others(runner):
    outcome = runner.start(code("captures", *(f"{n} {n + 1}" for n in range(64))))
    assert [line.outputs["value"] for line in outcome.lines] == [f"{n}\n{n + 1}\n" for n in range(64)]


def test_inputs_get_the_types_and_defaults_that_the_function_declares(runner):
    given = [{"count": "3"}, {"count": 4.0, "share": "2", "is_new": "True", "names": '["a"]'}, {"count": 5, "more": 1}]
    outcome = runner.start(spec("code", given, flow_file="typed.flex.yaml"))
    assert [line.outputs["value"] for line in outcome.lines] == [
        [3, 0.5, False, None, {}],
        [4, 2.0, True, ["a"], {}],
        [5, 0.5, False, None, {"more": 1}],
    ]


def test_the_flows_file_gives_defaults_and_an_empty_text_gives_none(runner):
    outcome = runner.start(spec("code", [{}], flow_file="declared.flex.yaml"))
    assert one(outcome).outputs["value"] == [7, 0.5, False, None, {}]


def test_arguments_without_annotation_are_read_as_prompt_flow_reads_them(runner):
    given = [{"anything": '{"a": 1}', "number": "4", "text": 5, "none": "null"}, {"anything": "a text", "none": "5"}]
    outcome = runner.start(spec("code", given, flow_file="untyped.flex.yaml"))
    assert [line.outputs["value"] for line in outcome.lines] == [[{"a": 1}, 4, "5", None], ["a text", 3, "x", 5]]


def test_a_parameter_stands_in_for_an_input_that_a_line_does_not_bring(runner):
    run = spec("code", [{}, {"count": 1}], flow_file="declared.flex.yaml", parameters={"inputs.count": 9})
    assert [line.outputs["value"][0] for line in runner.start(run).lines] == [9, 1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "The input 'count' is missing; there are 'count', 'share', 'is_new', 'names'."),
        ({"count": "many"}, """The input 'count' is "many": a value of type int is expected."""),
        ({"count": 1, "is_new": "perhaps"}, """The input 'is_new' is "perhaps": a value of type bool is expected."""),
    ],
)
def test_an_input_that_is_missing_or_wrong_fails_its_line_by_name(runner, given, told):
    assert one(runner.start(spec("code", [given], flow_file="typed.flex.yaml"))).error == told


def test_what_a_function_raises_fails_its_line(runner):
    line = one(runner.start(code("raises", "not there")))
    assert (line.status, line.error) == (LineStatus.FAILED, "KeyError: 'not there'")


def test_an_output_without_a_json_form_fails_its_line(runner):
    assert "'output' (object) has no JSON form" in one(runner.start(code("unserialisable", "a"))).error


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"flow_file": "misspelt.flex.yaml"}, "'retuns_text', which is no function or class of 'outputs'"),
        ({"flow_file": "missing.flex.yaml"}, "missing.flex.yaml does not exist"),
        ({"parameters": {"init.tone": 1}}, "'init.tone' is for a class, but the entry of code is a function"),
        ({"parameters": {"temperature": 1}}, "'temperature' is a model setting"),
        ({"variants": {"node": "a"}}, "code has no nodes"),
    ],
)
def test_what_a_code_flow_does_not_offer_is_refused(runner, changes, told):
    with pytest.raises(BusinessFailure, match=told):
        runner.start(code("returns_text", "a", **changes))


def test_a_class_aggregates_what_its_lines_returned(runner):
    outcome = runner.start(graded(("a", "a"), ("b", "c"), ("d", "unknown"), ("e", "e")))

    assert outcome.record.metrics == {"accuracy": pytest.approx(2 / 3), "lines": 3.0, "numbers": 3.0}
    assert outcome.record.failed_lines == 1


def test_a_class_is_made_with_the_parameters_of_its_run(runner):
    outcome = runner.start(graded(("a", "a"), parameters={"init.weight": 5}))
    assert outcome.record.metrics["accuracy"] == 5.0


def test_dataclasses_reach_the_aggregation_as_themselves(runner):
    outcome = runner.start(graded(("a", "a"), ("b", "c"), flow_file="dataclass.flex.yaml"))
    assert outcome.record.metrics == {"accuracy": 0.5}
    assert next(iter(outcome.lines)).outputs == {"correct": True, "prediction": "a"}


@pytest.mark.parametrize("flow_file", ["flow.flex.yaml", "dataclass.flex.yaml"])
def test_lines_of_an_earlier_run_take_part_in_the_aggregation(runner, flow_file):
    first = list(runner.start(graded(("a", "a"), ("b", "c"), flow_file=flow_file)).lines)
    known = [LineRecord.model_validate_json(line.model_dump_json()) for line in first]
    run = graded(("d", "d"), flow_file=flow_file, known_lines=known, known_count=2, line_numbers=[2])

    outcome = runner.start(run)
    assert outcome.record.metrics["accuracy"] == pytest.approx(2 / 3)
    assert [line.line for line in outcome.lines] == [2]


def test_evaluation_functions_score_each_line_with_the_inputs_that_they_name(runner):
    outcome = runner.start(evaluated("evaluators", ("a", "a"), ("LONG", "b")))

    assert [line.outputs for line in outcome.lines] == [
        {"loud": False, "exact": True, "length": 1, "where": "in evaluators"},
        {"loud": True, "exact": False, "length": 4, "where": "in evaluators"},
    ]
    assert outcome.record.metrics == {"loudest": 1.0, "heard": 2.0, "exact": 0.5, "length": 2.5}


def test_the_mean_of_a_score_is_over_the_lines_that_have_it(runner):
    run = evaluated("evaluators", ("a", "a"), ("a" * 104, "b"), ("a" * 102, "b"))
    assert runner.start(run).record.metrics["over"] == 3.0


def test_an_evaluation_function_for_a_whole_run_is_called_once_over_all_its_lines(runner):
    outcome = runner.start(evaluated("whole_run", ("a", "a"), ("b", "c"), ("d", "d")))

    assert outcome.status is RunStatus.COMPLETED
    assert [line.outputs for line in outcome.lines] == [{}, {}, {}]
    assert outcome.record.metrics == {"right": 2.0, "lines": 3.0}


def test_code_imports_the_rest_of_its_use_case_by_the_use_cases_name(runner):
    root = FLOWS / "use_case"
    run = spec(
        "use_case", [{"name": "Ada"}], flow=root / "flows" / "caller", flow_file="", package="greetings", root=root
    )
    assert one(runner.start(run)).outputs == {"greeting": "Hello Ada!"}


def test_flows_with_modules_of_the_same_name_get_their_own(runner):
    for _ in range(2):
        assert one(runner.start(code("returns_text", "here"))).outputs == {"output": "here in code"}
        assert one(runner.start(evaluated("evaluators", ("a", "a")))).outputs["where"] == "in evaluators"


def test_variables_of_the_run_are_set_before_flow_code_is_loaded(runner, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text(
        "entry: types:tell\nenvironment_variables:\n  FROM_FLOW: of the flow\n  FROM_RUN: x\n"
    )
    (tmp_path / "types.py").write_text(  # a name that Python itself has imported long before
        "import os\nSEEN = [os.environ['FROM_RUN'], os.environ['FROM_FLOW']]\ndef tell():\n    return {'value': SEEN}\n"
    )
    run = spec("own", [{}], flow=tmp_path, flow_file="flow.flex.yaml", environment={"FROM_RUN": "of the run"})
    assert one(runner.start(run)).outputs == {"value": ["of the run", "of the flow"]}
