"""Secrets of this process's own settings, and those that show by their shape, taken out of what leaves the process.

Errors of SDKs may quote a request with its token, or a setting with its key. What becomes a reason, a record or a log
line passes here; texts of flows also pass `redaction`, which knows the use case's connections.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from shared.secret_shapes import HIDDEN, masked
from shared.use_case.host_variables import is_key_of_the_host
from shared.use_case.references import is_secret_name, may_be_secret_name

_SHORTEST: Final = 8
"""A shorter value cannot be told from ordinary text."""
_NO_WORD: Final = 16
_OPEN_KEYS: Final = frozenset({"api_base", "api_type", "api_version", "endpoint", "connection_type"})


def secrets_in(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables that hold secrets, as far as their names or, of a whole connection, their keys tell."""
    found: set[str] = set()
    for name, value in variables.items():
        if value.lstrip().startswith("{"):
            found |= _in_connection(value)
        elif _is_secret(name, value):
            found.add(value)
    return tuple(sorted((value for value in found if len(value) >= _SHORTEST), key=len, reverse=True))


def _is_secret(name: str, value: str) -> bool:
    if value.startswith(("/", "http")):  # a file that holds it; an address
        return False
    # A PARTITION_KEY may be a word that texts need: such a name is believed where the value is no word.
    perhaps = may_be_secret_name(name) and len(value) >= _NO_WORD and any(character.isdigit() for character in value)
    return perhaps or is_secret_name(name) or name == "IDENTITY_HEADER"


def holds_secret(value: str) -> bool:
    """Whether a value, of a variable that a use case names, is or holds a secret of this process's own settings.

    They are read anew: the use case may have given the variable another name, so that its value alone tells.
    """
    of_host = {each for name, each in os.environ.items() if is_key_of_the_host(name) and len(each) >= _NO_WORD}
    return any(secret in value for secret in of_host.union(secrets_in(os.environ)))


def _in_connection(text: str) -> set[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    if not isinstance(content, dict):
        return set()
    secret = content.get("secrets")
    values = [value for key, value in content.items() if key not in _OPEN_KEYS and may_be_secret_name(str(key))]
    values += list(secret.values()) if isinstance(secret, dict) else []
    return {value for value in values if isinstance(value, str)}


@cache
def _of_process() -> tuple[str, ...]:
    return secrets_in(os.environ)


def hidden(text: str) -> str:
    """The text without the secrets of this process's settings, and without any that shows by its shape."""
    for secret in _of_process():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return masked(text)
