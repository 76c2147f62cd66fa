"""What spans the run matrix: parameters of every form, strategies, repetition, budget; checked against the flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.model import Budget, ListedChoice, Reuse, Strategy
from tests.unit.use_case_folder import change, loaded, only_problem, put, written

CLASS = """\
from promptflow.core import AzureOpenAIModelConfiguration


class Greet:
    def __init__(self, model_config: AzureOpenAIModelConfiguration, options: dict, most_tokens: int = 4096):
        pass

    def __call__(self, text: str, tone: str = "polite"):
        return {"label": text}
"""
INIT = '{"model_config": {"connection": "aoai", "azure_deployment": "gpt"}, "options": {"size": 1}}'
PROMPTY = (
    "---\nmodel:\n  configuration: {azure_deployment: gpt}\ninputs:\n  text: {type: string}\n---\nuser:\n{{text}}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def as_class(folder: Path) -> None:
    """Turn the standard flow into a class flow."""
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/flow.flex.yaml", "entry: greet:Greet\n")
    put(folder, "flows/standard/greet.py", CLASS)
    put(folder, "flows/standard/init.json", INIT)


def as_prompty(folder: Path) -> None:
    """Turn the standard flow into a prompty."""
    (folder / "flows/standard/flow.dag.yaml").unlink()
    put(folder, "flows/standard/greet.prompty", PROMPTY)
    change(folder, "experiment.yaml", "run.outputs.label", "run.outputs.output")
    change(folder, "experiment.yaml", "[label]", "[output]")


def vary(folder: Path, block: str) -> None:
    """Replace the block `parameters`."""
    change(folder, "experiment.yaml", "parameters:\n  classify.temperature: [0, 0.7]\n", block)


def test_without_the_blocks_one_thing_is_varied_at_a_time_once_and_lines_are_reused(folder: Path) -> None:
    use_case = loaded(folder)
    assert (use_case.strategy, use_case.choices, use_case.repeat) == (Strategy.ONE_AT_A_TIME, (), 1)
    assert (use_case.budget, use_case.reuse) == (Budget(), Reuse.LINES)


def test_of_a_dag_nodes_model_settings_and_inputs_may_be_varied(folder: Path) -> None:
    vary(folder, "parameters:\n  classify.top_p: [1]\n  temperature: [0, 0.5]\n  inputs.tone: [warm, cold]\n")
    assert loaded(folder).parameters == {
        "classify.top_p": (1,),
        "temperature": (0, 0.5),
        "inputs.tone": ("warm", "cold"),
    }


def test_of_a_class_flow_arguments_of_init_and_what_is_inside_them_may_be_varied(folder: Path) -> None:
    as_class(folder)
    block = "parameters:\n  init.most_tokens: [1, 2]\n  init.model_config.azure_deployment: [a, b]\n"
    vary(folder, block + "  init.options.size: [1]\n  inputs.tone: [warm]\n")
    assert list(loaded(folder).parameters) == [
        "init.most_tokens",
        "init.model_config.azure_deployment",
        "init.options.size",
        "inputs.tone",
    ]


def test_a_connection_that_a_parameter_brings_in_counts_as_used(folder: Path) -> None:
    as_class(folder)
    vary(folder, "parameters:\n  init.model_config.connection: [aoai, other]\n")
    problem = only_problem(folder)
    assert problem.key == "parameters.init.model_config.connection"
    assert "connection 'other', which `connections` does not list" in problem.message


def test_an_input_that_a_parameter_gives_needs_neither_mapping_nor_column(folder: Path) -> None:
    put(folder, "data/train.jsonl", '{"id": 1}\n{"id": 2}\n{"id": 3}\n')
    change(folder, "experiment.yaml", '    text: "${data.text}"\n', "")
    vary(folder, "parameters:\n  inputs.text: [hello]\n")
    assert loaded(folder).datasets[0].mappings == {}


def test_of_a_prompty_model_settings_may_be_varied(folder: Path) -> None:
    as_prompty(folder)
    vary(folder, "parameters:\n  temperature: [0, 1]\n  model: [a, b]\n")
    assert list(loaded(folder).parameters) == ["temperature", "model"]


@pytest.mark.parametrize(
    ("kind", "key", "says"),
    [
        ("dag", "inputs.txt", "did you mean 'text'?"),
        ("dag", "init.size", "is no node of the flow"),
        ("dag", "temprature", "did you mean 'temperature'?"),
        ("dag", "Classify.temperature", "did you mean 'classify'?"),
        ("dag", "classify.Temperature", "did you mean 'temperature'?"),
        ("dag", "classify.", "<node>.<input>"),
        ("class", "init.most_token", "did you mean 'most_tokens'?"),
        ("class", "init.model_config.azure_deploymnt", "did you mean 'azure_deployment'?"),
        ("class", "init.model_config.api_key", "secret in clear"),
        ("class", "init.options.sise", "did you mean 'size'?"),
        ("class", "inputs.tune", "did you mean 'tone'?"),
        ("class", "temperature", "means llm nodes or a prompty's model, which this flow has not"),
        ("class", "deployment_name", "did you mean `init.model_config.azure_deployment`?"),
        ("class", "tone", "did you mean `inputs.tone`?"),
        ("class", "classify.temperature", "expected one of: inputs.text, inputs.tone, init.model_config"),
        ("prompty", "temprature", "did you mean 'temperature'?"),
        ("prompty", "init.temperature", "is nothing that this flow offers to vary"),
    ],
)
def test_what_the_flow_does_not_offer_is_named_with_what_is_nearest(
    folder: Path, kind: str, key: str, says: str
) -> None:
    {"dag": lambda _: None, "class": as_class, "prompty": as_prompty}[kind](folder)
    vary(folder, f"parameters:\n  {key}: [1, 2]\n")
    problem = only_problem(folder)
    assert problem.key == f"parameters.{key}"
    assert says in problem.message


def test_a_flow_without_llm_nodes_has_no_model_settings(folder: Path) -> None:
    change(folder, "experiment.yaml", "flow: flows/standard\n", "flow: flows/evaluation\n")
    change(folder, "experiment.yaml", '    text: "${data.text}"', "    expected: a\n    found: b")
    change(folder, "experiment.yaml", "run.outputs.label", "run.outputs.grade")
    change(folder, "experiment.yaml", "[label]", "[grade]")
    put(folder, "sample.json", '{"expected": "a", "found": "b"}')
    vary(folder, "parameters:\n  temperature: [0]\n")
    assert "means every llm node, but this flow has none" in only_problem(folder).message


@pytest.mark.parametrize("keys", [("temperature", "classify.temperature"), ("init.options", "init.options.size")])
def test_two_parameters_that_set_the_same_are_refused(folder: Path, keys: tuple[str, str]) -> None:
    if keys[0].startswith("init"):
        as_class(folder)
    vary(folder, f"parameters:\n  {keys[0]}: [1]\n  {keys[1]}: [2]\n")
    problem = only_problem(folder)
    assert problem.key == f"parameters.{keys[1]}"
    assert f"sets what {keys[0]!r} sets as well" in problem.message


def test_an_explicit_list_names_variants_and_values(folder: Path) -> None:
    vary(
        folder,
        """\
