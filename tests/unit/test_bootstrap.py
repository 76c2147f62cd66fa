"""Wiring the ports of a profile."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared import bootstrap
from shared.adapters.azure.bus import ServiceBus
from shared.adapters.azure.wrapped_keys import WrappedKeys
from shared.adapters.blob_keys import BlobKeys
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.bus import LocalBus
from shared.errors import GenAIOpsError
from shared.settings import InvalidSettings, read

AZURE = {
    "GENAIOPS_PROFILE": "azure",
    "ServiceBus__fullyQualifiedNamespace": "contoso.servicebus.windows.net",
    "Storage__blobServiceUri": "https://contoso.blob.core.windows.net",
    "GENAIOPS_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
    "GENAIOPS_RESOURCE_GROUP": "genaiops",
    "GENAIOPS_ML_WORKSPACE": "genaiops-ml",
}
EMULATOR = "Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=x;SharedAccessKey=y;UseDevelopmentEmulator=true"


def test_the_home_is_nobody_elses_business(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    ports = bootstrap.wire(read({"GENAIOPS_HOME": str(home)}))
    assert isinstance(ports.blobs, FileBlobStore)
    assert home.stat().st_mode & 0o777 == 0o700


def test_every_wrong_setting_is_named_at_once():
    wrong = {"GENAIOPS_PROFILE": "moon", "GENAIOPS_HTTP_PORT": "eighty", "GENAIOPS_CELLS_IN_FLIGHT": "0"}
    with pytest.raises(InvalidSettings) as caught:
        read(wrong)
    assert all(name in str(caught.value) for name in wrong)


def test_the_ports_of_a_process_are_those_it_was_told_to_use(tmp_path):
    ports = bootstrap.wire(read({"GENAIOPS_HOME": str(tmp_path)}))
    bootstrap.use(ports)
    assert bootstrap.ports() is ports


def test_the_azure_profile_is_wired_without_importing_an_sdk_or_asking_anybody():
    code = (
        "import sys\n"
        "from shared import bootstrap\n"
        "from shared.settings import read\n"
        f"bootstrap.wire(read({AZURE!r}))\n"
        "heavy = [name for name in sys.modules if name.split('.')[0] in ('azure', 'promptflow', 'requests')]\n"
        "assert heavy == [], heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_keys_lie_in_clear_unless_a_key_of_key_vault_is_named():
    assert isinstance(bootstrap.wire(read(AZURE)).keys, BlobKeys)
    wrapping = {"GENAIOPS_KEY_ENCRYPTION_KEY": "https://contoso.vault.azure.net/keys/installation"}
    assert isinstance(bootstrap.wire(read(AZURE | wrapping)).keys, WrappedKeys)


@pytest.mark.parametrize("profile", [{}, AZURE], ids=["local", "azure"])
def test_both_profiles_answer_the_organisations_of_azure_devops_that_the_setting_names(tmp_path, profile):
    named = {"GENAIOPS_HOME": str(tmp_path), "GENAIOPS_AZURE_DEVOPS": "https://dev.azure.com/contoso/"}
    pipelines = bootstrap.wire(read(profile | named)).pipelines
    assert pipelines.refusal("https://contoso.visualstudio.com/") == ""
    assert "GENAIOPS_AZURE_DEVOPS" in pipelines.refusal("https://dev.azure.com/mallory")


@pytest.mark.parametrize(("bus", "host"), [("", "contoso.servicebus.windows.net"), (EMULATOR, "127.0.0.1:5672")])
def test_the_queues_of_the_azure_profile_are_the_namespaces_or_those_of_the_bus_that_is_named(bus, host):
    wired = bootstrap.wire(read(AZURE | {"GENAIOPS_BUS": bus})).bus
    assert isinstance(wired, ServiceBus)
    assert wired.host == host


def test_a_bus_that_is_named_takes_the_place_of_the_local_queues_alone(tmp_path):
    home = {"GENAIOPS_HOME": str(tmp_path)}
    assert isinstance(bootstrap.wire(read(home)).bus, LocalBus)
    for address in (EMULATOR, "contoso.servicebus.windows.net"):
        ports = bootstrap.wire(read(home | {"GENAIOPS_BUS": address}))
        assert isinstance(ports.bus, ServiceBus)
        assert isinstance(ports.blobs, FileBlobStore)


def test_a_bus_that_cannot_be_read_names_its_setting(tmp_path):
    with pytest.raises(GenAIOpsError, match="GENAIOPS_BUS is neither a host name"):
        bootstrap.wire(read({"GENAIOPS_HOME": str(tmp_path), "GENAIOPS_BUS": "my bus"}))
