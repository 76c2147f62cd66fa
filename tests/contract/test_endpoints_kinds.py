"""The local endpoints serve flows of every kind, with the variants, parameters and connections that were evaluated."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.endpoints.adapter import LocalEndpoints
from shared.adapters.local.endpoints.state import HEADER
from shared.adapters.local.endpoints.supervisor import EndpointSupervisor
from shared.connections import Connection
from shared.ports import DeploymentSpec, DeploymentState
from shared.use_case.model import ConnectionSpec
from tests.contract.endpoint_host import KEY, free_port
from tests.contract.model_server import ModelServer

FLOWS = Path(__file__).parent / "flows"


class Host:
    """A home with its host; flows are deployed and scored by folder and file."""

    def __init__(self, home: Path, model: ModelServer) -> None:
        def resolve(specs: Sequence[ConnectionSpec]) -> Mapping[str, Connection]:
            return {spec.name: Connection(spec.name, "azure", model.url, KEY) for spec in specs}

        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        blobs = FileBlobStore(home / "blobs")
        self.model = model
        self.endpoints = LocalEndpoints(blobs, home, self.url)
        self.supervisor = EndpointSupervisor(blobs, home, port, resolve)

    def deployed(self, name: str, flow: str, flow_file: str, **more: Any) -> DeploymentState:
        values = {"connections": {"aoai": Connection("aoai", "azure", self.model.url, KEY)}, **more}
        self.endpoints.deploy(DeploymentSpec("kinds", name, FLOWS / flow, name, "1", flow_file=flow_file, **values))
        limit = time.monotonic() + 150
        while (info := self.endpoints.look("kinds", name)).state is DeploymentState.CREATING:
            assert time.monotonic() < limit, f"still {info}"
            time.sleep(0.05)
        self.reason = info.reason
        return info.state

    def score(self, name: str, **inputs: object) -> tuple[int, Any]:
        answer = self.endpoints.invoke("kinds", inputs, name)
        return answer.status, json.loads(answer.body)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, model: ModelServer) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("kinds"), model)
    host.supervisor.start()
    yield host
    host.supervisor.stop()


def test_a_function_answers_and_says_which_input_is_wrong(host):
    assert host.deployed("function", "code", "typed.flex.yaml") is DeploymentState.READY

    assert host.score("function", count="3", names=["a"]) == (200, {"value": [3, 0.5, False, ["a"], {}]})
    status, answer = host.score("function", count="many")
    assert status == 400
    assert answer["error"]["message"] == """The input 'count' is "many": a value of type int is expected."""
    status, answer = host.score("function")
    assert (status, answer["error"]["code"]) == (400, "BadRequest")
    assert "The input 'count' is missing" in answer["error"]["message"]


def test_a_parameter_for_an_input_is_what_a_request_need_not_bring(host):
    parameters = {"inputs.count": 9}
    assert host.deployed("preset", "code", "typed.flex.yaml", parameters=parameters) is DeploymentState.READY
    assert host.score("preset")[1]["value"][0] == 9


def test_a_parameter_for_an_input_that_the_function_takes_among_others_is_given_too(host, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text("entry: say:say\n")
    (tmp_path / "say.py").write_text("def say(text: str, **more) -> dict:\n    return {'said': [text, more]}\n")
    state = host.deployed("any", str(tmp_path), "flow.flex.yaml", parameters={"inputs.style": "brief"})
    assert state is DeploymentState.READY, host.reason
    assert host.score("any", text="a") == (200, {"said": ["a", {"style": "brief"}]})
    assert host.score("any", text="a", style="long") == (200, {"said": ["a", {"style": "long"}]})


def test_a_dag_is_served_with_its_variant_and_the_input_that_it_was_evaluated_with(host):
    state = host.deployed(
        "echo", "echo", "flow.dag.yaml", variants={"style": "loud"}, parameters={"inputs.text": "hey"}
    )
    assert state is DeploymentState.READY, host.reason
    own, asked = host.score("echo")[1], host.score("echo", text="you")[1]
    assert (own["style"], own["answer"].lower(), asked["answer"].lower()) == ("loud", "hey", "you")


def test_what_a_function_raises_is_an_error_of_the_service(host):
    assert host.deployed("raises", "code", "raises.flex.yaml") is DeploymentState.READY
    assert host.score("raises", text="gone") == (
        500,
        {"error": {"code": "InternalServerError", "message": "KeyError: 'gone'"}},
    )


def test_a_plain_function_is_served_without_prompt_flow(host):
    assert host.deployed("plain", "code", "loaded.flex.yaml") is DeploymentState.READY
    loaded = host.score("plain", text="a")[1]["value"]
    assert "promptflow" not in loaded
    assert "shared" not in loaded


def test_a_class_is_made_with_its_parameters_variables_and_connection(host):
    state = host.deployed(
        "class",
        "class_flow",
        "flow.flex.yaml",
        parameters={"init.limit": 9},
        environment={"MODEL_CONFIG_AZURE_DEPLOYMENT": "from-environment"},
    )
    assert state is DeploymentState.READY, host.reason
    answers = [host.score("class", question="one") for _ in range(2)]
    told = ["from-environment", "calm", 9, None, 1]
    assert answers == [(200, {"answer": "chatty 0.3 answer", "told": told})] * 2


def test_a_prompty_is_served_with_its_model_settings(host):
    state = host.deployed("prompty", "prompty", "answer.prompty", parameters={"temperature": 0.9})
    assert state is DeploymentState.READY, host.reason
    assert host.score("prompty", question="one") == (200, {"output": "plain 0.9 answer"})


def test_a_dag_is_served_with_a_model_setting_on_its_llm_nodes(host):
    state = host.deployed("dag", "triage", "flow.dag.yaml", parameters={"temperature": 0.6})
    assert state is DeploymentState.READY, host.reason
    assert host.score("dag", ticket="one")[1]["answer"] == "plain 0.6 answer"


def test_served_code_imports_the_rest_of_its_use_case_by_the_use_cases_name(host, tmp_path):
    (tmp_path / "flows" / "standard").mkdir(parents=True)
    (tmp_path / "tone.py").write_text("TONE = 'kind'\n")
    (tmp_path / "flows" / "standard" / "flow.flex.yaml").write_text("entry: tell:tell\n")
    (tmp_path / "flows" / "standard" / "tell.py").write_text(
        "from talks.tone import TONE\ndef tell(word: str) -> str:\n    return f'{TONE} {word}'\n"
    )
    flow = tmp_path / "flows" / "standard"
    assert host.deployed("package", str(flow), "flow.flex.yaml", package="talks", root=tmp_path).value == "ready"
    assert host.score("package", word="hello") == (200, {"output": "kind hello"})


def test_code_that_cannot_be_loaded_fails_its_deployment_and_says_why(host):
    assert host.deployed("misspelt", "code", "misspelt.flex.yaml") is DeploymentState.FAILED
    assert "'retuns_text', which is no function or class of 'outputs'" in host.reason


TELLS_ITS_KEY = """\
from promptflow.connections import AzureOpenAIConnection
from promptflow.core import tool


