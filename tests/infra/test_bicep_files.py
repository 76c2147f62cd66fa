"""Every file of infra/ is Bicep for a parser that knows nothing of ours, and says nothing that it does not use."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from pycep import BicepParser

from pipelines import package
from tests.infra import syntax
from tests.infra.expansion import BicepError
from tests.infra.world import EVERYTHING, INFRA, ROOT, deployment, everything

FILES = sorted(INFRA.rglob("*.bicep"))
LONGEST = {
    "Microsoft.Storage/storageAccounts": 24,
    "Microsoft.KeyVault/vaults": 24,
    "Microsoft.MachineLearningServices/workspaces": 33,
    "Microsoft.MachineLearningServices/registries": 33,
    "Microsoft.ContainerRegistry/registries": 50,
    "Microsoft.ServiceBus/namespaces": 50,
    "Microsoft.Web/sites": 60,
}
"""https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"""


@pytest.fixture(scope="module")
def parser() -> BicepParser:
    return BicepParser()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_read_by_an_independent_parser_as_it_is_here(path: Path, parser: BicepParser):
    theirs, ours = parser.parse(file_path=path), syntax.read(path)
    assert set(theirs.get("parameters", {})) == set(ours.params)
    assert set(theirs.get("modules", {})) == set(ours.modules)
    assert set(theirs.get("resources", {})) >= set(ours.resources)  # theirs lists children beside their parents
    assert set(theirs.get("outputs", {})) == set(ours.outputs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_declares_nothing_that_it_does_not_use(path: Path):
    file = syntax.read(path)
    text = re.sub(r"(?m)^\s*//.*$|^@description\(.*$", "", path.read_text())
    for name in (*file.params, *file.variables):
        without_keys = re.sub(rf"(?m)^\s*{name}:", "", text)
        assert len(re.findall(rf"\b{name}\b", without_keys)) > 1, f"{name} is declared and not used"


def test_every_module_is_used():
    used = {module.path for module in syntax.read(INFRA / "main.bicep").modules.values()}
    assert used == {f"modules/{path.name}" for path in (INFRA / "modules").glob("*.bicep")}


def test_every_combination_of_two_options_deploys():
    options = {
        name: value
        for name, value in EVERYTHING.items()
        if value is True or name in ("monthlyBudget", "budgetStart", "signInClientId")
    }
    for first, second in itertools.combinations(options, 2):
        assert deployment(**{first: options[first], second: options[second]}).made


def test_a_budget_has_the_start_that_was_given_and_none_is_made_without():
    """Azure refuses another start for a budget that exists, so it may not follow the day of the deployment:
    https://learn.microsoft.com/rest/api/consumption/budgets/create-or-update"""
    (budget,) = deployment(monthlyBudget=100, budgetStart="2029-11-01").of("Microsoft.Consumption/budgets")
    assert budget.properties["timePeriod"] == {"startDate": "2029-11-01"}
    assert deployment(monthlyBudget=100).of("Microsoft.Consumption/budgets") == []
    assert not any("utcNow" in path.read_text() for path in FILES)


def test_no_two_resources_have_one_name_and_no_name_is_too_long():
    made = everything().made
    identifiers = [one.id.lower() for one in made]
    assert len(identifiers) == len(set(identifiers))
    for one in made:
        assert len(one.name) <= LONGEST.get(one.type, 260), one.name


def test_one_type_has_one_version():
    versions: dict[str, set[str]] = {}
    for one in everything().made:
        versions.setdefault(one.type, set()).add(one.api)
    assert {kind: found for kind, found in versions.items() if len(found) > 1} == {}


def test_private_endpoints_lead_into_zones_and_subnets_that_are_made():
    made = everything()
    zones = {one.id for one in made.of("Microsoft.Network/privateDnsZones")}
    for group in made.of("Microsoft.Network/privateEndpoints/privateDnsZoneGroups"):
        assert {one["properties"]["privateDnsZoneId"] for one in group.properties["privateDnsZoneConfigs"]} <= zones
    (network,) = made.of("Microsoft.Network/virtualNetworks")
    subnets = {f"{network.id}/subnets/{one['name']}" for one in network.properties["subnets"]}
    endpoints = made.of("Microsoft.Network/privateEndpoints")
    (app,) = made.of("Microsoft.Web/sites")
    assert {one.properties["subnet"]["id"] for one in endpoints} | {app.properties["virtualNetworkSubnetId"]} == subnets
    targets = {
        one.properties["privateLinkServiceConnections"][0]["properties"]["privateLinkServiceId"] for one in endpoints
    }
    assert targets <= {one.id for one in made.made}


def test_with_a_private_network_no_store_is_open_to_the_internet():
    kinds = ("Storage/storageAccounts", "KeyVault/vaults", "ContainerRegistry/registries", "CognitiveServices/accounts")
    for one in everything().made:
        if one.type.removeprefix("Microsoft.") in kinds:
            assert one.properties["publicNetworkAccess"] == "Disabled", one.name


def test_keys_open_nothing():
    made = everything()
    for account in made.of("Microsoft.Storage/storageAccounts"):
        assert account.properties["allowSharedKeyAccess"] is False
    assert all(one.properties["disableLocalAuth"] for one in made.of("Microsoft.ServiceBus/namespaces"))
    assert all(one.properties["disableLocalAuth"] for one in made.of("Microsoft.CognitiveServices/accounts"))
    assert not any(one.properties["adminUserEnabled"] for one in made.of("Microsoft.ContainerRegistry/registries"))


def test_a_mistake_is_told_with_its_line(tmp_path: Path):
    path = tmp_path / "wrong.bicep"
    path.write_text("param a string\n\nvar b = [\n  a +\n]\n")
    with pytest.raises(BicepError, match=r"wrong\.bicep, line"):
        syntax.read(path)


def test_azd_packs_what_the_pipeline_packs():
    kept = {line[2:] for line in (ROOT / ".funcignore").read_text().splitlines() if line.startswith("!/")}
    assert kept == set(package.PARTS)
