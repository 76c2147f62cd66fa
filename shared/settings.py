"""Settings: the environment, read once into a frozen value.

On a laptop every variable has a default, and all of ours start with `GENAIOPS_`; the azure profile also reads those
that the platform has names for. `local.settings.sample.json` lists them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared import azure_settings, people_settings
from shared.azure_settings import AzureSettings, Needs, shown
from shared.chain.messages import Queue
from shared.errors import GenAIOpsError
from shared.people_settings import PeopleSettings

PROFILES: Final = ("local", "azure")
_SCRATCH: Final = "/tmp/genaiops"  # noqa: S108  # an instance of a function app is one user's
"""The home in Azure, where the app's own folder may be read-only; nothing in it outlives an instance."""


class InvalidSettings(GenAIOpsError):
    """One message that lists every missing or wrong setting."""


@dataclass(frozen=True)
class Settings:
    """Everything that may differ between installations."""

    profile: str
    """`local` or `azure`."""
    home: Path
    """Where the local profile keeps queues, blobs, registry and endpoints (`GENAIOPS_HOME`, default `.genaiops`)."""
    root: Path
    """The app's folder: holds `flows/` and `data/`."""
    queues: Mapping[Queue, str]
    """Queue → its name in this environment (`GENAIOPS_QUEUE_CHAIN_REQUESTS`, …)."""
    max_delivery_count: int
    """Of every queue: after so many deliveries a message is dead-lettered."""
    cells_in_flight: int
    """Cells of one chain that are run side by side."""
    calls_in_flight: int
    """Calls of one model endpoint that are made at the same time, by all chains together."""
    http_port: int
    """Port of the embedded host's HTTP functions (`GENAIOPS_HTTP_PORT`)."""
    functions_url: str
    """Public address of the HTTP functions, without a trailing slash: approval links and reports start with it."""
    router_port: int
    """Port of the local endpoint router."""
    stand_in_port: int
    """Port of the stand-in model."""
    env_file: Path
    """Where connections may be written beside the environment (`GENAIOPS_ENV_FILE`, default `<root>/.env`)."""
    look_seconds: int
    """How long long work (a cloud run, a deployment) is left alone before it is looked at again."""
    bus_connection: str | None = field(default=None, repr=False)
    """Service Bus namespace or emulator that the embedded host takes its queues from, in place of its own: a host name,
    or a connection string, whose key shows nowhere (`GENAIOPS_BUS`, or `start --bus`)."""
    application_insights: str | None = field(default=None, repr=False)
    """Connection string of Application Insights, to which telemetry goes (`APPLICATIONINSIGHTS_CONNECTION_STRING`)."""
    telemetry_by_identity: bool = False
    """Whether Application Insights takes telemetry from known identities alone
    (`APPLICATIONINSIGHTS_AUTHENTICATION_STRING` is `Authorization=AAD`)."""
    telemetry_client_id: str | None = None
    """Of the user-assigned identity that sends it (`…;ClientId=<GUID>` there); None: the app's own."""
    people: PeopleSettings = field(default_factory=PeopleSettings)
    """How people and pipelines are reached."""
    azure: AzureSettings | None = None
    """Where the resources are; set exactly under the azure profile."""

    @property
    def flows(self) -> Path:
        """The use cases that ship with the app."""
        return self.root / "flows"

    @property
    def data(self) -> Path:
        """The datasets that ship with the app."""
        return self.root / "data"

    @property
    def stand_in_url(self) -> str:
        """Base address of the stand-in model."""
        return f"http://127.0.0.1:{self.stand_in_port}"

    @property
    def router_url(self) -> str:
        """Base address of the local endpoint router."""
        return f"http://127.0.0.1:{self.router_port}"


