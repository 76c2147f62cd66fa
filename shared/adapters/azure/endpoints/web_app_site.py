"""Calls of App Service: a site, its slots, its routing rules. Answers are JSON as Azure Resource Manager words it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, cast

from shared.adapters.azure.arm import ResourceManager, client_options
from shared.adapters.azure.endpoints.log_ends import last_lines
from shared.adapters.azure.endpoints.web_app_options import WebAppOptions
from shared.adapters.azure.errors import translated
from shared.azure_settings import AzureSettings
from shared.errors import BusinessFailure, GenAIOpsError, NotFound

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.mgmt.web import WebSiteManagementClient

ROLE: Final = "Website Contributor"
_IDENTITY_API: Final = "2023-01-31"
_METRICS_API: Final = "2023-10-01"
_LOG_BYTES: Final = 32 * 1024

Json = dict[str, Any]


class Sites:
    """Web apps of a subscription. Safe for threads; nothing is connected before it is first used."""

    def __init__(
        self, settings: AzureSettings, credential: TokenCredential, manager: ResourceManager, *, retries: int = 3
    ) -> None:
        self._settings = settings
        self._credential = credential
        self._manager = manager
        self._retries = retries
        self._made: WebSiteManagementClient | None = None

    def plan(self, options: WebAppOptions) -> Json:
        """The App Service plan. Raises BusinessFailure where there is none."""
        try:
            with _translated(f"the resource group {options.group!r}"):
                return _json(self._client.app_service_plans.get(options.group, options.plan))
        except NotFound:
            raise BusinessFailure(
                f"The resource group {options.group!r} has no App Service plan {options.plan!r}: create it (Linux, "
                "Standard or higher), or correct APP_PLAN_NAME in configs/deployment_config.json."
            ) from None

    def identity(self, options: WebAppOptions) -> tuple[str, str]:
        """Resource id and client id of the user-assigned identity. Raises BusinessFailure where there is none."""
        path = (
            f"/subscriptions/{self._settings.subscription_id}/resourceGroups/{options.group}"
            f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{options.identity}"
        )
        try:
            found = self._manager.request("GET", path, _IDENTITY_API, role="Managed Identity Operator")
        except NotFound:
            raise BusinessFailure(
                f"The resource group {options.group!r} has no managed identity {options.identity!r}: create it, or "
                "correct USER_MANAGED_ID in configs/deployment_config.json."
            ) from None
        return str(found["id"]), str(found["properties"]["clientId"])

    def site(self, options: WebAppOptions) -> Json | None:
        """The web app, or None."""
        try:
            with _translated(_named(options)):
                return _json(self._client.web_apps.get(options.group, options.site))
        except NotFound:
            return None

    def create_site(self, options: WebAppOptions, site: Json) -> None:
        """Begin to create the web app."""
        with _translated(_named(options)):
            self._client.web_apps.begin_create_or_update(options.group, options.site, cast("Any", site), polling=False)

    def configuration(self, options: WebAppOptions) -> Json:
        """The web app's own configuration, with the rules that route to slots."""
        with _translated(_named(options)):
            return _json(self._client.web_apps.get_configuration(options.group, options.site))

    def route(self, options: WebAppOptions, rules: Sequence[Mapping[str, object]]) -> None:
        """Replace the rules that route to slots; what they leave stays with the production slot.

        https://learn.microsoft.com/azure/app-service/deploy-staging-slots#route-production-traffic-automatically
        """
        change = {"properties": {"experiments": {"rampUpRules": list(rules)}}}
        with _translated(_named(options)):
            self._client.web_apps.update_configuration(options.group, options.site, cast("Any", change))

    def slots(self, options: WebAppOptions) -> list[Json]:
        """The web app's slots, without the production slot."""
        with _translated(_named(options)):
            return [_json(slot) for slot in self._client.web_apps.list_slots(options.group, options.site)]

    def slot(self, options: WebAppOptions, name: str) -> Json | None:
        """A slot, or None."""
        try:
            with _translated(_named(options)):
                return _json(self._client.web_apps.get_slot(options.group, options.site, name))
        except NotFound:
            return None

    def create_slot(self, options: WebAppOptions, name: str, slot: Json) -> None:
        """Begin to create a slot."""
        with _translated(_named(options)):
            self._client.web_apps.begin_create_or_update_slot(
                options.group, options.site, name, cast("Any", slot), polling=False
            )

    def delete_slot(self, options: WebAppOptions, name: str) -> None:
        """Delete a slot; one that does not exist is no error."""
        try:
            with _translated(_named(options)):
                self._client.web_apps.delete_slot(options.group, options.site, name, delete_empty_server_farm=False)
        except NotFound:
            return

    def log_end(self, options: WebAppOptions, name: str) -> str:
        """The last lines that the platform keeps of a slot's container; empty where there are none."""
        from azure.core.exceptions import AzureError

        try:
            with _translated(_named(options)):
                found = self._client.web_apps.get_web_site_container_logs_slot(options.group, options.site, name)
                end = b""
                for piece in found or ():  # a container prints as much as it likes
                    end = (end + piece)[-_LOG_BYTES:]
                return last_lines(end)
        except (AzureError, GenAIOpsError):
            return ""

    def counts(self, slot: Json) -> tuple[int, int]:
        """Requests and errors of the last day, as Azure Monitor has them; none where it cannot be read.

        https://learn.microsoft.com/azure/app-service/monitor-app-service-reference#supported-metrics-for-microsoftwebsitesslots
        """
        names = ("Requests", "Http4xx", "Http5xx")
        parameters = {"metricnames": ",".join(names), "aggregation": "Total", "interval": "P1D"}
        path = f"{slot['id']}/providers/Microsoft.Insights/metrics"
        try:
            found = self._manager.request("GET", path, _METRICS_API, role="Monitoring Reader", parameters=parameters)
        except GenAIOpsError:
            return 0, 0
        totals = {metric["name"]["value"]: round(sum(_totals(metric))) for metric in (found or {}).get("value", [])}
        requests, *errors = (totals.get(name, 0) for name in names)
        return requests, sum(errors)

    @property
    def _client(self) -> WebSiteManagementClient:
        from azure.mgmt.web import WebSiteManagementClient

        if self._made is None:
            self._made = WebSiteManagementClient(
                self._credential, self._settings.subscription_id, **client_options(self._settings, self._retries)
            )
        return self._made


def _totals(metric: Json) -> list[float]:
    return [point.get("total") or 0.0 for series in metric.get("timeseries", []) for point in series.get("data", [])]


def _json(model: Any) -> Json:
    found: Json = model.as_dict()
    return found


def _named(options: WebAppOptions) -> str:
    return f"the web app {options.site!r}"


def _translated(what: str) -> AbstractContextManager[None]:
    return translated(what, role=ROLE)
