"""`connections` in experiment.yaml: what a file may say, and which mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.use_case.model import ConnectionSpec
from tests.unit.use_case_folder import change, loaded, only_problem, written

BLOCK = "- name: aoai\n  connection_type: AzureOpenAIConnection\n  api_key: ${api_key}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def with_block(folder: Path, block: str) -> int:
    """Put it in place of the connections; returns the line of its first line."""
    return change(folder, "experiment.yaml", BLOCK, block)


def test_a_name_alone_is_enough_and_no_flow_needs_to_use_it(folder: Path) -> None:
    with_block(folder, "- aoai\n- name: greetings_training\n")

    assert loaded(folder).connections == (ConnectionSpec("aoai"), ConnectionSpec("greetings_training"))


def test_the_templates_block_is_taken_as_it_is(folder: Path) -> None:
    with_block(
        folder,
        "- name: aoai\n  connection_type: AzureOpenAIConnection\n  api_endpoint: ${api_endpoint}\n"
        "  api_version: 2023-07-01-preview\n  api_key: ${api_key}\n  api_type: azure\n",
    )

    assert loaded(folder).connections == (
        ConnectionSpec(
            "aoai",
            "AzureOpenAIConnection",
            {
                "api_base": "${api_endpoint}",
                "api_version": "2023-07-01-preview",
                "api_key": "${api_key}",
                "api_type": "azure",
            },
        ),
    )


def test_a_custom_connection_has_configs_and_secrets(folder: Path) -> None:
    with_block(
        folder,
        "- aoai\n- name: shop\n  connection_type: custom\n  configs: {url: https://shop.example.com, retries: 3}\n"
        "  secrets: {token: '${token}'}\n",
    )

    shop = loaded(folder).connections[1]
    assert (shop.configs, shop.secrets) == (
        {"url": "https://shop.example.com", "retries": "3"},
        {"token": "${token}"},
    )


@pytest.mark.parametrize(
    "written_type",
    ["OpenAI", "openaiconnection", "OPENAICONNECTION", "open_ai"],
)
def test_a_type_may_be_written_in_any_case_and_without_its_ending(folder: Path, written_type: str) -> None:
    with_block(folder, f"- name: aoai\n  connection_type: {written_type}\n  organization: org\n  api_key: ''\n")

    assert loaded(folder).connections[0].values == {"organization": "org"}


def test_a_placeholder_is_no_secret(folder: Path) -> None:
    with_block(folder, "- name: aoai\n  connection_type: AzureOpenAIConnection\n  api_key: <api_key>\n")

    assert loaded(folder).connections[0].values == {"api_key": "<api_key>"}


@pytest.mark.parametrize(
    ("block", "key", "line", "says"),
    [
        ("- name: aoai\n  api_kee: x\n", "api_kee", 2, "did you mean 'api_key'?"),
        (
            "- name: aoai\n  connection_type: AzureOpenAiConection\n",
            "connection_type",
            2,
            "did you mean 'AzureOpenAIConnection'?",
        ),
        ("- name: aoai\n  api_key: sk-0123456789\n", "api_key", 2, "holds a secret in clear; write ${api_key}"),
        ("- name: aoai\n  api_key: 42\n", "api_key", 2, "holds a secret in clear"),
        (
            "- name: aoai\n  connection_type: Custom\n  secrets:\n    token: abc\n",
            "secrets.token",
            4,
            "holds a secret in clear; write ${token}",
        ),
        (
            "- name: aoai\n  connection_type: Serp\n  api_base: https://x\n",
            "api_base",
            3,
            "is no key of the type SerpConnection",
        ),
        (
            "- name: aoai\n  connection_type: Serp\n  configs: {a: b}\n",
            "configs",
            3,
            "only a CustomConnection has configs",
        ),
        ("- name: aoai\n  api_base: models\n", "api_base", 2, "expected an address that starts with https://"),
        ("- name: aoai\n  api_base: https://${host}/x\n", "api_base", 2, "a reference stands alone"),
        ("- name: aoai\n  api_base: https://a\n  endpoint: https://b\n", "endpoint", 3, "under two of its names"),
        (
            "- name: aoai\n  connection_type: AzureOpenAI\n  api_type: openai\n",
            "api_type",
            3,
            "is 'openai', but the connection is of the type AzureOpenAIConnection",
        ),
        ("- name: aoai\n  api_version: [1]\n", "api_version", 2, "expected a text"),
        ("- aoai\n- aoai\n", "", 2, "the connection 'aoai' is there twice"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_expected(
    folder: Path, block: str, key: str, line: int, says: str
) -> None:
    first = with_block(folder, block)

    problem = only_problem(folder)

    assert (problem.file, problem.line) == ("experiment.yaml", first + line - 1)
    assert problem.key.endswith(key)
    assert says in problem.message, problem.message


def test_a_secret_in_clear_is_not_repeated(folder: Path) -> None:
    with_block(folder, "- name: aoai\n  api_key: " + "sk-0123456789" * 500 + "\n")

    assert "sk-0123456789" not in str(only_problem(folder))
