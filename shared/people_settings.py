"""Settings of what reaches people: Azure DevOps organisations, mail, a webhook, sign-in on the approval page.

Each is optional, and the same under both profiles. `settings.read` reads them together with all others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from shared.names import MAIL_ADDRESS

AZURE_DEVOPS: Final = "GENAIOPS_AZURE_DEVOPS"
MAIL_FROM: Final = "GENAIOPS_MAIL_FROM"
SMTP: Final = "GENAIOPS_SMTP"
SMTP_PASSWORD: Final = "GENAIOPS_SMTP_PASSWORD"  # noqa: S105  # the setting's name
COMMUNICATION: Final = "GENAIOPS_COMMUNICATION_ENDPOINT"
ALERT_MAIL: Final = "GENAIOPS_ALERT_MAIL"
WEBHOOK: Final = "GENAIOPS_WEBHOOK_URL"
SIGN_IN: Final = "GENAIOPS_SIGN_IN"
PLATFORM_SIGN_IN: Final = "WEBSITE_AUTH_ENABLED"
"""Set by App Service alone: https://learn.microsoft.com/azure/app-service/reference-app-settings"""


@dataclass(frozen=True)
class PeopleSettings:
    """How people and pipelines are reached."""

    azure_devops: tuple[str, ...] = ()
    """Addresses of the organisations whose pipelines may ask, without a trailing slash: nothing else gets an answer,
    and a task's token goes nowhere else."""
    mail_from: str | None = None
    """The sender; None: no mail is sent."""
    smtp: str | None = None
    """`smtp://[user@]host[:port]` (STARTTLS where the server offers it, required with a user), or `smtps://…`."""
    smtp_password: str | None = field(default=None, repr=False)
    communication: str | None = None
    """Endpoint of an Azure Communication Services resource that sends mail, as the app's identity."""
    alert_mail: tuple[str, ...] = ()
    """Addresses that alerts go to."""
    webhook: str | None = field(default=None, repr=False)
    """Address that takes cards: a Teams workflow. Whoever knows it can post there."""
    sign_in: bool = False
    """Whether the platform signs people in before the approval page (App Service authentication with Entra ID)."""
    platform_signs_in: bool = False
    """Whether the platform says that its authentication is on: only then are its headers nobody else's."""


def read(variables: Mapping[str, str], wrong: list[str]) -> PeopleSettings:
    """Read what is set; what is wrong is added to `wrong`."""

    def checked(name: str, pattern: str, meaning: str, *, secret: bool = False) -> str | None:
        text = variables.get(name, "").strip()
        if text.startswith("@Microsoft.KeyVault("):  # the platform could not resolve it
            wrong.append(f"{name} is a Key Vault reference that was not resolved; it must be {meaning}")
            return None
        if text and not re.fullmatch(pattern, text):
            found = "is of another form" if secret else f"is {text[:60]!r}"
            wrong.append(f"{name} {found}; it must be {meaning}")
            return None
        return text or None

    collections = checked(
        AZURE_DEVOPS,
        r"https://[^\s,?#@]+(\s*,\s*https://[^\s,?#@]+)*",
        "addresses of organisations by commas, https://dev.azure.com/<organisation>",
    )
    one = MAIL_ADDRESS
    settings = PeopleSettings(
        azure_devops=tuple(part.strip().rstrip("/") for part in (collections or "").split(",") if part.strip()),
        mail_from=checked(MAIL_FROM, one, "a mail address"),
        smtp=checked(
            SMTP, r"smtps?://([^\s@/:]+@)?[^\s@/:]+(:[0-9]{1,5})?/?", "smtp://[user@]host[:port], or smtps://…"
        ),
        smtp_password=checked(SMTP_PASSWORD, r"(?s).+", "the password of the user in GENAIOPS_SMTP", secret=True),
        communication=checked(COMMUNICATION, r"https://[^\s/?#@]+/?", "https://<name>.communication.azure.com"),
        alert_mail=tuple(
            part.strip()
            for part in (checked(ALERT_MAIL, rf"{one}(\s*,\s*{one})*", "mail addresses by commas") or "").split(",")
            if part.strip()
        ),
        webhook=checked(WEBHOOK, r"https://[^\s#@]+", "the https address of a workflow", secret=True),
        sign_in=checked(SIGN_IN, "entra", "entra, or nothing") == "entra",
        platform_signs_in=variables.get(PLATFORM_SIGN_IN, "").strip().lower() == "true",
    )
    _name_what_belongs_together(settings, wrong)
    return settings


def _name_what_belongs_together(settings: PeopleSettings, wrong: list[str]) -> None:
    for address in settings.azure_devops:
        parts = urlsplit(address)
        # dev.azure.com serves everybody's organisations: the host alone would let in all of them.
        if parts.netloc.lower() == "dev.azure.com" and not parts.path.strip("/"):
            wrong.append(f"{AZURE_DEVOPS} names {address}; it must name the organisation, {address}/<organisation>")
    ways = [name for name, value in ((SMTP, settings.smtp), (COMMUNICATION, settings.communication)) if value]
    if len(ways) > 1:
        wrong.append(f"{SMTP} and {COMMUNICATION} are both set; mail goes one way: remove one of them")
    has_user = "@" in (settings.smtp or "")
    if has_user and not settings.smtp_password:
        wrong.append(f"{SMTP} names a user, but {SMTP_PASSWORD} is not set: it must be that user's password")
    if settings.smtp_password and not has_user:
        wrong.append(f"{SMTP_PASSWORD} is set, but {SMTP} names no user: it must be smtp://<user>@<host>")
    port = re.search(r":([0-9]+)/?$", settings.smtp or "")
    if port and not 1 <= int(port[1]) <= 65535:
        wrong.append(f"{SMTP} names port {port[1]}; it must be from 1 to 65535")
    if settings.mail_from and not ways:
        wrong.append(f"{MAIL_FROM} is set, but neither {SMTP} nor {COMMUNICATION}: set one of them")
    if ways and not settings.mail_from:
        wrong.append(f"{ways[0]} is set, but {MAIL_FROM} is not: it must be the sender's mail address")
