"""The types of connections, as prompt flow names them: what each one needs, takes, and has by default. Pure.

A connection is described with these keys in `experiment.yaml`, in its JSON variable, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit


@dataclass(frozen=True)
class ConnectionType:
    """One type. Keys have their first name here: see `ALIASES`."""

    name: str
    """As in `connection_type`."""
    api_type: str
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    """What may be left out."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    is_model: bool = False
    """Whether the stand-in model can answer for it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that a connection of this type may have."""
        return (*self.needs, *self.takes, "api_type")


AZURE: Final = ConnectionType(
    "AzureOpenAIConnection",
    "azure",
    ("api_key", "api_base"),
    ("api_version",),
    {"api_version": "2024-02-01"},
    is_model=True,
)
OPENAI: Final = ConnectionType(
    "OpenAIConnection",
    "openai",
    ("api_key",),
    ("api_base", "organization"),
    {"api_base": "https://api.openai.com/v1"},
    is_model=True,
)
SERVERLESS: Final = ConnectionType("ServerlessConnection", "serverless", ("api_key", "api_base"), is_model=True)
SEARCH: Final = ConnectionType(
    "CognitiveSearchConnection",
    "azure_ai_search",
    ("api_key", "api_base"),
    ("api_version",),
    {"api_version": "2023-11-01"},
)
CONTENT_SAFETY: Final = ConnectionType(
    "AzureContentSafetyConnection",
    "azure_content_safety",
    ("api_key", "api_base"),
    ("api_version",),
    {"api_version": "2023-10-01"},
)
SERP: Final = ConnectionType("SerpConnection", "serp", ("api_key",))
CUSTOM: Final = ConnectionType("CustomConnection", "custom", (), ("configs", "secrets"))

TYPES: Final = (AZURE, OPENAI, SEARCH, CONTENT_SAFETY, SERP, SERVERLESS, CUSTOM)
API_TYPES: Final = tuple(kind.api_type for kind in TYPES)
TYPE_NAMES: Final = (*(kind.name for kind in TYPES), "AzureAISearchConnection")
"""What `connection_type` may say; the last means a `CognitiveSearchConnection` under its present name."""
ALIASES: Final = {"api_endpoint": "api_base", "endpoint": "api_base", "base_url": "api_base"}
"""Other names of keys → the first name."""


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold().removesuffix("connection")


_BY_NAME: Final = {
    **{_plain(kind.name): kind for kind in TYPES},
    **{_plain(kind.api_type): kind for kind in TYPES},
    "azureaisearch": SEARCH,
    "contentsafety": CONTENT_SAFETY,
}


def type_named(written: str) -> ConnectionType | None:
    """The type that a text means, with or without `Connection`, in any case, or by its `api_type`; None: none."""
    return _BY_NAME.get(_plain(written))


def first_name(key: str) -> str:
    """The first name of a key."""
    return ALIASES.get(key, key)


def names_of(key: str) -> tuple[str, ...]:
    """All names of a key, the first one first."""
    return (key, *(alias for alias, first in ALIASES.items() if first == key))


def web_address(text: str) -> str:
    """Scheme, host and path: what stands before an `@` or after a `?` may be a secret. Empty: it is no web address."""
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path}"
