"""Why a deployment failed on Azure ML: its resource does not say, but the operation that made it and its log do."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from shared.adapters.azure.arm import ResourceManager
from shared.adapters.azure.endpoints.records import WantedDeployment
from shared.adapters.azure.machine_learning.client import ROLE
from shared.errors import GenAIOpsError
from shared.redaction import Redaction
from shared.use_case.variables import filled_in

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

LINES: Final = 40
"""Of the container's log that are read; what its image's server prints has no secrets in it already."""
SHOWN: Final = 1_500
"""Characters of a log that a reason repeats: its end."""


def reason_of(client: MLClient, manager: ResourceManager, endpoint: str, wanted: WantedDeployment) -> str:
    """The reason, in the platform's words, with the end of the container's log where there is one."""
    said = _operation(manager, wanted.began)
    logged = _log(client, endpoint, wanted.name)
    parts = [said or "Azure ML gives no reason", f"the container's log ends with: {logged}" if logged else ""]
    redaction = Redaction((), _variables(wanted))
    return redaction("; ".join(part for part in parts if part))


def _operation(manager: ResourceManager, address: str) -> str:
    if not address.startswith("https://"):
        return ""
    try:
        answer = manager.request("GET", address, "2023-04-01-preview", role=ROLE)
    except GenAIOpsError:  # its end is kept for a while alone
        return ""
    error = (answer or {}).get("error") or {}
    return f"{error.get('code', '')}: {error.get('message', '')}".strip(": ")


def _log(client: MLClient, endpoint: str, deployment: str) -> str:
    from azure.core.exceptions import AzureError

    with contextlib.suppress(AzureError):  # there is no container where its image could not be built
        text = str(client.online_deployments.get_logs(deployment, endpoint, lines=LINES))
        return text.strip()[-SHOWN:]
    return ""


def _variables(wanted: WantedDeployment) -> dict[str, str]:
    with contextlib.suppress(GenAIOpsError):
        return filled_in(wanted.environment, os.environ, None)
    return {}
