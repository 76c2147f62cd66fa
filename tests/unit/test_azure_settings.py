"""Settings of the azure profile: all that is missing or wrong in one message, keys refused, and none of them shown."""

from __future__ import annotations

import pytest

from shared import settings
from shared.chain.messages import Queue
from shared.settings import InvalidSettings, Settings, queue_variable

RIGHT = {
    "GENAIOPS_PROFILE": "azure",
    "ServiceBus__fullyQualifiedNamespace": "town.servicebus.windows.net",
    "Storage__blobServiceUri": "https://town.blob.core.windows.net/",
    "GENAIOPS_SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "GENAIOPS_RESOURCE_GROUP": "town-rg",
    "GENAIOPS_ML_WORKSPACE": "town-ml",
}
STORAGE_KEY = "kq7V" * 21 + "aB=="
BUS_KEY = "kq7V" * 10 + "aBc="
BUS_CONNECTION = f"Endpoint=sb://town.servicebus.windows.net/;SharedAccessKeyName=RootManage;SharedAccessKey={BUS_KEY}"
STORAGE_CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=town;AccountKey={STORAGE_KEY}"
KEY_VAULT = "@Microsoft.KeyVault(SecretUri=https://town.vault.azure.net/secrets/aoai/)"
INSIGHTS = "InstrumentationKey=00000000-1111-2222-3333-444444444444;IngestionEndpoint=https://town.in.example/"


def read(**changes: str) -> Settings:
    return settings.read(RIGHT | changes)


def refused(**changes: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        read(**changes)
    return str(caught.value)


def test_six_settings_are_enough() -> None:
    azure = read().azure
    assert azure is not None
    assert azure.service_bus == "town.servicebus.windows.net"
    assert azure.blob_service == "https://town.blob.core.windows.net"
    assert (azure.subscription_id, azure.resource_group) == (RIGHT["GENAIOPS_SUBSCRIPTION_ID"], "town-rg")
    assert (azure.workspace, azure.registry, azure.client_id) == ("town-ml", None, None)
    assert azure.management_url == "https://management.azure.com"


def test_on_a_laptop_none_of_them_is_read() -> None:
    assert settings.read({**RIGHT, "GENAIOPS_PROFILE": "local", "GENAIOPS_SUBSCRIPTION_ID": "no id"}).azure is None


def test_one_message_lists_all_that_is_missing_and_all_that_is_wrong_ours_and_the_platforms() -> None:
    text = refused(
        ServiceBus__fullyQualifiedNamespace="",
        GENAIOPS_SUBSCRIPTION_ID="the-subscription",
        GENAIOPS_CELLS_IN_FLIGHT="many",
        AZURE_CLIENT_ID="me",
        GENAIOPS_CONTAINER_REGISTRY="https://town.azurecr.io",
        APPLICATIONINSIGHTS_CONNECTION_STRING="somewhere",
    )
    assert len(text.splitlines()) == 7
    assert "ServiceBus__fullyQualifiedNamespace is missing; it must be the namespace's host name" in text
    assert "GENAIOPS_SUBSCRIPTION_ID is 'the-subscription'; it must be the subscription's id, a GUID" in text
    assert "GENAIOPS_CELLS_IN_FLIGHT is 'many'; it must be a whole number from 1 to 1000" in text
    assert "AZURE_CLIENT_ID is 'me'" in text
    assert "GENAIOPS_CONTAINER_REGISTRY is 'https://town.azurecr.io'" in text
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING is no connection string of Application Insights" in text


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("ServiceBus__fullyQualifiedNamespace", BUS_CONNECTION, "host name"),
        ("Storage__blobServiceUri", STORAGE_CONNECTION, "https://<account>.blob.core.windows.net"),
        (
            "Storage__blobServiceUri",
            "https://town.blob.core.windows.net/?sv=1&sig=kq7VkaBkaBkaB%3D",
            "the storage account",
        ),
        ("ServiceBus", BUS_CONNECTION, "set ServiceBus__fullyQualifiedNamespace"),
        ("AzureWebJobsStorage", STORAGE_CONNECTION, "set AzureWebJobsStorage__accountName"),
        ("Storage", STORAGE_CONNECTION, "set Storage__blobServiceUri"),
        ("GENAIOPS_BUS", BUS_CONNECTION, "set ServiceBus__fullyQualifiedNamespace"),
    ],
)
def test_a_key_in_the_place_of_an_identity_is_refused_with_the_reason_and_not_shown(name, value, instead) -> None:
    text = refused(**{name: value})
    assert f"{name} holds a connection string, a key or a SAS" in text
    assert "managed identity or workload identity alone" in text
    assert instead in text
    assert "kq7V" not in text


