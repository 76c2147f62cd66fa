"""Settings of the azure profile: where the resources are; who may use them is the platform's business (no keys here).

`settings.read` reads them together with all others, so that one message lists everything that is missing or wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from shared import loopback
from shared.secret_shapes import HIDDEN, holds_key, masked

SERVICE_BUS: Final = "ServiceBus__fullyQualifiedNamespace"
"""The app settings of the triggers' connections are read here too, so that triggers and adapters cannot disagree:
https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection."""
BLOB_SERVICE: Final = "Storage__blobServiceUri"
BUS: Final = "GENAIOPS_BUS"
CLUSTERS: Final = "GENAIOPS_CLUSTERS"
_WORKSPACE: Final = ("GENAIOPS_SUBSCRIPTION_ID", "GENAIOPS_RESOURCE_GROUP", "GENAIOPS_ML_WORKSPACE")
_INSTEAD: Final = {
    "ServiceBus": SERVICE_BUS,
    "AzureWebJobsServiceBus": SERVICE_BUS,
    "Storage": BLOB_SERVICE,
    "AzureWebJobsStorage": "AzureWebJobsStorage__accountName",
    BUS: SERVICE_BUS,
}
"""Where the Functions host, or we, would take a connection string, and the setting that says the same without a key."""
_LONGEST_SHOWN: Final = 60
_LOOPBACK: Final = r"(127\.0\.0\.1|localhost|\[::1\])"
_HOLDS_KEY: Final = (
    "holds a connection string, a key or a SAS, and whoever reads it can use it: this profile works by managed "
    "identity or workload identity alone"
)
_REFERENCE: Final = "@Microsoft.KeyVault("
_UNRESOLVED: Final = (
    "is a Key Vault reference that was not resolved: see the reference's status in the portal, and whether the app's "
    "identity has the role Key Vault Secrets User"
)
"""The platform leaves the reference's text in the variable then:
https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshoot-key-vault-references."""


@dataclass(frozen=True)
class AzureSettings:
    """Where the resources of the azure profile are."""

    service_bus: str
    """Host name of the Service Bus namespace (`<name>.servicebus.windows.net`)."""
    blob_service: str
    """Address of the storage account's blob service, without a trailing slash."""
    subscription_id: str
    resource_group: str
    """Of the Azure ML workspace, and of everything for which a deployment target names no other."""
    workspace: str
    """Azure ML workspace."""
    registry: str | None = None
    """Azure ML registry into which promoted assets are shared; None: the workspace keeps them alone."""
    client_id: str | None = None
    """Of the user-assigned managed identity; None: the system-assigned one, or workload identity's own."""
    instance_type: str | None = None
    """Serverless compute for runs (`Standard_E4ds_v4`); None: what Azure ML takes by default."""
    container_registry: str | None = None
    """Login server (`<name>.azurecr.io`) into which images of served flows are built."""
    key_encryption_key: str | None = None
    """Address of the Key Vault key under which the installation's own keys lie wrapped; None: they lie in clear in the
    container `secrets`."""
    key_vault: str | None = None
    """Name of the Key Vault that holds the connections of served flows outside Azure ML."""
    clusters: tuple[str, ...] = ()
    """API servers of Kubernetes clusters that deployments may go to: a use case names one of them, and no other address
    ever gets this app's token."""
    cluster_scope: str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
    """Scope of the tokens for them; the default is that of AKS with Entra integration:
    https://learn.microsoft.com/azure/aks/kubelogin-authentication."""
    management_url: str = "https://management.azure.com"
    """Azure Resource Manager; another one in sovereign clouds."""


class Needs(Enum):
    """Which settings a process cannot do without."""

    ALL = "all"
    BLOBS = "blobs"
    """Those of who stores a bundle: the storage account."""
    BLOBS_AND_BUS = "blobs and bus"
    """Those of who sends a request, too: and the namespace."""


