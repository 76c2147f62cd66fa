"""The local flow runner with prompties, and with code that uses prompt flow itself."""

from __future__ import annotations

from uuid import uuid4

import pytest

from shared.connections import Connection
from shared.errors import BusinessFailure
from shared.ports import RunSpec
from shared.results import LineStatus
from tests.contract.local_runner import KEY, one, spec
from tests.contract.model_server import ModelServer


def asked(model: ModelServer, *questions: str, **changes: object) -> RunSpec:
    connections = {
        "aoai": Connection("aoai", "azure", model.url, KEY),
        "unused": Connection("unused", "azure", "x", KEY),
    }
    given = [{"question": question} for question in questions]
    return spec("prompty", given, **{"flow_file": "answer.prompty", "connections": connections, **changes})


def chatted(model: ModelServer, *questions: str, **changes: object) -> RunSpec:
    values = {"environment": {"MODEL_CONFIG_AZURE_DEPLOYMENT": "from-environment"}, **changes}
    run = asked(model, *questions, **values)
    folder = run.flow.parent / "class_flow"
    return spec("class_flow", run.lines, flow_file="flow.flex.yaml", connections=run.connections, **values, flow=folder)


def test_a_prompty_answers_with_the_connection_that_it_names(runner, model):
    outcome = runner.start(asked(model, "one", "two"))

    assert [line.outputs for line in outcome.lines] == [{"output": "plain 0.3 answer"}] * 2
    assert outcome.record.models == (f"aoai: {model.url}",)
    assert outcome.record.engine == "promptflow 1.18.5"


def test_the_inputs_of_a_prompty_have_defaults(runner, model):
    text = uuid4().hex
    runner.start(
        spec(
            "prompty",
            [{"question": text}, {"question": text, "greeting": "Hi"}],
            flow_file="answer.prompty",
            connections=asked(model).connections,
        )
    )
    told = sorted(r["messages"][-1]["content"] for r in model.requests if text in r["messages"][-1]["content"])
    assert told == [f"Hello {text}", f"Hi {text}"]


def test_model_settings_reach_a_promptys_model(runner, model):
    text = uuid4().hex
    runner.start(asked(model, text, parameters={"temperature": 0.9, "seed": 7, "deployment_name": "another"}))
    (request,) = [r for r in model.requests if r["messages"][-1]["content"] == f"Hello {text}"]
    assert (request["temperature"], request["seed"], request["model"]) == (0.9, 7, "another")


def test_a_prompty_counts_its_calls_and_tokens_and_is_tried_again_by_our_rules(runner, model):
    text = f"[500 x1] {uuid4().hex}"
    line = one(runner.start(asked(model, text)))

    assert (line.status, line.attempts, line.model_calls) == (LineStatus.COMPLETED, 2, 1)
    assert (line.tokens.prompt, line.tokens.completion) == (11, 3)


def test_prompt_flow_adds_no_tries_of_its_own_to_a_prompty(runner, model):
    text = f"[500] {uuid4().hex}"
    line = one(runner.start(asked(model, text)))
    assert (line.status, model.tries[f"Hello {text}"]) == (LineStatus.FAILED, 6)


def test_a_class_is_made_once_with_init_json_and_its_connection(runner, model):
    outcome = runner.start(chatted(model, "one", "two"))

    told = ["from-environment", "calm", 3, None, 1]
    assert [line.outputs for line in outcome.lines] == [{"answer": "chatty 0.3 answer", "told": told}] * 2
    assert [line.model_calls for line in outcome.lines] == [1, 1]
    assert outcome.record.models == (f"aoai: {model.url}",)


def test_parameters_reach_into_what_a_class_is_made_with(runner, model):
    parameters = {"init.model_config.azure_deployment": "chosen", "init.limit": 9}
    line = one(runner.start(chatted(model, "one", parameters=parameters)))
    assert line.outputs["told"][:3] == ["chosen", "calm", 9]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"environment": {}}, "model_config.azure_deployment is .*MODEL_CONFIG_AZURE_DEPLOYMENT is not set"),
        ({"parameters": {"init.tune": 1}}, "'init.tune' names no argument of Chat: it has 'model_config', 'tone', 'li"),
        ({"parameters": {"init.limit": "many"}}, """'limit' is "many": a value of type int is expected"""),
    ],
)
def test_what_a_class_cannot_be_made_with_is_refused(runner, model, changes, told):
    with pytest.raises(BusinessFailure, match=told):
        runner.start(chatted(model, "one", **changes))


def test_a_connection_that_the_use_case_does_not_have_is_named(runner, model):
    run = chatted(model, "one")
    other = {"other": Connection("other", "azure", model.url, KEY)}
    run = spec("class_flow", run.lines, flow_file=run.flow_file, connections=other, environment=run.environment)
    with pytest.raises(BusinessFailure, match="names the connection 'aoai', but the use case has 'other'"):
        runner.start(run)


def test_a_bare_model_setting_is_set_on_every_llm_node_of_a_dag(runner, model):
    run = spec("triage", [{"ticket": "a"}], connections=asked(model).connections, parameters={"temperature": 0.7})
    assert one(runner.start(run)).outputs["answer"] == "plain 0.7 answer"


def test_metrics_that_code_logs_are_those_of_its_run(runner, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text("entry: grade:Grade\n")
    (tmp_path / "grade.py").write_text(
        "from promptflow.core import log_metric\n"
        "class Grade:\n"
        "    def __call__(self, n: int) -> int:\n        return n\n"
        "    def __aggregate__(self, lines):\n        log_metric('total', sum(lines))\n"
    )
    run = spec("logs", [{"n": 1}, {"n": 2}], flow=tmp_path, flow_file="flow.flex.yaml")
    outcome = runner.start(run)
    assert outcome.record.metrics == {"total": 3.0}
    assert outcome.record.engine.startswith("python 3.")


def test_code_asks_prompt_flow_for_connections_and_gets_those_of_the_use_case(runner, model, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text("entry: ask:Ask\n")
    (tmp_path / "ask.py").write_text(
        "from promptflow.connections import AzureOpenAIConnection, ConnectionProvider\n"
        "class Ask:\n"
        "    def __init__(self, given: AzureOpenAIConnection):\n        self.given = given\n"
        "    def __call__(self, n: int) -> list:\n"
        "        asked = ConnectionProvider.get_instance().get('aoai')\n"
        "        return [type(self.given).__name__, self.given.api_base, asked.api_base, asked.api_version]\n"
    )
    (tmp_path / "init.json").write_text('{"given": "aoai"}')
    run = spec("asks", [{"n": 1}], flow=tmp_path, flow_file="flow.flex.yaml", connections=asked(model).connections)
    told = one(runner.start(run)).outputs["output"]
    assert told == ["AzureOpenAIConnection", model.url, model.url, "2024-02-01"]
