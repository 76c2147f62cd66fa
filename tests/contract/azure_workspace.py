"""The Azure ML workspace of the stand-in, as the azure profile's settings name it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.azure_settings import AzureSettings
from tests.servers.management import Management
from tests.servers.management.workspace import GROUP, SUBSCRIPTION_ID, WORKSPACE


def azure_settings(management: Management, **changes: Any) -> AzureSettings:
    settings = AzureSettings(
        service_bus="genaiops.servicebus.windows.net",
        blob_service="https://genaiopsstorage.blob.core.windows.net",
        subscription_id=SUBSCRIPTION_ID,
        resource_group=GROUP,
        workspace=WORKSPACE,
        management_url=management.url,
    )
    return replace(settings, **changes)
