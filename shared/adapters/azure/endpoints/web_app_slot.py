"""A web app, and a slot of it that serves a deployment, as App Service takes them. Pure.

No secret is in them: connections and secret variables are references to Key Vault, which App Service resolves with the
slot's identity: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.connections import needed_values
from shared.errors import BusinessFailure
from shared.use_case.model import ConnectionSpec
from shared.use_case.references import reference

PORT: Final = 8080
PLACEHOLDER: Final = "DOCKER|mcr.microsoft.com/appsvc/staticsite:latest"
"""What the portal gives to a new web app for containers; it serves nobody."""
_SETTING: Final = re.compile(r"[A-Za-z0-9_.]+")
_TAKEN_OVER: Final = ("ipSecurityRestrictions", "ipSecurityRestrictionsDefaultAction")
"""Of the web app's own configuration: a slot has an address of its own, which must be no way around them."""


def secret_name(variable: str) -> str:
    """The secret in Key Vault that a variable comes from: `AOAI_API_KEY` → `aoai-api-key`."""
    return re.sub(r"[^a-z0-9]+", "-", variable.lower()).strip("-")


def settings_of(
    connections: Iterable[ConnectionSpec], environment: Mapping[str, str], key_vault: str | None
) -> dict[str, str]:
    """App settings of a served flow: what its connections lack, and its variables that are no literals.

    Raises:
        BusinessFailure: there is no Key Vault to refer to, or App Service takes no setting of a name.
    """
    wanted = {value.variable: secret_name(value.variable) for spec in connections for value in needed_values(spec)}
    found = {name: text for name, text in environment.items() if reference(text) is None}
    wanted |= {name: secret_name(reference(text) or name) for name, text in environment.items() if name not in found}
    wrong = [name for name in (*wanted, *found) if not _SETTING.fullmatch(name)]
    if wrong:
        raise BusinessFailure(
            f"App Service takes no setting of the name {wrong[0]!r}: use letters, digits, _ and dots."
        )
    if wanted and not key_vault:
        raise BusinessFailure(
            f"The served flow needs {', '.join(sorted(wanted))}: set GENAIOPS_KEY_VAULT to the vault that holds them, "
            f"as the secrets {', '.join(sorted(wanted.values()))}."
        )
    for name, secret in wanted.items():
        found[name] = f"@Microsoft.KeyVault(VaultName={key_vault};SecretName={secret})"
    return found


def new_site(plan: Mapping[str, Any], identity: tuple[str, str], tags: Mapping[str, str]) -> dict[str, Any]:
    """A web app on a plan; its production slot holds the platform's page."""
    return {
        "location": plan["location"],
        "kind": "app,linux,container",
        "tags": dict(tags),
        "identity": _identity(identity),
        "properties": {
            "serverFarmId": plan["id"],
            "reserved": True,
            "httpsOnly": True,
            # Requests of one client need not come to one instance, nor, with the routing rules, to one slot.
            "clientAffinityEnabled": False,
            "siteConfig": {"linuxFxVersion": PLACEHOLDER, "ftpsState": "Disabled", "minTlsVersion": "1.2"},
        },
    }


def new_slot(
    site: Mapping[str, Any],
    configuration: Mapping[str, Any],
    identity: tuple[str, str],
    image: str,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """A slot with the image, on the plan, in the network and behind the access restrictions of its web app."""
    of_site = site.get("properties") or {}
    own = {"WEBSITES_PORT": str(PORT), "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "false"}
    config = configuration.get("properties") or {}
    taken_over = {key: config[key] for key in _TAKEN_OVER if config.get(key) is not None}
    properties: dict[str, Any] = {
        "serverFarmId": of_site.get("serverFarmId"),
        "reserved": True,
        "httpsOnly": True,
        "clientAffinityEnabled": False,
        "keyVaultReferenceIdentity": identity[0],
        "siteConfig": {
            "linuxFxVersion": f"DOCKER|{image}",
            # https://learn.microsoft.com/azure/app-service/configure-custom-container#use-an-image-from-a-network-protected-registry
            "acrUseManagedIdentityCreds": True,
            "acrUserManagedIdentityID": identity[1],
            "healthCheckPath": "/ready",
            "alwaysOn": True,
            "http20Enabled": True,
            "ftpsState": "Disabled",
            "minTlsVersion": "1.2",
            "appSettings": [{"name": name, "value": value} for name, value in sorted({**variables, **own}.items())],
            **taken_over,
        },
    }
    for key in ("virtualNetworkSubnetId", "publicNetworkAccess"):
        if of_site.get(key):
            properties[key] = of_site[key]
    return {
        "location": site["location"],
        "kind": "app,linux,container",
        "identity": _identity(identity),
        "properties": properties,
    }


def _identity(identity: tuple[str, str]) -> dict[str, Any]:
    return {"type": "UserAssigned", "userAssignedIdentities": {identity[0]: {}}}
