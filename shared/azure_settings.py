"""Settings of the azure profile: where the resources are; who may use them is the platform's business (no keys here).

`settings.read` reads them together with all others, so that one message lists everything that is missing or wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SERVICE_BUS: Final = "ServiceBus__fullyQualifiedNamespace"
"""The app settings of the triggers' connections are read here too, so that triggers and adapters cannot disagree:
https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection."""
BLOB_SERVICE: Final = "Storage__blobServiceUri"
_WORKSPACE: Final = ("GENAIOPS_SUBSCRIPTION_ID", "GENAIOPS_RESOURCE_GROUP", "GENAIOPS_ML_WORKSPACE")


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
    key_vault: str | None = None
    """Name of the Key Vault that holds the connections of served flows outside Azure ML."""
    management_url: str = "https://management.azure.com"
    """Azure Resource Manager; another one in sovereign clouds."""


def read(variables: Mapping[str, str], wrong: list[str]) -> AzureSettings:
    """Read what the azure profile needs; what is missing or wrong is added to `wrong`."""

    def needed(name: str, pattern: str, meaning: str) -> str:
        return _checked(variables, name, pattern, meaning, wrong, required=True)

    def optional(name: str, pattern: str, meaning: str) -> str | None:
        return _checked(variables, name, pattern, meaning, wrong, required=False) or None

    host = r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?"
    https = r"https://[^/\s?#@]+(/[^\s?#]*)?"
    subscription, group, workspace = _WORKSPACE
    return AzureSettings(
        service_bus=needed(SERVICE_BUS, host, "the namespace's host name, <name>.servicebus.windows.net"),
        blob_service=needed(
            BLOB_SERVICE, https, "the storage account's address, https://<account>.blob.core.windows.net"
        ).rstrip("/"),
        subscription_id=needed(subscription, r"[0-9a-fA-F-]{36}", "the subscription's id, a GUID"),
        resource_group=needed(group, r"[\w.()-]{1,90}", "the resource group of the Azure ML workspace"),
        workspace=needed(workspace, r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}", "the Azure ML workspace's name"),
        registry=optional("GENAIOPS_ML_REGISTRY", r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}", "an Azure ML registry's name"),
        client_id=optional("AZURE_CLIENT_ID", r"[0-9a-fA-F-]{36}", "the managed identity's client id, a GUID"),
        instance_type=optional("GENAIOPS_ML_INSTANCE_TYPE", r"[A-Za-z0-9_]+", "a size such as Standard_E4ds_v4"),
        container_registry=optional("GENAIOPS_CONTAINER_REGISTRY", host, "a login server, <name>.azurecr.io"),
        key_vault=optional("GENAIOPS_KEY_VAULT", r"[A-Za-z][A-Za-z0-9-]{2,23}", "a Key Vault's name"),
        management_url=(
            optional("GENAIOPS_MANAGEMENT_URL", https, "Azure Resource Manager's address, https://…")
            or AzureSettings.management_url
        ).rstrip("/"),
    )


def _checked(
    variables: Mapping[str, str], name: str, pattern: str, meaning: str, wrong: list[str], *, required: bool
) -> str:
    text = variables.get(name, "").strip()
    if not text:
        if required:
            wrong.append(f"{name} is missing; it must be {meaning}")
    elif text.startswith("@Microsoft.KeyVault("):
        wrong.append(
            f"{name} is a Key Vault reference that was not resolved: see the reference's status in the portal, and "
            "whether the app's identity has the role Key Vault Secrets User"
        )
    elif not re.fullmatch(pattern, text):
        wrong.append(f"{name} is {text!r}; it must be {meaning}")
    return text