@tool
def tell(what: str, aoai: AzureOpenAIConnection) -> str:
    if what == "fail":
        raise RuntimeError("refused: " + aoai.api_key)
    return what
"""
TELLING = """\
inputs: {what: {type: string}}
outputs: {value: {type: string, reference: "${tell.output}"}}
nodes:
- {name: tell, type: python, source: {type: code, path: tell.py}, inputs: {what: "${inputs.what}", aoai: aoai}}
"""


def test_a_served_dag_shows_no_key_in_its_errors_and_takes_json_objects_alone(host, tmp_path):
    (tmp_path / "flow.dag.yaml").write_text(TELLING)
    (tmp_path / "tell.py").write_text(TELLS_ITS_KEY)
    assert host.deployed("telling", str(tmp_path), "flow.dag.yaml") is DeploymentState.READY, host.reason
    assert host.score("telling", what="this") == (200, {"value": "this"})

    status, answer = host.score("telling", what="fail")
    assert status >= 400
    assert "refused: ***" in answer["error"]["message"]

    for body in (b"{", b"[1]", b"", b"\xff", b"[" * 50_000):
        request = urllib.request.Request(
            f"{host.url}/kinds/score", body, {"Content-Type": "application/json", HEADER: "telling"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 400
        assert "The body is no JSON" in json.loads(refused.value.read())["error"]["message"]
