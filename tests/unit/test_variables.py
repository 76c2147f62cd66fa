"""`environment/env.yaml`: what it may say, and where flows' variables come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import environment_check
from shared.errors import BusinessFailure
from shared.use_case import variables
from tests.unit.use_case_folder import change, loaded, only_problem, put, written

FILE = "environment/env.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def resolved(folder: Path, environment: dict[str, str], env_file: Path | None = None) -> dict[str, str]:
    return variables.resolved(loaded(folder), environment, env_file)


def test_numbers_and_booleans_become_text_and_the_file_is_kept_as_written(folder: Path) -> None:
    put(folder, FILE, "LIMIT: 3000\nSHARE: 0.5\nVERBOSE: true\nDEPLOYMENT_NAME: AOAI\nPLACE: ${PLACE}\n")

    assert loaded(folder).variables == {
        "LIMIT": "3000",
        "SHARE": "0.5",
        "VERBOSE": "true",
        "DEPLOYMENT_NAME": "AOAI",
        "PLACE": "${PLACE}",
    }


def test_the_environment_goes_before_the_env_file_and_both_before_a_literal(folder: Path, tmp_path: Path) -> None:
    put(folder, FILE, "A: literal\nB: literal\nC: literal\nD: ${D}\n")
    env_file = put(tmp_path, ".env", "A=file\nB=file\nD=file\n")

    assert resolved(folder, {"A": "environment"}, env_file) == {
        "A": "environment",
        "B": "file",
        "C": "literal",
        "D": "file",
    }


def test_everything_that_is_not_set_is_named_at_once_with_where_to_set_it(folder: Path, tmp_path: Path) -> None:
    put(folder, FILE, "A: ${A}\nB: 1\nC: ${OTHER}\nD: <your deployment>\n")

    with pytest.raises(BusinessFailure) as caught:
        resolved(folder, {"A": ""}, tmp_path / ".env")

    told = str(caught.value)
    assert "A: A is not set" in told
    assert "C: OTHER is not set" in told
    assert "D: D is not set" in told
    assert f"set it in the environment or in {tmp_path / '.env'}" in told


def test_unset_variables_are_problems_with_their_lines(folder: Path) -> None:
    put(folder, FILE, "# for the flow\nA: ${A}\nB: 1\nC: ${C}\n")

    found = variables.missing(loaded(folder), {}, None)

    assert [(p.file, p.line, p.key) for p in found] == [(FILE, 2, "A"), (FILE, 4, "C")]


def test_only_what_is_no_secret_may_be_written_in_the_file(folder: Path) -> None:
    put(folder, FILE, "SEARCH_API_KEY: ${SEARCH_API_KEY}\nREGION: ${REGION}\n")

    key, region = variables.missing(loaded(folder), {}, None)

    assert "SEARCH_API_KEY is not set; set it in" in key.message
    assert "write a value here" not in key.message
    assert region.message.endswith("or write a value here")


def test_a_connection_is_neither_required_nor_given_to_the_flow(folder: Path) -> None:
    put(folder, FILE, "aoai: ${aoai}\nAOAI: x\nA: 1\n")

    assert resolved(folder, {"aoai": '{"api_key": "k"}'}) == {"A": "1"}


def test_a_variable_that_holds_a_connection_is_refused_without_showing_it(folder: Path) -> None:
    put(folder, FILE, "OTHER: ${OTHER}\n")

    with pytest.raises(BusinessFailure, match="is a connection with its key") as caught:
        resolved(folder, {"OTHER": '{"api_key": "sk-secret"}'})

    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "IDENTITY_HEADER",
        "MSI_SECRET",
        "AzureWebJobsStorage",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "APPSETTING_AOAI",
        "CUSTOMCONNSTR_shop",
        "MACHINEKEY_DecryptionKey",
        "WEBSITE_AUTH_ENCRYPTION_KEY",
        "Storage__blobServiceUri",
    ],
)
def test_what_the_host_keeps_for_itself_is_never_looked_up(name: str) -> None:
    """Records of deployments were written before a use case is read: the look-up itself holds to it, too."""
    here = {name: "of-the-host", name.upper(): "of-the-host"}
    with pytest.raises(BusinessFailure, match=f"A: {name} is the host's own") as caught:
        variables.filled_in({"A": f"${{{name}}}"}, here, None)
    assert "of-the-host" not in str(caught.value)
    assert variables.filled_in({name: "a text"}, here, None) == {name: "a text"}


@pytest.mark.parametrize("name", ["IDENTITY_PROVIDER", "STORAGE", "WEBSITE_URL", "FUNCTIONS_URL", "AZURE_CLIENT_ID"])
def test_names_like_the_hosts_are_ordinary_variables(name: str) -> None:
    assert variables.filled_in({"A": f"${{{name}}}"}, {name: "x"}, None) == {"A": "x"}


def test_an_empty_file_and_no_file_say_nothing(folder: Path) -> None:
    assert loaded(folder).variables == {}
    put(folder, FILE, "# nothing yet\n")
    assert loaded(folder).variables == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("A: [1]", "is a list; expected a text, a number"),
        ("A: {b: c}", "is a mapping; expected a text"),
        ("A:", "is empty; expected a text"),
        ("1A: x", "is no name of a variable"),
        ("GENAIOPS_HOME: x", "are settings of this product"),
        ("A: ${GENAIOPS_HOME}", "are settings of this product"),
        ("A: ${IDENTITY_HEADER}", "IDENTITY_HEADER is the host's own"),
        ("A: ${AzureWebJobsStorage}", "AzureWebJobsStorage is the host's own"),
        ("A: ${APPSETTING_GENAIOPS_HOME}", "APPSETTING_GENAIOPS_HOME is the host's own"),
        ("A: '@Microsoft.KeyVault(VaultName=kv;SecretName=theirs)'", "App Service would fill in, from anywhere"),
        ("A: ${B}/c", "a reference stands alone"),
        ("AZURE_OPENAI_API_KEY: 0123456789abcdef0123", "holds a secret in clear; write ${AZURE_OPENAI_API_KEY}"),
        ('A: \'{"api_key": "x"}\'', "holds a secret in clear"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(folder: Path, line: str, says: str) -> None:
    put(folder, FILE, f"FIRST: 1\n{line}\n")

    problem = only_problem(folder)

    assert (problem.file, problem.line, problem.key) == (FILE, 2, line.split(":", maxsplit=1)[0])
    assert says in problem.message
    assert "0123456789abcdef" not in problem.message


def test_a_file_that_is_no_mapping_is_told(folder: Path) -> None:
    put(folder, FILE, "- A\n")

    assert only_problem(folder).file == FILE


def test_the_check_of_an_environment_names_connections_variables_and_deployment(folder: Path) -> None:
    put(folder, FILE, "A: ${A}\n")
    change(
        folder, "experiment.yaml", "  api_key: ${api_key}\n", "  api_key: ${api_key}\n  api_endpoint: ${api_endpoint}\n"
    )
    change(folder, "experiment.yaml", "  test_calls: 3\n", "  test_calls: 3\n  environment_variables: {B: '${B}'}\n")
    text = (folder / "experiment.yaml").read_text().splitlines()

    found = environment_check.problems(loaded(folder), {"aoai_api_key": "a-key-of-20-letters."}, None)

    assert [(p.file, p.line, p.key) for p in found] == [
        ("experiment.yaml", text.index("  api_endpoint: ${api_endpoint}") + 1, "connections[0].api_endpoint"),
        (FILE, 1, "A"),
        ("experiment.yaml", len(text), "deployment.environment_variables.B"),
    ]
    assert "aoai_api_endpoint is not set" in found[0].message


def test_a_connection_that_is_wrong_in_the_environment_is_a_problem_of_its_entry(folder: Path) -> None:
    (problem,) = environment_check.problems(loaded(folder), {"aoai": "{broken"}, None)

    assert problem.key == "connections[0]"
    assert "'aoai' in the environment is not valid JSON" in problem.message


def test_an_environment_that_has_everything_has_no_problem(folder: Path) -> None:
    put(folder, FILE, "A: ${A}\n")

    assert environment_check.problems(loaded(folder), {"A": "1"}, None) == []


def test_an_env_file_that_cannot_be_read_is_the_one_problem(folder: Path, tmp_path: Path) -> None:
    env_file = put(tmp_path, ".env", b"A=\xff\xfe")

    (problem,) = environment_check.problems(loaded(folder), {}, env_file)

    assert "UTF-8" in problem.message
