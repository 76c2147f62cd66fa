"""The one credential of this process: who the app is, wherever it runs. No key, no password, no certificate.

In Azure it is the app's managed identity; in Kubernetes, workload identity; on a developer's machine, where neither is,
the person who has logged in with the Azure CLI or the Azure Developer CLI. Which one it is, the log says once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from shared.azure_settings import AzureSettings
from shared.errors import BusinessFailure

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

log: Final = logging.getLogger("genaiops.azure")

_OPTIONS: Final[Mapping[str, Any]] = {
    "connection_timeout": 5.0,
    "read_timeout": 15.0,
    "retry_total": 4,
    "retry_backoff_factor": 0.4,
}
"""Of requests for tokens. What azure-identity does by itself, ten tries up to two minutes apart, takes longer than
the lock on a message lasts; after these, a few seconds, the message comes again."""
_lock: Final = Lock()
_made: Final[dict[str | None, TokenCredential]] = {}


def credential(settings: AzureSettings) -> TokenCredential:
    """The credential, made at the first call and kept: it remembers its tokens. Safe for threads.

    Raises:
        BusinessFailure: nothing here says who the app is; with what to do. Asking for a token may raise what
            `errors.translated` turns into our families.
    """
    return of_identity(settings.client_id)


def of_identity(client_id: str | None) -> TokenCredential:
    """The same for who has no settings of the azure profile: a local profile on a namespace in Azure."""
    with _lock:
        if client_id not in _made:
            logging.getLogger("azure.identity").setLevel(logging.WARNING)  # it speaks of each token
            _made[client_id] = _make(client_id, os.environ)
        return _made[client_id]


def forget() -> None:
    """Make the credential anew at the next call: for tests, whose environment changes."""
    with _lock:
        _made.clear()


def _make(client_id: str | None, environment: Mapping[str, str]) -> TokenCredential:
    who = f"the user-assigned managed identity {client_id}" if client_id else "the system-assigned managed identity"
    if environment.get("IDENTITY_ENDPOINT") or environment.get("MSI_ENDPOINT"):
        # App Service, Functions, Container Apps; MSI_ENDPOINT: compute of Azure ML.
        from azure.identity import ManagedIdentityCredential

        log.info("Azure is asked as %s", who)
        return ManagedIdentityCredential(client_id=client_id, **_OPTIONS)
    if environment.get("AZURE_FEDERATED_TOKEN_FILE"):
        return _workload_identity(client_id, environment)
    if environment.get("WEBSITE_INSTANCE_ID"):
        # https://learn.microsoft.com/azure/app-service/reference-app-settings: set on every instance of App Service,
        # which names an identity endpoint only where the app has an identity.
        raise BusinessFailure(
            "This app has no managed identity. Switch one on (Identity in the portal, `identity` in Bicep), give it "
            "its roles, and restart the app."
        )
    from azure.identity import AzureCliCredential, AzureDeveloperCliCredential, ChainedTokenCredential

    log.warning(
        "Azure is asked as the person who has logged in with the Azure CLI (`az login`), or else with the Azure "
        "Developer CLI (`azd auth login`): this machine has no managed identity"
    )
    return ChainedTokenCredential(AzureCliCredential(), AzureDeveloperCliCredential())


def _workload_identity(client_id: str | None, environment: Mapping[str, str]) -> TokenCredential:
    from azure.identity import WorkloadIdentityCredential

    missing = [name for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID") if not environment.get(name)]
    if missing:
        raise BusinessFailure(
            f"AZURE_FEDERATED_TOKEN_FILE names a workload identity's token, but {' and '.join(missing)} must be set, "
            "too: the webhook sets them where the service account is annotated with azure.workload.identity/client-id "
            'and the pod is labelled azure.workload.identity/use: "true".'
        )
    log.info("Azure is asked as the workload identity %s", client_id or environment["AZURE_CLIENT_ID"])
    return WorkloadIdentityCredential(client_id=client_id or environment["AZURE_CLIENT_ID"], **_OPTIONS)