parameters: {classify.temperature: [1, 0]}
strategy:
- name: careful
  variants: {classify: terse}
  parameters: {classify.temperature: 0, inputs.tone: warm}
- parameters: {top_p: 1}
- name: default
""",
    )
    use_case = loaded(folder)
    assert use_case.strategy is Strategy.LIST
    assert use_case.choices == (
        ListedChoice("careful", {"classify": "terse"}, {"classify.temperature": 0, "inputs.tone": "warm"}),
        ListedChoice(None, {}, {"top_p": 1}),
        ListedChoice("default"),
    )


def test_product_repetition_budget_and_reuse_are_read(folder: Path) -> None:
    change(
        folder,
        "experiment.yaml",
        "approval:\n",
        "strategy: product\nrepeat: 5\nreuse: none\n"
        "budget: {max_runs: 10, max_model_calls: 1000, max_tokens: 200000}\napproval:\n",
    )
    use_case = loaded(folder)
    assert (use_case.strategy, use_case.repeat, use_case.reuse) == (Strategy.PRODUCT, 5, Reuse.NONE)
    assert use_case.budget == Budget(max_runs=10, max_model_calls=1000, max_tokens=200_000)


@pytest.mark.parametrize(
    ("block", "key", "says"),
    [
        ("strategy: products", "strategy", "did you mean 'product'?"),
        ("strategy: {a: b}", "strategy", "is no strategy"),
        ("strategy: list", "strategy", "or a list of `- name: …`"),
        ("strategy: []", "strategy", "lists nothing"),
        ("strategy: [one]", "strategy[0]", "expected a mapping"),
        ("strategy: [{nme: a}]", "strategy[0].nme", "did you mean 'name'?"),
        ("strategy: [{name: 'a,b'}]", "strategy[0].name", "cannot be selected"),
        ("strategy: [{name: defaults}]", "strategy[0].name", "cannot be selected"),
        (
            "strategy: [{name: a}, {name: a, parameters: {classify.top_p: 1}}]",
            "strategy[1].name",
            "another choice named 'a'",
        ),
        ("strategy: [{name: default, variants: {classify: terse}}]", "strategy[0].name", "not the default combination"),
        ("strategy: [{}, {variants: {classify: plain}}]", "strategy[1]", "the same choice as one above"),
        ("strategy: [{parameters: {temperature: 1}}]", "strategy[0].parameters.classify.temperature", "sets what"),
        ("strategy: [{name: a}, {name: b}]", "strategy[1]", "the same choice as one above"),
        ("strategy: [{variants: {clasify: terse}}]", "strategy[0].variants.clasify", "did you mean 'classify'?"),
        ("strategy: [{variants: {classify: Terse}}]", "strategy[0].variants.classify", "did you mean 'terse'?"),
        ("strategy: [{variants: terse}]", "strategy[0].variants", "expected a mapping"),
        ("strategy: [{parameters: {clasify.top_p: 1}}]", "strategy[0].parameters.clasify.top_p", "'classify'"),
        ("strategy: [{parameters: {top_p: '${x}'}}]", "strategy[0].parameters.top_p", "expected a constant"),
        ("repeat: 0", "repeat", "from 1 to 100"),
        ("repeat: 101", "repeat", "from 1 to 100"),
        ("repeat: often", "repeat", "expected a whole number"),
        ("budget: 5", "budget", "expected a mapping"),
        ("budget: {max_run: 5}", "budget.max_run", "did you mean 'max_runs'?"),
        ("budget: {max_runs: 0}", "budget.max_runs", "from 1 to"),
        ("budget: {max_tokens: -1}", "budget.max_tokens", "from 0 to"),
        ("budget: {max_model_calls: 1.5}", "budget.max_model_calls", "expected a whole number"),
    ],
)
def test_a_mistake_in_a_block_is_named_by_key(folder: Path, block: str, key: str, says: str) -> None:
    line = change(folder, "experiment.yaml", "approval:\n", f"{block}\napproval:\n")
    problem = only_problem(folder)
    assert (problem.key, problem.line) == (key, line)
    assert says in problem.message


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("classify.temperature", "hot", "expected a number from 0 to 2"),
        ("classify.temperature", "[1]", "expected a number from 0 to 2"),
        ("temperature", "3", "expected a number from 0 to 2"),
        ("classify.top_p", "1.5", "expected a number from 0 to 1"),
        ("classify.max_tokens", "-1", "expected a whole number from 1"),
        ("classify.deployment_name", "5", "expected a name"),
        ("classify.temperature", "0.5", ""),
        ("classify.max_tokens", "100", ""),
        ("inputs.tone", "[a, b]", ""),
    ],
)
def test_a_value_that_no_model_takes_is_refused(tmp_path: Path, key: str, value: str, expected: str) -> None:
    folder = written(tmp_path)
    line = change(folder, "experiment.yaml", "  classify.temperature: [0, 0.7]", f"  {key}: [{value}]")
    if not expected:
        assert loaded(folder).parameters
        return
    problem = only_problem(folder)
    assert (problem.line, problem.key) == (line, f"parameters.{key}[0]")
    assert problem.message.endswith(expected)
