"""Secrets of connections and variables, taken out of every text that flow code or a served flow has a hand in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from shared.connections import Connection
from shared.use_case.references import may_be_secret_name

_SHORTEST: Final = 8
"""A shorter key cannot be told from ordinary text: replacing it would spoil the reason and hide nothing."""


def secrets_of(connections: Iterable[Connection], variables: Mapping[str, str] | None = None) -> list[str]:
    """Every text that must not be shown, the longest first: a key may begin with another.

    Keys and secrets of the connections, what their addresses hold beside the address, and variables whose name says
    that they hold a secret. The stand-in model's key is none.
    """
    texts: set[str] = set()
    for connection in connections:
        if not connection.stand_in:
            texts.update((connection.api_key, *connection.secrets.values(), *_in_address(connection.api_base)))
    texts.update(value for name, value in (variables or {}).items() if may_be_secret_name(name))
    return sorted((text for text in texts if len(text) >= _SHORTEST), key=len, reverse=True)


def _in_address(address: str) -> list[str]:
    try:
        parts = urlsplit(address)
    except ValueError:
        return []
    password = parts.password or ""
    values = [value for pair in parts.query.split("&") for value in pair.split("=", 1)[1:]]
    return [*{password, unquote(password)}, *{form for value in values for form in (value, unquote(value))}]


class Redaction:
    """Call it with a text: each secret of these connections and variables becomes `***`."""

    def __init__(self, connections: Iterable[Connection] = (), variables: Mapping[str, str] | None = None) -> None:
        self._secrets = secrets_of(connections, variables)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
