"""Who the app is in Azure, and what the families of errors make of what the SDKs raise."""

from __future__ import annotations

import logging

import pytest
import requests
from azure.core.exceptions import HttpResponseError, IncompleteReadError, ServiceRequestError
from azure.identity import ChainedTokenCredential, ManagedIdentityCredential, WorkloadIdentityCredential

from shared.adapters.azure import credential as credentials
from shared.adapters.azure.credential import credential
from shared.adapters.azure.errors import translated
from shared.azure_settings import AzureSettings
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, NotFound, Throttled, Transient
from tests.servers.identity import IdentityEndpoint

CLIENT = "11111111-2222-3333-4444-555555555555"
STORAGE = "https://storage.azure.com/.default"
NOWHERE = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE", "WEBSITE_INSTANCE_ID")


def azure(client_id: str | None = None) -> AzureSettings:
    return AzureSettings(
        "ns.servicebus.windows.net", "https://a.blob.core.windows.net", "s", "g", "w", client_id=client_id
    )


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    for name in (*NOWHERE, "AZURE_TENANT_ID", "AZURE_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    credentials.forget()
    yield
    credentials.forget()


@pytest.fixture
def endpoint(monkeypatch):
    with IdentityEndpoint() as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield endpoint


def refused(made: object) -> GenAIOpsError:
    with pytest.raises(GenAIOpsError) as caught, translated("The blob service", role="Storage Blob Data Contributor"):
        made.get_token(STORAGE)  # type: ignore[attr-defined]
    return caught.value


# ---------------------------------------------------------------------------------------------------------- who it is


def test_in_azure_the_app_is_its_managed_identity_and_remembers_its_tokens(endpoint, caplog):
    caplog.set_level(logging.INFO, "genaiops.azure")
    assert isinstance(credential(azure()), ManagedIdentityCredential)
    assert credential(azure()) is credential(azure())
    for _ in range(3):
        credential(azure()).get_token(STORAGE)
    assert endpoint.asked == 1
    assert caplog.messages == ["Azure is asked as the system-assigned managed identity"]


def test_a_user_assigned_identity_is_asked_for_by_its_client_id(endpoint):
    credential(azure(CLIENT)).get_token(STORAGE)
    assert list(endpoint.requests) == [("https://storage.azure.com", CLIENT)]


def test_in_kubernetes_it_is_its_workload_identity(monkeypatch, tmp_path):
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(BusinessFailure, match=r"AZURE_TENANT_ID and AZURE_CLIENT_ID must be set.*workload\.identity"):
        credential(azure())
    monkeypatch.setenv("AZURE_TENANT_ID", CLIENT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    assert isinstance(credential(azure()), WorkloadIdentityCredential)


def test_a_function_app_without_identity_is_told_to_switch_it_on(monkeypatch):
    monkeypatch.setenv("WEBSITE_INSTANCE_ID", "0a1b")
    with pytest.raises(BusinessFailure, match=r"no managed identity\. Switch one on"):
        credential(azure())


def test_on_a_developers_machine_it_is_the_person_who_has_logged_in(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # neither az nor azd
    made = credential(azure())
    assert isinstance(made, ChainedTokenCredential)
    assert "the person who has logged in with the Azure CLI" in caplog.text
    error = refused(made)
    assert isinstance(error, BusinessFailure)
    assert "`az login`" in str(error)


# ------------------------------------------------------------------------------------------------- no token for now


@pytest.mark.parametrize("status", [429, 500])
def test_an_identity_endpoint_that_is_busy_is_a_passing_fault(endpoint, status):
    endpoint.fail(status, times=5, retry_after=0)
    error = refused(credential(azure()))
    assert isinstance(error, Transient)
    assert "gives no token for now" in str(error)
    assert credential(azure()).get_token(STORAGE).token in endpoint.issued


def test_an_identity_that_the_app_does_not_have_is_a_failure_that_says_what_to_do(endpoint):
    endpoint.fail(400, message="Unable to load the proper Managed Identity.")
    error = refused(credential(azure(CLIENT)))
    assert isinstance(error, BusinessFailure)
    assert "correct AZURE_CLIENT_ID" in str(error)
    assert "Unable to load the proper Managed Identity" in str(error)


# ------------------------------------------------------------------------------------------------------------ errors


class Answer:
    """What an error needs of an answer."""

    reason = "as the test says"

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.status_code, self.headers = status, headers or {}


def caught(error: Exception) -> Exception:
    with pytest.raises(Exception) as raised, translated("The storage account x", role="Storage Blob Data Contributor"):  # noqa: PT011
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("status", "family"),
    [(400, BusinessFailure), (401, BusinessFailure), (403, BusinessFailure), (404, NotFound), (408, Transient),
     (409, Conflict), (412, Conflict), (429, Throttled), (500, Transient), (503, Transient)],
)  # fmt: skip
def test_each_status_is_of_the_family_that_says_what_happens_to_the_message(status, family):
    error = caught(HttpResponseError("no", response=Answer(status)))
    assert type(error) is family
    assert "The storage account x" in str(error)


def test_who_may_not_is_told_the_role_that_is_missing():
    error = caught(HttpResponseError("This request is not authorized", response=Answer(403)))
    assert "the role Storage Blob Data Contributor" in str(error)


def test_a_pause_lasts_as_long_as_the_service_asks():
    error = caught(HttpResponseError("slow down", response=Answer(429, {"Retry-After": "17"})))
    assert isinstance(error, Throttled)
    assert error.retry_after == 17.0


@pytest.mark.parametrize(
    "error",
    [
        ServiceRequestError("connection refused"),
        IncompleteReadError("3 of 9 bytes", response=Answer(206)),
        HttpResponseError("it broke off", error=IncompleteReadError("3 of 9 bytes")),
        requests.exceptions.ChunkedEncodingError("it broke off"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_breaks_is_a_passing_fault(error):
    assert type(caught(error)) is Transient


def test_other_errors_pass_as_they_are():
    for error in (KeyError("mine"), FileNotFoundError(2, "mine"), Conflict("mine")):
        assert caught(error) is error


def test_no_signature_and_no_token_is_in_an_errors_text():
    with IdentityEndpoint() as endpoint:
        token = endpoint.token("https://storage.azure.com")
    said = (
        f"GET https://x/y?sv=2&sig=SEKRIT%3D&se=3 with Authorization: Bearer {token} and SharedKey name:SEKRIT, {token}"
    )
    text = str(caught(HttpResponseError(said, response=Answer(400))))
    assert "SEKRIT" not in text
    assert token.split(".")[1] not in text
    assert "GET https://x/y?sv=2&sig=" in text
