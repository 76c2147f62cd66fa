"""What an installation knows of its use cases' connections and variables."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from genaiops import known_connections
from shared import model_connections
from shared.errors import BusinessFailure
from shared.settings import Settings, read
from shared.use_case.model import ConnectionSpec
from tests.unit.use_case_folder import change, loaded, put, written

BLOCK = "- name: aoai\n  connection_type: AzureOpenAIConnection\n  api_key: ${api_key}\n"
AOAI = ConnectionSpec("aoai", "AzureOpenAIConnection", {"api_key": "${api_key}"})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of an installation with one use case, and nothing in the environment."""
    for name in ("aoai", "AOAI", "aoai_api_key", "shop_token"):
        monkeypatch.delenv(name, raising=False)
    return read({"GENAIOPS_ROOT": str(tmp_path), "GENAIOPS_HOME": str(tmp_path / "home")})


@pytest.fixture
def folder(settings: Settings) -> Path:
    return written(settings.root)


def test_descriptions_of_every_environment_are_known_once(settings: Settings, folder: Path) -> None:
    put(folder, "experiment.pr.yaml", "connections:\n- name: aoai\n  api_key: ${api_key}\n- other\n")
    put(folder, "experiment.qa.yaml", f"connections:\n{BLOCK}")

    assert known_connections.described(settings) == (AOAI, ConnectionSpec("other"))


def test_a_use_case_that_is_not_valid_is_told_and_keeps_nobody_else_from_being_known(
    settings: Settings, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder.parent / "broken", "experiment.yaml", "name: broken\n")

    assert known_connections.described(settings) == (AOAI,)
    assert "broken (dev) cannot be used" in caplog.text


def test_the_stand_in_answers_for_models_of_which_nothing_is_set(settings: Settings, folder: Path) -> None:
    specs = known_connections.described(settings)
    assert known_connections.of_stand_in(settings, specs) == ("aoai",)

    put(settings.root, ".env", 'aoai={"api_key": "k", "api_base": "https://models.example.com"}\n')
    assert known_connections.of_stand_in(settings, specs) == ()


def test_a_missing_variable_is_told_and_a_wrong_connection_is_an_error(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    shop = ConnectionSpec("shop", "Custom", secrets={"token": "${token}"})
    with caplog.at_level(logging.WARNING):
        assert known_connections.of_stand_in(settings, [shop, AOAI]) == ("aoai",)
    assert "shop_token: secrets.token of the connection 'shop'" in caplog.text

    put(settings.root, ".env", "aoai={broken\n")
    with pytest.raises(BusinessFailure, match="not valid JSON"):
        known_connections.of_stand_in(settings, [shop, AOAI])


def test_a_served_flow_gets_the_use_cases_variables_and_those_of_its_deployment_as_written(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "environment/env.yaml", "A: ${A}\nB: from env.yaml\naoai: ${aoai}\n")
    change(folder, "experiment.yaml", "  test_calls: 3\n", "  environment_variables: {B: 'from the block', C: 1}\n")
    use_case = loaded(folder)

    written_ones = model_connections.served_variables(use_case)
    assert written_ones == {"A": "${A}", "B": "from the block", "C": "1"}

    with pytest.raises(BusinessFailure, match="A is not set"):
        model_connections.filled_in(settings, written_ones)
    monkeypatch.setenv("A", "here")
    assert model_connections.filled_in(settings, written_ones) == {"A": "here", "B": "from the block", "C": "1"}
    assert model_connections.variables_of(settings, use_case) == {"A": "here", "B": "from env.yaml"}
    assert model_connections.served_variables(replace(use_case, deployment=None)) == {"A": "${A}", "B": "from env.yaml"}


IN_AZURE = {
    "GENAIOPS_PROFILE": "azure",
    "ServiceBus__fullyQualifiedNamespace": "town.servicebus.windows.net",
    "Storage__blobServiceUri": "https://town.blob.core.windows.net",
    "GENAIOPS_SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "GENAIOPS_RESOURCE_GROUP": "town-rg",
    "GENAIOPS_ML_WORKSPACE": "town-ml",
}
SHOP = ConnectionSpec("shop", "CustomConnection", configs={"url": "https://shop"}, secrets={"token": "${shop_token}"})


def test_in_azure_a_connection_that_is_not_set_in_the_app_is_the_workspaces_and_never_the_stand_ins(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_azure = read({**IN_AZURE, "GENAIOPS_ROOT": str(settings.root)})
    specs = (AOAI, SHOP, ConnectionSpec("undescribed"))
    assert model_connections.resolved(in_azure, specs) == {}
    assert known_connections.of_stand_in(in_azure, specs) == ()

    monkeypatch.setenv("aoai", '{"api_key": "k", "api_base": "https://models.example.com"}')
    assert [one.shown for one in model_connections.resolved(in_azure, specs).values()] == [
        "aoai: https://models.example.com"
    ]
    monkeypatch.setenv("aoai", '{"api_base": "https://models.example.com"}')
    with pytest.raises(BusinessFailure, match="lacks the key 'api_key'"):
        model_connections.resolved(in_azure, specs)


def test_plans_in_azure_know_every_connection_and_which_workspace_has_it(settings: Settings) -> None:
    in_azure = read({**IN_AZURE, "GENAIOPS_ROOT": str(settings.root)})
    elsewhere = read({**IN_AZURE, "GENAIOPS_ROOT": str(settings.root), "GENAIOPS_ML_WORKSPACE": "other-ml"})
    planned = model_connections.planned(in_azure, (AOAI, SHOP))
    assert [one.shown for one in planned.values()] == [
        "aoai: Azure ML workspace town-ml",
        "shop: Azure ML workspace town-ml",
    ]
    others = model_connections.planned(elsewhere, (AOAI, SHOP))
    assert planned["aoai"].identity != others["aoai"].identity
    assert model_connections.planned(settings, (AOAI,)) == model_connections.resolved(settings, (AOAI,))


def test_variables_of_flows_are_the_apps_in_azure_too(settings: Settings, folder: Path) -> None:
    in_azure = read({**IN_AZURE, "GENAIOPS_ROOT": str(settings.root)})
    put(folder, "environment/env.yaml", "A: ${A}\nB: ${B}\n")
    with pytest.raises(BusinessFailure, match=r"(?s)A.*B"):
        model_connections.variables_of(in_azure, loaded(folder))
    with pytest.raises(BusinessFailure, match="C"):
        model_connections.filled_in(in_azure, {"C": "${C}"})
