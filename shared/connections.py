"""Connections to models: read from the environment and `.env`, or to the stand-in model where none is configured.

A connection is one line `name={"api_key": "…", "api_base": "…", "api_type": "azure", "api_version": "2024-02-01"}` in
the environment or in `.env`. Its key never shows: not in a repr, not in a record, not in a report.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shared.errors import BusinessFailure
from shared.use_case.model import ConnectionSpec

_DEFAULT_VERSION: Final = "2024-02-01"
_SHOWN: Final = 20
"""Characters of a wrong value that an error shows."""
_TYPES: Final = ("azure", "openai")
_REQUIRED: Final = ("api_key", "api_base")
_KEYS: Final = (*_REQUIRED, "api_type", "api_version")
_EXPECTED: Final = (
    '{"api_key": "…", "api_base": "https://…", "api_type": "azure", "api_version": "2024-02-01"} in one line'
)


@dataclass(frozen=True)
class Connection:
    """One connection, resolved. Only the flow runner and the endpoints see the key."""

    name: str
    api_type: str
    """`azure` or `openai`."""
    api_base: str = field(repr=False)
    """May hold a user, a password or a query: `shown` leaves them out."""
    api_key: str = field(repr=False)
    api_version: str = _DEFAULT_VERSION
    stand_in: bool = False
    """Whether this is the stand-in model, because no connection of that name is configured."""
    configs: Mapping[str, str] = field(default_factory=dict)
    """Of a custom connection; of others, what they have beside the keys above."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of a custom connection."""

    @property
    def identity(self) -> str:
        """What answers behind it: results of equal identity may stand for each other. Without keys."""
        if self.stand_in:
            return f"{self.name} stand-in"
        return json.dumps(
            [self.name, self.api_type, _address(self.api_base), self.api_version, sorted(self.configs.items())]
        )

    @property
    def shown(self) -> str:
        """How people should read it; without the key."""
        if self.stand_in:
            return f"{self.name}: stand-in model (rules, not an LLM)"
        return f"{self.name}: {_address(self.api_base)}"


def resolve(
    specs: Iterable[ConnectionSpec], *, environment: Mapping[str, str], env_file: Path | None, stand_in_url: str
) -> dict[str, Connection]:
    """The connections that a use case describes, in their order.

    Each is looked for in `environment`, then in `env_file` (which need not exist); a name is also found in capitals. An
    empty value counts as none. Where none is configured, the connection is to the stand-in model at `stand_in_url`.

    Raises:
        BusinessFailure: a configured connection is not valid; it names variable, place, key and what was expected.
    """
    from_file = _read(env_file)
    resolved = {}
    for name in (spec.name for spec in specs):
        places = ((environment, "the environment"), (from_file, str(env_file)))
        found = next(
            (
                (variable, values[variable], where)
                for values, where in places
                for variable in (name, name.upper())
                if values.get(variable)
            ),
            None,
        )
        if found is None:
            resolved[name] = Connection(
                name=name, api_type="azure", api_base=stand_in_url, api_key="stand-in", stand_in=True
            )
        else:
            resolved[name] = _parsed(name, *found)
    return resolved


def _read(env_file: Path | None) -> dict[str, str]:
    if env_file is None or not env_file.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        # interpolate=False: a key may hold `${`, which is no reference.
        return {name: value or "" for name, value in dotenv_values(env_file, interpolate=False).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise BusinessFailure(f"{env_file} cannot be read: {type(error).__name__}. Save it as UTF-8 text.") from error


def _address(api_base: str) -> str:
    """Scheme, host and path: what stands before an `@` or after a `?` may be a secret. Empty: it is no web address."""
    try:
        parts = urlsplit(api_base)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _cut(value: str) -> str:
    """A value in an error: its beginning, for a key may have been put in the wrong place."""
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")


def _parsed(name: str, variable: str, text: str, where: str) -> Connection:
    # No error below may show the text, nor chain the parser's error, which holds it: the text has the key in it.
    place = f"The connection {variable!r} in {where}"
    try:
        values = json.loads(text)
    except RecursionError:
        raise BusinessFailure(f"{place} is nested too deeply; expected is {_EXPECTED}.") from None
    except ValueError as error:
        position = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BusinessFailure(f"{place} is not valid JSON{position}; expected is {_EXPECTED}.") from None
    if not isinstance(values, dict):
        raise BusinessFailure(f"{place} is a JSON {type(values).__name__}; expected is {_EXPECTED}.")
    for key in values:
        if key not in _KEYS:
            raise BusinessFailure(f"{place} has the unknown key {_cut(key)}; the keys are {', '.join(_KEYS)}.")
    for key in _REQUIRED:
        if key not in values:
            raise BusinessFailure(f"{place} lacks the key {key!r}; expected is {_EXPECTED}.")
    for key, value in values.items():
        if not isinstance(value, str) or not value.strip():
            raise BusinessFailure(f"{place}: {key!r} must be a text that is not empty.")
        # They become headers and variables: a line break, a NUL or half of a character would fail only there.
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
            raise BusinessFailure(f"{place}: {key!r} holds a control character or half of a character; remove it.")
    if not _address(values["api_base"]):
        raise BusinessFailure(f"{place}: 'api_base' must be an address that starts with https:// (or http://).")
    kind = values.get("api_type", "azure")
    if kind not in _TYPES:
        raise BusinessFailure(f"{place}: 'api_type' is {_cut(kind)}; it must be one of {', '.join(_TYPES)}.")
    return Connection(
        name=name,
        api_type=kind,
        api_base=values["api_base"],
        api_key=values["api_key"],
        api_version=values.get("api_version", _DEFAULT_VERSION),
    )
