from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.connections import Connection, resolve
from shared.errors import BusinessFailure
from shared.use_case.model import ConnectionSpec

SECRET = "sk-very-secret-0123456789"
STAND_IN = "http://127.0.0.1:7073"
NAMED = [ConnectionSpec("aoai")]


def line(**changes: object) -> str:
    values: dict[str, object] = {
        "api_key": SECRET,
        "api_base": "https://models.example.com/",
        "api_type": "azure",
        "api_version": "2024-06-01",
    }
    values.update(changes)
    return json.dumps({key: value for key, value in values.items() if value is not None})


def found(text: str) -> Connection:
    return resolve(NAMED, environment={"aoai": text}, env_file=None, stand_in_url=STAND_IN)["aoai"]


def test_a_connection_comes_from_the_environment() -> None:
    connection = found(line())

    assert connection == Connection("aoai", "azure", "https://models.example.com/", SECRET, "2024-06-01")
    assert not connection.stand_in


def test_several_connections_come_from_one_env_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(
        f"# models\naoai={line()}\nother='{line(api_type='openai', api_base='https://b.example.com/v1')}'\n\nX=1\n",
        encoding="utf-8",
    )

    connections = resolve([ConnectionSpec("other"), *NAMED], environment={}, env_file=env_file, stand_in_url=STAND_IN)

    assert list(connections) == ["other", "aoai"]
    assert connections["aoai"].api_key == SECRET
    assert (connections["other"].api_type, connections["other"].api_base) == ("openai", "https://b.example.com/v1")


def test_the_environment_goes_before_the_file_and_capitals_are_found(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(f"aoai={line(api_base='https://file.example.com')}\n", encoding="utf-8")

    connection = resolve(
        NAMED,
        environment={"AOAI": line(api_base="https://environment.example.com")},
        env_file=env_file,
        stand_in_url=STAND_IN,
    )["aoai"]

    assert connection.api_base == "https://environment.example.com"
    assert connection.name == "aoai"


def test_a_key_may_hold_what_looks_like_a_reference(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(f"aoai={line(api_key='a${HOME}#b=c')}\n", encoding="utf-8")

    connection = resolve(NAMED, environment={}, env_file=env_file, stand_in_url=STAND_IN)["aoai"]

    assert connection.api_key == "a${HOME}#b=c"


@pytest.mark.parametrize("environment", [{}, {"aoai": ""}, {"other": line()}])
def test_without_a_connection_the_stand_in_answers_and_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    connection = resolve(NAMED, environment=environment, env_file=tmp_path / "missing.env", stand_in_url=STAND_IN)[
        "aoai"
    ]

    assert connection.stand_in
    assert (connection.api_type, connection.api_base, connection.api_key) == ("azure", STAND_IN, "stand-in")
    assert connection.shown == "aoai: stand-in model (rules, not an LLM)"


def test_type_and_version_have_defaults() -> None:
    connection = found(line(api_type=None, api_version=None))

    assert (connection.api_type, connection.api_version) == ("azure", "2024-02-01")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (line()[:-1], "not valid JSON"),
        (f'"{SECRET}"', "a JSON str"),
        (f'["{SECRET}"]', "a JSON list"),
        (line(api_kex="x"), "unknown key 'api_kex'"),
        (line(api_key=None), "lacks the key 'api_key'"),
        (line(api_base=None), "lacks the key 'api_base'"),
        (line(api_base=""), "'api_base' must be a text"),
        (line(api_version=2024), "'api_version' must be a text"),
        (line(api_base="models.example.com"), "'api_base' must be an address"),
        (line(api_base="https://"), "'api_base' must be an address"),
        (line(api_base="https://[::1"), "'api_base' must be an address"),
        (line(api_base="https://host:port"), "'api_base' must be an address"),
        ('{"api_key": ' + "[" * 100_000, "is nested too deeply"),
        (line(api_key="a\0b"), "'api_key' holds a control character"),
        (line(api_key=f"{SECRET}\n"), "'api_key' holds a control character"),
        (line(api_version="\ud83d"), "'api_version' holds a control character or half of a character"),
        (line(**{"k" * 21: "x"}), f"unknown key '{'k' * 20}…'"),
        (line(api_type=SECRET), "'api_type' is 'sk-very-secret-01234…'"),
        (line(api_type="azur"), "'api_type' is 'azur'; it must be one of azure, openai, azure_ai_search"),
    ],
)
def test_a_wrong_connection_is_refused_with_its_place_and_without_its_key(text: str, told: str) -> None:
    with pytest.raises(BusinessFailure) as caught:
        found(text)

    assert told in str(caught.value)
    assert "'aoai' in the environment" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert SECRET not in repr(caught.value)


def test_an_error_in_the_file_names_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("aoai={broken\n", encoding="utf-8")

    with pytest.raises(BusinessFailure, match=r"'aoai' in .*\.env is not valid JSON"):
        resolve(NAMED, environment={}, env_file=env_file, stand_in_url=STAND_IN)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_bytes(b"aoai=\xff\xfe")

    with pytest.raises(BusinessFailure, match="UTF-8"):
        resolve(NAMED, environment={}, env_file=env_file, stand_in_url=STAND_IN)


def test_the_key_shows_in_no_representation() -> None:
    connection = found(line())

    assert SECRET not in repr(connection)
    assert SECRET not in connection.shown
    assert connection.shown == "aoai: https://models.example.com/"


def test_only_scheme_host_and_path_of_an_address_are_shown() -> None:
    connection = found(line(api_base=f"https://user:{SECRET}@Models.example.com:8443/v1?code={SECRET}#{SECRET}"))

    assert connection.shown == "aoai: https://models.example.com:8443/v1"
    assert SECRET not in repr(connection)