def read(environment: Mapping[str, str] | None = None, needs: Needs = Needs.ALL) -> Settings:
    """Read settings from `environment` (default: the process environment), those of Azure as far as they are needed.

    Raises:
        InvalidSettings: listing every variable that is wrong and what it must be.
    """
    variables = os.environ if environment is None else environment
    wrong: list[str] = []

    def number(name: str, default: int, low: int, high: int) -> int:
        text = variables.get(name, "")
        if not text:
            return default
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        wrong.append(f"{name} is {shown(text)}; it must be a whole number from {low} to {high}")
        return default

    profile = variables.get("GENAIOPS_PROFILE") or "local"
    if profile not in PROFILES:
        wrong.append(f"GENAIOPS_PROFILE is {shown(profile)}; it must be one of {', '.join(PROFILES)}")
    port = number("GENAIOPS_HTTP_PORT", 7071, 1, 65535)
    identity = _telemetry_identity(variables, wrong)
    root = Path(variables.get("GENAIOPS_ROOT") or Path(__file__).parent.parent).absolute()
    in_azure = profile == "azure" and bool(variables.get("WEBSITE_HOSTNAME"))
    if in_azure:
        _name_missing_queues(variables, wrong)
    settings = Settings(
        profile=profile,
        home=Path(variables.get("GENAIOPS_HOME") or (_SCRATCH if in_azure else ".genaiops")).absolute(),
        root=root,
        queues={queue: variables.get(queue_variable(queue)) or queue.value for queue in Queue},
        max_delivery_count=number("GENAIOPS_MAX_DELIVERY_COUNT", 5, 1, 2000),
        cells_in_flight=number("GENAIOPS_CELLS_IN_FLIGHT", 8, 1, 1000),
        calls_in_flight=number("GENAIOPS_CALLS_IN_FLIGHT", 32, 1, 10_000),
        http_port=port,
        functions_url=_functions_url(variables, profile, port, wrong),
        router_port=number("GENAIOPS_ROUTER_PORT", 7072, 1, 65535),
        stand_in_port=number("GENAIOPS_STAND_IN_PORT", 7073, 1, 65535),
        env_file=Path(variables.get("GENAIOPS_ENV_FILE") or root / ".env").absolute(),
        look_seconds=number("GENAIOPS_LOOK_SECONDS", 1 if profile == "local" else 30, 1, 3600),
        bus_connection=variables.get("GENAIOPS_BUS") or None,
        application_insights=_application_insights(variables, wrong),
        telemetry_by_identity=bool(identity),
        telemetry_client_id=identity.get("clientid"),
        people=people_settings.read(variables, wrong),
        azure=azure_settings.read(variables, wrong, needs) if profile == "azure" else None,
    )
    if wrong:
        raise InvalidSettings("Wrong settings:\n  " + "\n  ".join(wrong))
    return settings


def _name_missing_queues(variables: Mapping[str, str], wrong: list[str]) -> None:
    """The triggers name their queues by app settings, for which the Functions host knows no default."""
    wrong += [
        f"{queue_variable(queue)} is missing; it must be the name of a queue, such as {queue.value}"
        for queue in Queue
        if not variables.get(queue_variable(queue))
    ]


def _functions_url(variables: Mapping[str, str], profile: str, port: int, wrong: list[str]) -> str:
    """What is set, or the address that the platform gave the app, or this machine's."""
    written = variables.get("GENAIOPS_FUNCTIONS_URL", "")
    if written and not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", written):
        wrong.append(f"GENAIOPS_FUNCTIONS_URL is {shown(written)}; it must be an address, https://<app>")
    # https://learn.microsoft.com/azure/app-service/reference-app-settings: the app's default host name.
    given = variables.get("WEBSITE_HOSTNAME", "") if profile == "azure" else ""
    return (written or (f"https://{given}" if given else f"http://127.0.0.1:{port}")).rstrip("/")


def _application_insights(variables: Mapping[str, str], wrong: list[str]) -> str | None:
    text = variables.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "").strip()
    # The exporter refuses another key with an error of its own, at the first message:
    # https://learn.microsoft.com/azure/azure-monitor/app/connection-strings
    key = re.search(r"(?i)(?:^|;)InstrumentationKey=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(;|$)", text)
    if text and key is None and not text.startswith("@"):
        wrong.append(
            "APPLICATIONINSIGHTS_CONNECTION_STRING is no connection string of Application Insights; it must be "
            "InstrumentationKey=<GUID>;IngestionEndpoint=https://…"
        )
    return text or None


def _telemetry_identity(variables: Mapping[str, str], wrong: list[str]) -> dict[str, str]:
    text = variables.get("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "").replace(" ", "")
    parts = dict(part.partition("=")[::2] for part in text.lower().split(";") if part)
    if text and parts.get("authorization") != "aad":
        wrong.append(
            f"APPLICATIONINSIGHTS_AUTHENTICATION_STRING is {shown(text)}; it must be Authorization=AAD, with "
            ";ClientId=<GUID> for a user-assigned identity"
        )
    return parts


def queue_variable(queue: Queue) -> str:
    """The app setting that names a queue: `GENAIOPS_QUEUE_CHAIN_REQUESTS`."""
    return "GENAIOPS_QUEUE_" + queue.value.replace("-", "_").upper()
