"""Connections that experiment.yaml describes: where their values come from, and what happens where one is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.connections import Connection, MissingVariables, resolve
from shared.errors import BusinessFailure
from shared.use_case.model import ConnectionSpec

STAND_IN = "http://127.0.0.1:7073"
KEY = "sk-very-secret-0123456789"
AOAI = ConnectionSpec(
    "aoai",
    "AzureOpenAIConnection",
    {"api_base": "${api_endpoint}", "api_version": "2024-06-01", "api_key": "${api_key}"},
)
SHOP = ConnectionSpec("shop", "CustomConnection", configs={"url": "https://shop"}, secrets={"token": "${token}"})


def resolved(spec: ConnectionSpec, environment: dict[str, str], env_file: Path | None = None) -> Connection:
    return resolve([spec], environment=environment, env_file=env_file, stand_in_url=STAND_IN)[spec.name]


@pytest.mark.parametrize(
    "environment",
    [
        {"aoai_api_key": KEY, "aoai_api_endpoint": "https://models.example.com"},
        {"AOAI_API_KEY": KEY, "AOAI_API_ENDPOINT": "https://models.example.com"},
    ],
)
def test_values_come_from_variables_as_written_or_in_capitals(environment: dict[str, str]) -> None:
    expected = Connection("aoai", "azure", "https://models.example.com", KEY, "2024-06-01")

    assert resolved(AOAI, environment) == expected


def test_the_environment_goes_before_the_env_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("aoai_api_key=from-the-file\naoai_api_endpoint=https://file.example.com\n", encoding="utf-8")

    connection = resolved(AOAI, {"AOAI_API_KEY": KEY}, env_file)

    assert (connection.api_key, connection.api_base) == (KEY, "https://file.example.com")


def test_one_variable_with_the_whole_connection_goes_first() -> None:
    whole = f'{{"api_key": "{KEY}", "api_base": "https://whole.example.com"}}'

    connection = resolved(AOAI, {"aoai": whole, "aoai_api_key": "other", "aoai_api_endpoint": "https://other"})

    assert (connection.api_base, connection.api_key) == ("https://whole.example.com", KEY)


def test_a_variable_of_the_same_name_that_is_no_connection_is_left_alone() -> None:
    connection = resolved(SHOP, {"SHOP": "the-best", "shop_token": KEY})

    assert connection.secrets == {"token": KEY}


@pytest.mark.parametrize(
    ("spec", "api_type", "api_base"),
    [
        (AOAI, "azure", STAND_IN),
        (ConnectionSpec("o", "OpenAI", {"api_key": "${api_key}"}), "openai", f"{STAND_IN}/v1"),
        (ConnectionSpec("s", "Serverless", {"api_base": "https://s", "api_key": "<key>"}), "serverless", STAND_IN),
        (ConnectionSpec("training"), "azure", STAND_IN),
    ],
)
def test_a_model_of_which_nothing_is_set_is_the_stand_in(spec: ConnectionSpec, api_type: str, api_base: str) -> None:
    connection = resolved(spec, {})

    assert connection.stand_in
    assert (connection.api_type, connection.api_base) == (api_type, api_base)


def test_a_model_that_is_configured_in_part_is_an_error_that_names_what_is_missing() -> None:
    with pytest.raises(MissingVariables) as caught:
        resolved(AOAI, {"aoai_api_key": KEY})

    assert [one.variable for one in caught.value.lacking] == ["aoai_api_endpoint"]
    assert KEY not in str(caught.value)


def test_other_types_cannot_be_stood_in_for_and_all_missing_variables_are_named_at_once(tmp_path: Path) -> None:
    search = ConnectionSpec("search", "AzureAISearch", {"api_key": "${api_key}"})
    env_file = tmp_path / ".env"

    with pytest.raises(MissingVariables) as caught:
        resolve([search, SHOP], environment={"aoai": ""}, env_file=env_file, stand_in_url=STAND_IN)

    assert [one.variable for one in caught.value.lacking] == ["search_api_key", "search_api_base", "shop_token"]
    assert f"set them in the environment or in {env_file}" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "environment", "expected"),
    [
        (
            ConnectionSpec("o", "openai", {"organization": "org"}),
            {"o_api_key": KEY},
            Connection("o", "openai", "https://api.openai.com/v1", KEY, "", configs={"organization": "org"}),
        ),
        (
            ConnectionSpec("c", "CognitiveSearchConnection", {"api_base": "https://c"}),
            {"c_api_key": KEY},
            Connection("c", "azure_ai_search", "https://c", KEY, "2023-11-01"),
        ),
        (
            ConnectionSpec("a", "AzureContentSafety", {}),
            {"a_api_key": KEY, "a_endpoint": "https://a"},
            Connection("a", "azure_content_safety", "https://a", KEY, "2023-10-01"),
        ),
        (ConnectionSpec("s", "Serp", {}), {"S_API_KEY": KEY}, Connection("s", "serp", "", KEY, "")),
        (
            ConnectionSpec("m", "Serverless", {"api_base": "https://m"}),
            {"m_api_key": KEY},
            Connection("m", "serverless", "https://m", KEY, ""),
        ),
        (
            SHOP,
            {"shop_token": KEY},
            Connection("shop", "custom", "", "", "", configs={"url": "https://shop"}, secrets={"token": KEY}),
        ),
    ],
)
def test_a_connection_of_every_type(spec: ConnectionSpec, environment: dict[str, str], expected: Connection) -> None:
    assert resolved(spec, environment) == expected


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ('{"configs": [], "secrets": {}}', "'configs' must be a JSON object of texts"),
        ('{"secrets": {"token": 1}}', "'secrets.token' must be a text"),
        ("{}", "is empty; expected is"),
        ('{"api_key": "x"}', "has the unknown key 'api_key'; the keys are configs, secrets, api_type"),
    ],
)
def test_a_whole_custom_connection_that_is_wrong_is_refused(variable: str, told: str) -> None:
    with pytest.raises(BusinessFailure) as caught:
        resolved(SHOP, {"shop": variable})

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"aoai_api_key": KEY + "\n", "aoai_api_endpoint": "https://x"}, "'api_key' holds a control character"),
        ({"aoai_api_key": KEY, "aoai_api_endpoint": "models"}, "'api_base' must be an address"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable(environment: dict[str, str], told: str) -> None:
    with pytest.raises(BusinessFailure) as caught:
        resolved(AOAI, environment)

    assert told in str(caught.value)
    assert "variable aoai_api_" in str(caught.value)
    assert KEY not in str(caught.value)
