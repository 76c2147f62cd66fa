"""Secrets are planted wherever one may stand; then everything that people and files get to see is searched for them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import environment_check
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.endpoints.adapter import LocalEndpoints
from shared.connections import Connection, resolve
from shared.errors import BusinessFailure, GenAIOpsError
from shared.ports import DeploymentSpec
from shared.redaction import Redaction
from shared.use_case import variables
from shared.use_case.model import ConnectionSpec, UseCase
from tests.unit.use_case_folder import change, loaded, put, written

PLANTED = {
    "aoai_api_key": "planted-key-of-a-model",
    "aoai_api_base": "https://somebody:planted-password@models.example.com/v1?code=planted-code",
    "aoai1": '{"api_key": "planted-key-in-json", "api_base": "https://json.example.com"}',
    "search_api_key": "planted-key-of-a-search",
    "shop_token": "planted-token-of-a-shop",
    "SHOP_API_KEY": "planted-variable-of-a-flow",
}
SECRETS = (
    "planted-key-of-a-model",
    "planted-password",
    "planted-code",
    "planted-key-in-json",
    "planted-key-of-a-search",
    "planted-token-of-a-shop",
    "planted-variable-of-a-flow",
)
BLOCK = """\
- name: aoai
  connection_type: AzureOpenAIConnection
  api_base: ${api_base}
  api_key: ${api_key}
- aoai1
- name: search
  connection_type: CognitiveSearchConnection
  api_base: https://search.example.com
  api_key: ${api_key}
- name: shop
  connection_type: CustomConnection
  configs: {url: https://shop.example.com}
  secrets: {token: '${token}'}
"""


@pytest.fixture
def use_case(tmp_path: Path) -> UseCase:
    folder = written(tmp_path)
    change(
        folder,
        "experiment.yaml",
        "- name: aoai\n  connection_type: AzureOpenAIConnection\n  api_key: ${api_key}\n",
        BLOCK,
    )
    put(folder, "environment/env.yaml", "SHOP_API_KEY: ${SHOP_API_KEY}\nSHOP_PLACE: Rome\n")
    return loaded(folder)


@pytest.fixture
def connections(use_case: UseCase) -> dict[str, Connection]:
    return resolve(use_case.connections, environment=PLANTED, env_file=None, stand_in_url="http://127.0.0.1:1")


def leaked(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def test_what_is_said_of_a_connection_holds_no_secret(connections: dict[str, Connection]) -> None:
    for connection in connections.values():
        assert not connection.stand_in
        assert leaked(f"{connection!r} {connection.shown} {connection.identity} {connection}") == []
    assert connections["aoai"].shown == "aoai: https://models.example.com/v1"
    assert connections["shop"].shown == "shop: CustomConnection"


def test_the_use_case_itself_holds_no_secret(use_case: UseCase) -> None:
    assert leaked(repr(use_case)) == []


def spoilt_environments() -> Iterator[dict[str, str]]:
    """The planted one with a mistake in every variable in turn: missing, cut short, of a wrong form."""
    for name, value in PLANTED.items():
        yield {other: text for other, text in PLANTED.items() if other != name}
        yield {**PLANTED, name: value[:-1] + "\n"}
        yield {**PLANTED, name: f"{value}\0"}
        yield {**PLANTED, name: "{" + value}
        yield {**PLANTED, name: '{"api_key": "planted-key-in-json", "' + value.replace('"', "'") + '": 1}'}


@pytest.mark.parametrize("environment", list(spoilt_environments()))
def test_no_error_and_no_problem_holds_a_secret(use_case: UseCase, environment: dict[str, str]) -> None:
    said = [str(problem) for problem in environment_check.problems(use_case, environment, None)]
    for spec in use_case.connections:
        try:
            resolve([spec], environment=environment, env_file=None, stand_in_url="http://127.0.0.1:1")
        except GenAIOpsError as error:
            said.append("".join(traceback.format_exception(error)))
    try:
        variables.resolved(use_case, environment, None)
    except BusinessFailure as error:
        said.append("".join(traceback.format_exception(error)))
    assert leaked("\n".join(said)) == []


def test_every_secret_is_taken_out_of_what_flow_code_says(
    use_case: UseCase, connections: dict[str, Connection]
) -> None:
    redacted = Redaction(connections.values(), variables.resolved(use_case, PLANTED, None))

    said = redacted(" ".join(PLANTED.values()) + " Rome")

    assert leaked(said) == []
    assert said.endswith("Rome"), "what is no secret stays"


def test_the_desired_state_of_an_endpoint_holds_descriptions_and_no_secret(
    use_case: UseCase, connections: dict[str, Connection], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    endpoints = LocalEndpoints(FileBlobStore(home / "blobs"), home, "http://127.0.0.1:1")
    endpoints.deploy(
        DeploymentSpec(
            "greetings",
            "v1",
            use_case.flow,
            "digest",
            "1",
            connections=connections,
            connection_specs=use_case.connections,
            environment=variables.given(use_case.variables, use_case.connections),
        )
    )

    contents = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    assert leaked(" ".join(content.decode("utf-8", "replace") for content in contents.values())) == []
    desired = next(content for path, content in contents.items() if b'"connections"' in content)
    assert b"${token}" in desired
    assert b"${SHOP_API_KEY}" in desired


def test_a_deployment_of_an_earlier_version_names_its_connections() -> None:
    from shared.adapters.local.endpoints.state import DesiredDeployment

    deployment = DesiredDeployment.model_validate_json(
        '{"name": "v1", "creation": "c", "folder": "f", "flow_digest": "d", "flow_version": "1",'
        ' "connections": ["aoai"]}'
    )

    assert deployment.connections == (ConnectionSpec("aoai"),)
    assert DesiredDeployment.model_validate_json(deployment.model_dump_json()) == deployment
