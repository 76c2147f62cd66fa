"""What infra/ makes is what the code expects: queues, settings, containers, roles, alerts. A rename on one side is found."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from shared.chain.messages import Queue
from shared.people_settings import AZURE_DEVOPS
from shared.settings import read
from tests.infra import documented_roles
from tests.infra.expansion import BicepError, expand, parameters_of
from tests.infra.world import (
    INFRA,
    ROLES,
    ROOT,
    alert_differences,
    app_settings,
    as_the_app_sees_it,
    containers_in_code,
    deployment,
    duration,
    everything,
    queue_differences,
    role_assignments,
    setting_differences,
)


def test_every_queue_has_the_name_and_the_properties_that_the_code_expects():
    assert queue_differences(deployment()) == []
    assert queue_differences(everything()) == []


def test_the_reference_tells_the_queues_properties_as_they_are_made():
    page = (ROOT / "docs/reference/queues.md").read_text()
    made = deployment().of("Microsoft.ServiceBus/namespaces/queues")[0].properties
    for name in ("lockDuration", "duplicateDetectionHistoryTimeWindow", "defaultMessageTimeToLive"):
        assert f"`{made[name]}`" in page, name


def test_every_setting_that_the_code_reads_is_set_and_every_one_that_is_set_is_read():
    assert setting_differences(deployment()) == []
    assert setting_differences(everything()) == []


def test_the_settings_are_what_the_parameters_say():
    values = as_the_app_sees_it(app_settings(everything()))
    settings = read(values)
    assert settings.people.azure_devops == ("https://dev.azure.com/contoso",)
    assert settings.people.sign_in
    assert settings.people.alert_mail == ("ops@example.com", "lead@example.com")
    assert settings.azure is not None
    assert settings.azure.key_encryption_key is not None
    assert settings.telemetry_by_identity
    assert values[AZURE_DEVOPS] == "https://dev.azure.com/contoso"


def test_mail_goes_by_smtp_with_its_password_from_the_vault():
    values = app_settings(
        deployment(smtp="smtp://bot@mail.example.com", mailFrom="bot@example.com", alertMails="a@b.c")
    )
    assert values["GENAIOPS_SMTP_PASSWORD"].startswith("@Microsoft.KeyVault(")
    assert read(as_the_app_sees_it(values)).people.smtp_password == "secret"


def test_no_setting_holds_a_key():
    for name, value in app_settings(everything()).items():
        assert "AccountKey" not in value, name
        assert "SharedAccessKey" not in value, name


def test_containers_are_those_of_the_code_and_uploads_wake_the_trigger_on_its_own():
    made = {one.body["name"] for one in everything().of("Microsoft.Storage/storageAccounts/blobServices/containers")}
    assert made - {"packages"} <= containers_in_code()
    (uploads,) = expand(INFRA / "datasets.bicep", {"topicName": "t", "functionAppName": "f"}).made
    trigger = (ROOT / "functions/dataset_changes.py").read_text()
    (container,) = re.findall(r'path="(\w+)/\{name\}"', trigger)
    assert uploads.properties["filter"]["subjectBeginsWith"] == f"/blobServices/default/containers/{container}/"
    assert container in made
    (function,) = re.findall(r"Host\.Functions\.(\w+)&", uploads.properties["destination"]["properties"]["endpointUrl"])
    assert f"def {function}(" in trigger


def test_the_triggers_connections_have_their_settings():
    values = app_settings(deployment())
    text = "".join(path.read_text() for path in (ROOT / "functions").glob("*.py"))
    for connection in set(re.findall(r'connection="(\w+)"', text)):
        assert values[f"{connection}__credential"] == "managedidentity"
        assert values[f"{connection}__clientId"] == values["AZURE_CLIENT_ID"]


def test_the_host_has_what_host_json_needs():
    host = json.loads((ROOT / "host.json").read_text())
    renewal = host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"]
    assert renewal >= host["functionTimeout"]  # a message stays locked for as long as a function may run
    lock = deployment().of("Microsoft.ServiceBus/namespaces/queues")[0].properties["lockDuration"]
    assert duration(lock).total_seconds() == 300
    (app,) = deployment().of("Microsoft.Web/sites")
    runtime = app.properties["functionAppConfig"]["runtime"]
    assert runtime["version"] in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]


def test_run_events_are_delivered_to_their_queue_as_the_topic():
    made = everything()
    (runs,) = [
        one for one in made.of("Microsoft.EventGrid/systemTopics/eventSubscriptions") if one.symbol == "runChanges"
    ]
    delivery = runs.properties["deliveryWithResourceIdentity"]
    assert delivery["destination"]["properties"]["resourceId"].endswith("/queues/run-events")
    types = runs.properties["filter"]["includedEventTypes"]
    assert {name.rpartition(".")[2] for name in types} == {"RunCompleted", "RunStatusChanged"}


def test_roles_are_those_of_the_reference_and_their_ids_are_the_platforms():
    assert json.loads((INFRA / "roles.json").read_text()) == ROLES
    assert documented_roles.differences(role_assignments(everything())) == []
    assert {role for _, role, _ in role_assignments(everything())} == set(ROLES)


def test_nobody_is_owner_and_the_pipelines_reach_no_more_than_they_need():
    assert not {role for _, role, _ in role_assignments(everything())} & {"Owner", "User Access Administrator"}
    assert {on for who, _, on in role_assignments(everything()) if who == "id-pipelines"} == {
        "sb/chain-requests",
        "stdata/default/bundles",
        "stdata/default/chains",
    }


def test_what_is_not_chosen_gives_no_role():
    optional = {"Website Contributor", "Communication and Email Service Owner", "AzureML Registry User", "AcrPull"}
    assert not {role for _, role, _ in role_assignments(deployment())} & optional


def test_alerts_watch_what_telemetry_emits():
    assert alert_differences(deployment()) == []


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_parameter_files_deploy(name: str):
    made = expand(INFRA / "main.bicep", parameters_of(INFRA / "parameters" / f"{name}.bicepparam"))
    assert queue_differences(made) == []
    assert setting_differences(made) == []


def test_azds_parameters_are_the_templates():
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    texts = {name: re.sub(r"\$\{\w+=?(.*)\}", r"\1", one["value"]) for name, one in given.items()}
    typed = {
        name: json.loads(text) if text in ("true", "false") or text.isdigit() else text for name, text in texts.items()
    }
    made = expand(INFRA / "main.bicep", {**typed, "environmentName": "dev", "location": "westeurope"})
    assert queue_differences(made) == []


SPOILT = [
    ("main.bicep", "'run-events'", "'runevents'", queue_differences, "run-events"),
    (
        "main.bicep",
        "GENAIOPS_QUEUE_REPORTING: ",
        "GENAIOPS_QUEUE_REPORTS: ",
        queue_differences,
        "GENAIOPS_QUEUE_REPORTING",
    ),
    ("main.bicep", "      queues.GENAIOPS_QUEUE_CHAIN_EVENTS\n", "", queue_differences, "requiresSession"),
    ("modules/service-bus.bicep", "'PT10M'", "'PT1M'", queue_differences, "duplicate"),
    ("modules/service-bus.bicep", "'P7D'", "'P14D'", queue_differences, "live longer"),
    ("main.bicep", "maxDeliveryCount int = 5", "maxDeliveryCount int = 3", queue_differences, "maxDeliveryCount"),
    ("main.bicep", "GENAIOPS_CELLS_IN_FLIGHT:", "GENAIOPS_CELLS:", setting_differences, "GENAIOPS_CELLS"),
    (
        "main.bicep",
        "GENAIOPS_ML_WORKSPACE: machineLearning.outputs.name\n      ",
        "",
        setting_differences,
        "GENAIOPS_ML_WORKSPACE",
    ),
    ("main.bicep", "'entra'", "'google'", setting_differences, "GENAIOPS_SIGN_IN"),
    ("modules/alerts.bicep", "genaiops.chains.oldest", "genaiops.oldest", alert_differences, "genaiops.oldest"),
    ("modules/access-app.bicep", "  'Azure Service Bus Data Receiver'\n", "", None, "Azure Service Bus Data Receiver"),
    ("modules/access-others.bicep", "  'AcrPull'\n", "  'Website Contributor'\n", None, "AcrPull"),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "compare", "named"), SPOILT, ids=[f"{row[0]}: {row[4]}" for row in SPOILT]
)
def test_a_difference_on_the_side_of_infra_is_found(tmp_path: Path, file: str, old: str, new: str, compare, named: str):
    infra = spoilt(tmp_path, file, old, new)
    compare = compare or (lambda made: documented_roles.differences(role_assignments(made)))
    assert any(named in difference for difference in compare(everything(infra)))


def test_a_queue_renamed_in_the_code_is_found():
    names = {queue: queue.value for queue in Queue} | {Queue.REPORTING: "reports"}
    found = queue_differences(deployment(), names)
    assert any("the code's queue is 'reports'" in text for text in found)
    assert any("infra/ makes the queue reporting, which the code does not know" in text for text in found)


def test_a_role_dropped_from_the_reference_is_found(tmp_path: Path):
    page = tmp_path / "roles.md"
    page.write_text(documented_roles.PAGE.read_text().replace("| Azure Service Bus Data Receiver, ", "| "))
    found = documented_roles.differences(role_assignments(everything()), page)
    assert found == ["id-app / Azure Service Bus Data Receiver / sb is given by infra/, but not in roles.md"]


WRONG = [
    ("main.bicep", "    maxDeliveryCount: maxDeliveryCount\n", "", "the parameter maxDeliveryCount is missing"),
    ("main.bicep", "    isPrivate: privateNetwork\n", "    private: privateNetwork\n", "no parameter private"),
    ("main.bicep", "outputs.datasetsTopicName", "outputs.topic", "no 'topic'"),
    ("main.bicep", "sku: serviceBusSku", "sku: busSku", "nothing of the name busSku"),
    ("main.bicep", "serviceBusSku string = 'Standard'", "serviceBusSku string = 'Basic'", "@allowed"),
    ("modules/access-app.bicep", "'Managed Identity Operator'", "'Identity Operator'", "no 'Identity Operator'"),
    ("modules/storage-account.bicep", "param sku string", "param sku int", "not of the type int"),
]


@pytest.mark.parametrize(("file", "old", "new", "said"), WRONG, ids=[row[3] for row in WRONG])
def test_a_reference_that_leads_nowhere_is_found(tmp_path: Path, file: str, old: str, new: str, said: str):
    infra = spoilt(tmp_path, file, old, new)
    parameters = {"webApps": True, "environmentName": "dev"}
    with pytest.raises(BicepError, match=re.escape(said)):
        expand(infra / "main.bicep", parameters)


def spoilt(folder: Path, file: str, old: str, new: str) -> Path:
    infra = folder / "infra"
    shutil.copytree(INFRA, infra)
    text = (infra / file).read_text()
    assert old in text, "there is nothing to spoil"
    (infra / file).write_text(text.replace(old, new))
    return infra
