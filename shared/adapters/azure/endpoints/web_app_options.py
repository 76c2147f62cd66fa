"""Options of the target `webapp_endpoint`, from `configs/deployment_config.json`, in the vocabulary of the template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.adapters.azure.endpoints.container_registry import RESOURCE_GROUP
from shared.adapters.azure.endpoints.online_options import ELSEWHERE
from shared.errors import BusinessFailure
from shared.use_case.problems import one_of

KIND: Final = "webapp_endpoint"
SLOT: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,57}[A-Za-z0-9])?")
KEYS: Final = frozenset(
    {"WEB_APP_NAME", "WEB_APP_RG_NAME", "WEB_APP_SKU", "APP_PLAN_NAME", "USER_MANAGED_ID"}
    | {"REGISTRY_NAME", "REGISTRY_RG_NAME", "ENDPOINT_DESC", "DEPLOYMENT_DESC"}
    | ELSEWHERE
)
_SITE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,58}[A-Za-z0-9])")
_PLAN: Final = re.compile(r"[\w-]{1,60}")
_IDENTITY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}")
_WITHOUT_SLOTS: Final = re.compile(r"(?i)(F|D|B|FREE|SHARED|BASIC)[0-9]*")
_TIERS_WITHOUT_SLOTS: Final = frozenset({"free", "shared", "basic", "dynamic"})


@dataclass(frozen=True)
class WebAppOptions:
    """Where the web app of an endpoint is."""

    site: str
    group: str
    """Of the web app, its plan and its identity."""
    plan: str
    identity: str
    """Name of a user-assigned managed identity: it pulls images and reads secrets, for every slot alike."""


def read(options: Mapping[str, object], endpoint: str, resource_group: str) -> WebAppOptions:
    """The options, checked.

    Args:
        options: the entry of the file.
        endpoint: the web app's name where none is given.
        resource_group: where none is given.

    Raises:
        BusinessFailure: it lists everything that is missing or wrong.
    """

    def text(key: str, default: str = "") -> str:
        return str(options.get(key) or "").strip() or default

    found = WebAppOptions(
        site=text("WEB_APP_NAME", endpoint),
        group=text("WEB_APP_RG_NAME", resource_group),
        plan=text("APP_PLAN_NAME"),
        identity=text("USER_MANAGED_ID"),
    )
    wrong = [one_of(key, sorted(KEYS), "option") for key in options if key not in KEYS]
    if not _SITE.fullmatch(found.site):
        wrong.append(f"WEB_APP_NAME is {found.site!r}; a web app's name has 2 to 60 of the characters A-Z a-z 0-9 -")
    if not RESOURCE_GROUP.fullmatch(found.group):
        wrong.append(f"WEB_APP_RG_NAME is {found.group[:100]!r}, which is no resource group's name")
    if not found.plan:
        wrong.append("APP_PLAN_NAME is missing; it names the App Service plan for Linux that the web app runs on")
    elif not _PLAN.fullmatch(found.plan):
        wrong.append(f"APP_PLAN_NAME is {found.plan[:100]!r}; a plan's name has 1 to 60 letters, digits, _ and -")
    if not found.identity:
        wrong.append(
            "USER_MANAGED_ID is missing; it names the user-assigned managed identity with the roles AcrPull on the "
            "registry and Key Vault Secrets User on the vault, which all slots share"
        )
    elif not _IDENTITY.fullmatch(found.identity):
        wrong.append(
            f"USER_MANAGED_ID is {found.identity[:100]!r}; it is the identity's name alone, of 3 to 128 letters, "
            "digits, _ and -, without its resource group"
        )
    sku = text("WEB_APP_SKU")
    if _WITHOUT_SLOTS.fullmatch(sku):
        wrong.append(f"WEB_APP_SKU is {sku!r}, {_NO_SLOTS}")
    if wrong:
        raise BusinessFailure(f"configs/deployment_config.json, {KIND}:\n  " + "\n  ".join(wrong))
    return found


def check_tier(plan: str, tier: str) -> None:
    """Raise BusinessFailure for a plan of a tier that has no deployment slots."""
    if tier.casefold() in _TIERS_WITHOUT_SLOTS:
        raise BusinessFailure(f"The App Service plan {plan!r} is {tier}, {_NO_SLOTS}.")


_NO_SLOTS: Final = (
    "which has no deployment slots, so that a new deployment could not be tested beside the former one: take Standard "
    "(S1), Premium (P0v3) or higher"
)
"""https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits#azure-app-service-limits"""
