"""What a class flow is made with: defaults, `init.json`, parameters, variables and connections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.local.engines.contract import FlowSource, InputError
from shared.adapters.local.engines.init import InitValues
from shared.connections import Connection
from shared.errors import BusinessFailure

AOAI = Connection("aoai", "azure", "https://aoai.example.com", "a-key", "2024-06-01")
OPENAI = Connection("open", "openai", "https://api.example.com/v1", "b-key")
SHOP = Connection("shop", "custom", "", "", configs={"region": "eu"}, secrets={"token": "c-key"})


class Given:
    """Remembers what it was made with, under the name of the class that people write."""

    def __init__(self, **values: object) -> None:
        self.values = values


class AzureOpenAIModelConfiguration(Given): ...


class OpenAIModelConfiguration(Given): ...


class AzureOpenAIConnection(Given): ...


class CustomConnection(Given): ...


class Takes:
    def __init__(self, tone: str, limit: int = 3, model: dict | None = None, anything: object = None) -> None: ...


def values(tmp_path: Path, flow: str = "entry: a:b\n", init: object = None) -> InitValues:
    (tmp_path / "flow.flex.yaml").write_text(flow)
    if init is not None:
        (tmp_path / "init.json").write_text(json.dumps(init))
    connections = {connection.name: connection for connection in (AOAI, OPENAI, SHOP)}
    return InitValues(FlowSource(tmp_path, "flow.flex.yaml", connections, tmp_path))


DEFAULTS = "entry: a:b\ninit:\n  tone:\n    type: string\n    default: calm\n  limit:\n    type: int\n    default: 5\n"


@pytest.mark.parametrize(
    ("init", "parameters", "made"),
    [
        (None, {}, {"tone": "calm", "limit": 5}),
        ({"tone": "loud"}, {}, {"tone": "loud", "limit": 5}),
        ({"tone": "loud"}, {"tone": "soft", "limit": "7"}, {"tone": "soft", "limit": 7}),
        ({"tone": "loud", "unknown": 1}, {}, {"tone": "loud", "limit": 5}),
    ],
)
def test_parameters_go_before_init_json_and_that_before_the_flows_defaults(tmp_path, init, parameters, made):
    assert values(tmp_path, DEFAULTS, init).arguments(Takes, parameters) == made


def test_a_sample_counts_where_there_is_no_init_json(tmp_path):
    sample = "entry: a:b\nsample:\n  init:\n    tone: of the sample\n"
    assert values(tmp_path, sample).arguments(Takes, {}) == {"tone": "of the sample"}


def test_a_parameter_reaches_into_a_mapping_and_leaves_the_rest(tmp_path):
    made = values(tmp_path, init={"tone": "x", "model": {"a": 1, "b": {"c": 2}}})
    assert made.arguments(Takes, {"model.b.c": 9})["model"] == {"a": 1, "b": {"c": 9}}
    assert made.arguments(Takes, {})["model"] == {"a": 1, "b": {"c": 2}}


def test_references_are_taken_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TONE", "from outside")
    monkeypatch.setenv("MODEL_NAME", "gpt")
    made = values(tmp_path, init={"tone": "${tone}", "model": {"name": "${anything}", "size": 1}}).arguments(Takes, {})
    assert made == {"tone": "from outside", "model": {"name": "gpt", "size": 1}}


def test_a_variable_that_is_not_set_is_named_unless_a_parameter_stands_in(tmp_path, monkeypatch):
    monkeypatch.delenv("MODEL_NAME", raising=False)
    made = values(tmp_path, init={"tone": "x", "model": {"name": "${name}"}})
    with pytest.raises(BusinessFailure, match=r"model\.name is '\$\{name\}', but the variable MODEL_NAME is not set"):
        made.arguments(Takes, {})
    assert made.arguments(Takes, {"model.name": "given"})["model"] == {"name": "given"}


def made_with(tmp_path: Path, annotation: object, value: object) -> Any:
    class Model:
        def __init__(self, model: Any) -> None: ...

    Model.__init__.__annotations__["model"] = annotation
    return values(tmp_path, init={"model": value}).arguments(Model, {})["model"]


AZURE = {"azure_endpoint": AOAI.api_base, "api_version": "2024-06-01", "api_key": "a-key", "azure_deployment": "gpt"}


@pytest.mark.parametrize("annotation", [AzureOpenAIModelConfiguration, AzureOpenAIModelConfiguration | None])
def test_a_model_configuration_is_made_of_its_connection(tmp_path, annotation):
    value = {"connection": "aoai", "azure_deployment": "gpt", "azure_endpoint": "https://of-old.example.com"}
    made = made_with(tmp_path, annotation, value)
    assert type(made) is AzureOpenAIModelConfiguration
    assert made.values == AZURE


def test_an_openai_configuration_takes_the_model(tmp_path):
    made = made_with(tmp_path, OpenAIModelConfiguration, {"connection": "open", "model": "gpt"})
    assert made.values == {"base_url": OPENAI.api_base, "api_key": "b-key", "model": "gpt"}


def test_a_configuration_without_connection_is_made_as_it_is_written(tmp_path):
    value = {"type": "azure_openai", "azure_deployment": "gpt", "azure_endpoint": "https://x", "api_key": "k"}
    made = made_with(tmp_path, AzureOpenAIModelConfiguration, value)
    assert made.values == {"azure_deployment": "gpt", "azure_endpoint": "https://x", "api_key": "k"}


def test_code_that_knows_no_prompt_flow_gets_the_same_as_a_mapping(tmp_path):
    assert made_with(tmp_path, dict, {"connection": "aoai", "azure_deployment": "gpt"}) == AZURE


def test_a_connection_is_made_of_its_name(tmp_path):
    assert made_with(tmp_path, AzureOpenAIConnection, "aoai").values["api_base"] == AOAI.api_base
    assert made_with(tmp_path, CustomConnection, "shop").values == {
        "configs": {"region": "eu"},
        "secrets": {"token": "c-key"},
        "name": "shop",
    }


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(AzureOpenAIConnection, "nobody"), (AzureOpenAIModelConfiguration, {"connection": "nobody"})],
)
def test_a_connection_that_is_not_there_is_named_with_those_that_are(tmp_path, annotation, value):
    with pytest.raises(BusinessFailure, match="names the connection 'nobody', but the use case has 'aoai', 'open', 's"):
        made_with(tmp_path, annotation, value)


def test_an_argument_that_nobody_gives_is_named(tmp_path):
    with pytest.raises(InputError, match="The argument of __init__ 'tone' is missing"):
        values(tmp_path).arguments(Takes, {})


def test_a_class_without_an_init_is_made_without_arguments(tmp_path):
    class Plain: ...

    assert values(tmp_path, init={"tone": "x"}).arguments(Plain, {}) == {}
    with pytest.raises(BusinessFailure, match=r"'init\.tone' names no argument of Plain: it has none"):
        values(tmp_path).arguments(Plain, {"tone": 1})