def read(variables: Mapping[str, str], wrong: list[str], needs: Needs = Needs.ALL) -> AzureSettings:
    """Read what the azure profile needs; what is missing or wrong is added to `wrong`.

    What is not needed and not set is an empty text.
    """

    def needed(name: str, pattern: str, meaning: str) -> str:
        return _checked(variables, name, pattern, meaning, wrong, required=True)

    def optional(name: str, pattern: str, meaning: str) -> str | None:
        return _checked(variables, name, pattern, meaning, wrong, required=False) or None

    _refuse_keys(variables, wrong)
    _name_unresolved(variables, wrong)
    host = r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?"
    https = rf"https://{host}(/[^\s?#,]*)?"
    subscription, group, workspace = _WORKSPACE
    # The embedded host on an emulator has no namespace.
    bus = optional if variables.get(BUS) or needs is Needs.BLOBS else needed
    place = needed if needs is Needs.ALL else optional
    return AzureSettings(
        service_bus=bus(SERVICE_BUS, host, "the namespace's host name, <name>.servicebus.windows.net") or "",
        blob_service=needed(
            BLOB_SERVICE,
            rf"{https}|http://{_LOOPBACK}(:[0-9]{{1,5}})?(/[^\s?#]*)?",
            "the storage account's address, https://<account>.blob.core.windows.net (http only for Azurite on this "
            "machine)",
        ).rstrip("/"),
        subscription_id=place(subscription, r"[0-9a-fA-F-]{36}", "the subscription's id, a GUID") or "",
        resource_group=place(group, r"[\w.()-]{1,90}", "the resource group of the Azure ML workspace") or "",
        workspace=place(workspace, r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}", "the Azure ML workspace's name") or "",
        registry=optional("GENAIOPS_ML_REGISTRY", r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}", "an Azure ML registry's name"),
        client_id=optional("AZURE_CLIENT_ID", r"[0-9a-fA-F-]{36}", "the managed identity's client id, a GUID"),
        instance_type=optional("GENAIOPS_ML_INSTANCE_TYPE", r"[A-Za-z0-9_]+", "a size such as Standard_E4ds_v4"),
        container_registry=optional("GENAIOPS_CONTAINER_REGISTRY", host, "a login server, <name>.azurecr.io"),
        key_encryption_key=optional(
            "GENAIOPS_KEY_ENCRYPTION_KEY",
            rf"https://{host}/keys/[A-Za-z0-9-]+",
            "https://<vault>.vault.azure.net/keys/<key>",
        ),
        key_vault=optional("GENAIOPS_KEY_VAULT", r"[A-Za-z][A-Za-z0-9-]{2,23}", "a Key Vault's name"),
        clusters=tuple(
            address.strip().rstrip("/")
            for address in (
                optional(CLUSTERS, rf"{https}(\s*,\s*{https})*", "API servers' addresses, https://…, by commas") or ""
            ).split(",")
            if address.strip()
        ),
        cluster_scope=(
            optional("GENAIOPS_CLUSTER_TOKEN_SCOPE", r"\S+/\.default", "a scope of Entra ID, which ends in /.default")
            or AzureSettings.cluster_scope
        ),
        management_url=(
            optional("GENAIOPS_MANAGEMENT_URL", https, "Azure Resource Manager's address, https://…")
            or AzureSettings.management_url
        ).rstrip("/"),
    )


def shown(value: str) -> str:
    """A setting's value for an error: without what looks like a secret, and cut, for any may lie in the wrong place."""
    text = HIDDEN if holds_key(value) else masked(value)
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


def _refuse_keys(variables: Mapping[str, str], wrong: list[str]) -> None:
    for name, instead in _INSTEAD.items():
        value = variables.get(name, "")
        if holds_key(value) and not _is_emulator(value):
            wrong.append(f"{name} {_HOLDS_KEY}; remove it and set {instead}")


def _name_unresolved(variables: Mapping[str, str], wrong: list[str]) -> None:
    """Any variable, not ours alone: the key of a connection may be one, and would be sent as it stands."""
    names = [name for name, value in variables.items() if value.strip().startswith(_REFERENCE)]
    wrong += [f"{name} {_UNRESOLVED}" for name in sorted(names)]


def _is_emulator(connection: str) -> bool:
    """Whether a connection string leads to an emulator on this machine, whose key everybody knows."""
    parts = dict(part.partition("=")[::2] for part in connection.lower().split(";"))
    if "true" in (parts.get("usedevelopmentemulator"), parts.get("usedevelopmentstorage")):
        return True
    blobs = re.match(r"https?://(\[[0-9a-f:]+\]|[^/:]+)", parts.get("blobendpoint", ""))
    return blobs is not None and blobs[1].strip("[]") in loopback.NAMES


def _checked(
    variables: Mapping[str, str], name: str, pattern: str, meaning: str, wrong: list[str], *, required: bool
) -> str:
    text = variables.get(name, "").strip()
    if not text:
        if required:
            wrong.append(f"{name} is missing; it must be {meaning}")
    elif text.startswith(_REFERENCE):
        return ""  # named by `_name_unresolved`
    elif holds_key(text):
        wrong.append(f"{name} {_HOLDS_KEY}; it must be {meaning}")
    elif not re.fullmatch(pattern, text):
        wrong.append(f"{name} is {shown(text)}; it must be {meaning}")
    return text