@pytest.mark.parametrize("name", ["GENAIOPS_SUBSCRIPTION_ID", "GENAIOPS_ML_WORKSPACE", "GENAIOPS_CELLS_IN_FLIGHT"])
@pytest.mark.parametrize("value", [STORAGE_KEY, BUS_KEY, BUS_CONNECTION, "Bearer kq7VkaBkaBkaBkaB"])
def test_a_secret_that_was_put_in_the_wrong_place_is_not_shown(name: str, value: str) -> None:
    text = refused(**{name: value})
    assert name in text
    assert "kq7V" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GENAIOPS_BUS", f"Endpoint=sb://localhost;SharedAccessKeyName=R;SharedAccessKey={BUS_KEY};UseDevelopmentEmulator=true;"),
        ("ServiceBus", f"Endpoint=sb://127.0.0.1;SharedAccessKeyName=R;SharedAccessKey={BUS_KEY};UseDevelopmentEmulator=true;"),
        ("AzureWebJobsStorage", "UseDevelopmentStorage=true"),
        ("AzureWebJobsStorage", f"AccountName=devstoreaccount1;AccountKey={STORAGE_KEY};BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"),
        ("Storage__blobServiceUri", "http://127.0.0.1:10000/devstoreaccount1"),
        ("Storage__blobServiceUri", "https://localhost:10000/devstoreaccount1"),
    ],
)  # fmt: skip
def test_the_emulators_of_this_machine_are_allowed(name: str, value: str) -> None:
    assert read(**{name: value}).azure is not None


def test_storage_without_encryption_is_for_this_machine_alone() -> None:
    assert "http only for Azurite on this machine" in refused(Storage__blobServiceUri="http://town.example/account")


def test_the_embedded_host_on_an_emulator_needs_no_namespace() -> None:
    emulator = "Endpoint=sb://localhost;SharedAccessKeyName=R;SharedAccessKey=k;UseDevelopmentEmulator=true;"
    azure = read(GENAIOPS_BUS=emulator, ServiceBus__fullyQualifiedNamespace="").azure
    assert azure is not None
    assert azure.service_bus == ""


def test_key_vault_references_that_were_not_resolved_are_named_whoever_they_are_for() -> None:
    text = refused(aoai=KEY_VAULT, GENAIOPS_ML_WORKSPACE=KEY_VAULT, GENAIOPS_CELLS_IN_FLIGHT="0")
    assert "aoai is a Key Vault reference that was not resolved" in text
    assert text.count("GENAIOPS_ML_WORKSPACE") == 1
    assert "the role Key Vault Secrets User" in text
    assert len(text.splitlines()) == 4


IN_AZURE = {"WEBSITE_HOSTNAME": "town.azurewebsites.net"} | {queue_variable(queue): queue.value for queue in Queue}


def test_links_lead_to_the_apps_own_address_unless_another_is_set() -> None:
    assert read(**IN_AZURE).functions_url == "https://town.azurewebsites.net"
    written = {**IN_AZURE, "GENAIOPS_FUNCTIONS_URL": "https://genaiops.town.example/"}
    assert read(**written).functions_url == "https://genaiops.town.example"
    assert settings.read({"WEBSITE_HOSTNAME": "x"}).functions_url == "http://127.0.0.1:7071"
    assert "GENAIOPS_FUNCTIONS_URL is 'genaiops.town'" in refused(GENAIOPS_FUNCTIONS_URL="genaiops.town")


def test_in_azure_queues_that_the_triggers_could_not_find_are_named() -> None:
    told = refused(**{**IN_AZURE, "GENAIOPS_QUEUE_EVALUATION": "", "GENAIOPS_QUEUE_RUN_EVENTS": ""})
    assert "GENAIOPS_QUEUE_EVALUATION is missing; it must be the name of a queue, such as evaluation" in told
    assert "GENAIOPS_QUEUE_RUN_EVENTS is missing" in told
    assert read().queues[Queue.EVALUATION] == "evaluation", "the embedded host knows the defaults"


def test_in_azure_bundles_are_unpacked_where_an_app_may_write() -> None:
    assert str(read(**IN_AZURE).home) == "/tmp/genaiops"
    assert read().home.name == ".genaiops"
    assert str(read(**IN_AZURE, GENAIOPS_HOME="/mnt/scratch").home) == "/mnt/scratch"


def test_telemetry_is_sent_where_application_insights_is_named_as_the_app_where_it_asks_for_that() -> None:
    assert read().application_insights is None
    told = read(APPLICATIONINSIGHTS_CONNECTION_STRING=INSIGHTS)
    assert (told.application_insights, told.telemetry_by_identity) == (INSIGHTS, False)
    assert read(APPLICATIONINSIGHTS_AUTHENTICATION_STRING="Authorization=AAD;ClientId=1").telemetry_client_id == "1"
    assert "must be Authorization=AAD" in refused(APPLICATIONINSIGHTS_AUTHENTICATION_STRING="Authorization=Key")


def test_nothing_that_may_hold_a_key_shows_in_what_is_printed_of_the_settings() -> None:
    told = settings.read({"GENAIOPS_BUS": BUS_CONNECTION, "APPLICATIONINSIGHTS_CONNECTION_STRING": INSIGHTS})
    assert told.bus_connection == BUS_CONNECTION
    assert BUS_KEY not in repr(told)
    assert "InstrumentationKey" not in repr(told)


def test_clusters_are_listed_by_commas_and_told_apart_by_their_addresses() -> None:
    azure = read(GENAIOPS_CLUSTERS="https://a.example:6443/, https://b.example/k8s").azure
    assert azure is not None
    assert azure.clusters == ("https://a.example:6443", "https://b.example/k8s")
    assert "GENAIOPS_CLUSTERS is 'http://a.example'; it must be" in refused(GENAIOPS_CLUSTERS="http://a.example")
