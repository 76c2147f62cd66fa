"""Served functions, classes and prompties under requests that are wrong, and in front of models that fail.

Every answer is JSON, says whose fault it is by its status, and holds no key; the next good request is answered.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.adapters.local.endpoints.state import HEADER
from shared.ports import DeploymentState
from tests.contract.endpoint_host import KEY
from tests.contract.model_server import ModelServer
from tests.contract.test_endpoints_kinds import Host

DEPLOYED = {
    "class": ("class_flow", "flow.flex.yaml", {"question": "one"}),
    "prompty": ("prompty", "answer.prompty", {"question": "one"}),
    "function": ("code", "typed.flex.yaml", {"count": 1}),
}
SECRET = "planted-key-of-a-shop"
TELLS_ITS_SECRET = """\
import os


class Shop:
    def __init__(self, api_key: str) -> None:
        self.key = api_key

    def __call__(self, how: str) -> str:
        if how == "exit":
            raise SystemExit(self.key)
        if how == "cause":
            raise ValueError("outside") from KeyError(self.key)
        raise RuntimeError("refused: " + self.key + os.environ["SHOP_API_KEY"])
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, model: ModelServer) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("hostile"), model)
    host.supervisor.start()
    try:
        for name, (flow, flow_file, _) in DEPLOYED.items():
            named = {"MODEL_CONFIG_AZURE_DEPLOYMENT": "m"}
            assert host.deployed(name, flow, flow_file, environment=named).value == "ready", host.reason
        yield host
    finally:
        host.supervisor.stop()


def asked(
    host: Host, name: str, body: bytes, method: str = "POST", path: str = "/kinds/score", **headers: str
) -> tuple[int, Any]:
    """The status of the answer, and its JSON."""
    connection = http.client.HTTPConnection(urlsplit(host.url).netloc, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", HEADER: name, **headers})
        answer = connection.getresponse()
        content = answer.read()
        assert "json" in answer.headers["Content-Type"]
        assert KEY.encode() not in content
        return answer.status, json.loads(content)
    finally:
        connection.close()


WRONG_BODIES = [b"", b"{", b"[1]", b"null", b'"text"', b"\xff\xfe", b"[" * 50_000, b'{"question": ', b"{}", b'{"x": 1}']


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_wrong_body_is_the_callers_mistake_and_the_next_request_is_answered(host, name):
    for body in WRONG_BODIES:
        status, answer = asked(host, name, body)
        assert (status, answer["error"]["code"]) == (400, "BadRequest"), body[:20]
        assert answer["error"]["message"], body[:20]
    assert host.score(name, **DEPLOYED[name][2])[0] == 200


@pytest.mark.parametrize("name", DEPLOYED)
def test_values_of_a_wrong_type_and_inputs_that_nobody_asked_for_never_break_the_service(host, name):
    (needed,) = DEPLOYED[name][2]
    for wrong in ([1], {"a": 1}, None, "x" * 100_000, 1e308, True, [[[[]]]]):
        status, answer = host.score(name, **{needed: wrong})
        assert status in (200, 400), (wrong, answer)
    more = {**DEPLOYED[name][2], "nobody_asked": 1, "self": "x", "": "y"}
    status, answer = asked(host, name, json.dumps(more).encode())
    assert status in (200, 400), answer
    assert host.score(name, **DEPLOYED[name][2])[0] == 200


@pytest.mark.parametrize("name", DEPLOYED)
def test_other_methods_paths_and_bodies_that_are_too_large_are_refused_as_json(host, name):
    assert asked(host, name, b"x" * (16 * 1024 * 1024 + 1))[0] == 413
    assert asked(host, name, b"{}", "PUT")[0] == 405
    assert asked(host, name, b"", "GET")[0] == 405
    assert asked(host, name, b"{}", path="/kinds/score/more")[0] == 404
    assert asked(host, name, b"{}", path="/nobody/score")[0] == 404
    assert asked(host, "nobody", b"{}")[0] == 404


def test_a_body_that_never_comes_is_given_up(host, monkeypatch):
    monkeypatch.setattr("shared.adapters.local.endpoints.router._BODY_TIMEOUT_S", 0.2)
    parts = urlsplit(host.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as slow:
        slow.sendall(b"POST /kinds/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (408, "RequestTimeout")


@pytest.mark.parametrize("name", ["class", "prompty"])
@pytest.mark.parametrize(("refusal", "status"), [("429", 503), ("500", 502), ("401", 502)])
def test_a_model_that_fails_is_no_fault_of_the_caller_and_its_key_stays_hidden(host, name, refusal, status):
    answered, answer = asked(host, name, json.dumps({"question": f"{name} [{refusal}]"}).encode())
    assert answered == status, answer
    assert host.score(name, question="one")[0] == 200


CALLS_A_MODEL = """\
import openai


def ask(text: str) -> str:
    client = openai.AzureOpenAI(
        azure_endpoint="{url}", api_key="{key}", api_version="2024-06-01", max_retries=0, timeout=0.2
    )
    messages = [{{"role": "system", "content": "Style: x."}}, {{"role": "user", "content": text}}]
    return client.chat.completions.create(model="m", messages=messages, temperature=0).choices[0].message.content
"""


def test_a_function_whose_model_gives_no_answer_in_time_says_so_by_its_status(host, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text("entry: ask:ask\n")
    (tmp_path / "ask.py").write_text(CALLS_A_MODEL.format(url=host.model.url, key=KEY))
    assert host.deployed("late", str(tmp_path), "flow.flex.yaml") is DeploymentState.READY, host.reason
    told = {
        text: asked(host, "late", json.dumps({"text": text}).encode())[0] for text in ("[slow 1]", "[429]", "[500]")
    }
    assert told == {"[slow 1]": 504, "[429]": 503, "[500]": 502}


@pytest.mark.parametrize("how", ["exit", "cause", "raise"])
def test_a_secret_that_a_served_class_gets_from_its_host_is_in_none_of_its_errors(host, tmp_path, monkeypatch, how):
    monkeypatch.setenv("API_KEY", SECRET)
    (tmp_path / "flow.flex.yaml").write_text("entry: shop:Shop\n")
    (tmp_path / "init.json").write_text('{"api_key": "${api_key}"}')
    (tmp_path / "shop.py").write_text(TELLS_ITS_SECRET)
    name = f"shop-{how}"
    variables = {"SHOP_API_KEY": "planted-variable"}
    assert host.deployed(name, str(tmp_path), "flow.flex.yaml", environment=variables).value == "ready", host.reason
    status, answer = host.score(name, how=how)
    assert status == 500
    assert "planted" not in json.dumps(answer)
