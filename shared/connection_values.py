"""Values of connections as they come from variables and files: read and checked, without showing one of them.

No error here may show a value, nor chain a parser's error, which holds it: the text may have the key in it.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from shared.env_file import Found
from shared.errors import BusinessFailure
from shared.use_case.connection_types import (
    API_TYPES,
    AZURE,
    CUSTOM,
    TYPE_NAMES,
    ConnectionType,
    first_name,
    type_named,
    web_address,
)
from shared.use_case.model import ConnectionSpec

_SHOWN: Final = 20
"""Characters of a wrong value that an error shows."""
_GROUPS: Final = ("configs", "secrets")


@dataclass
class Values:
    """The values of one connection, while they are collected."""

    own: dict[str, str] = field(default_factory=dict, repr=False)
    configs: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def put(self, group: str, key: str, value: str) -> None:
        """Keep a value: of `configs`, of `secrets`, or (an empty group) the connection's own."""
        {"": self.own, "configs": self.configs, "secrets": self.secrets}[group][key] = value


def checked(connection: str, key: str, value: str | Found) -> str:
    """One value that a file or a variable gives.

    Raises:
        BusinessFailure: it cannot be used; it names connection, key, and the variable it came from.
    """
    if isinstance(value, Found):
        return _checked(f"The connection {connection!r} (variable {value.variable} in {value.where})", key, value.value)
    return _checked(f"The connection {connection!r} in experiment.yaml", key, value)


def is_json(text: str) -> bool:
    """Whether a variable's text is meant to be a whole connection."""
    return text.lstrip().startswith("{")


def of_json(spec: ConnectionSpec, found: Found) -> tuple[ConnectionType, Values]:
    """A whole connection in one variable; its type is its `api_type`'s, or else the description's, or Azure OpenAI's.

    Raises:
        BusinessFailure: it is not valid; it names variable, place, key and what was expected.
    """
    place = f"The connection {found.variable!r} in {found.where}"
    kind = type_named(spec.connection_type or spec.values.get("api_type", "")) or AZURE
    try:
        content = json.loads(found.value)
    except RecursionError:
        raise BusinessFailure(f"{place} is nested too deeply; expected is {_expected(kind)}.") from None
    except ValueError as error:
        position = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BusinessFailure(f"{place} is not valid JSON{position}; expected is {_expected(kind)}.") from None
    if not isinstance(content, dict):
        raise BusinessFailure(f"{place} is a JSON {type(content).__name__}; expected is {_expected(kind)}.")
    kind = _kind(place, content, kind)
    values = Values()
    for written, value in content.items():
        key = first_name(written)
        # An api_version beside a type that has none was written by habit, and nobody reads it.
        is_idle = key == "api_version" and key not in kind.keys
        if written == "connection_type" or key == "api_type" or is_idle:
            continue
        if key not in kind.keys:
            raise BusinessFailure(f"{place} has the unknown key {_cut(written)}; the keys are {', '.join(kind.keys)}.")
        if key in _GROUPS:
            if not isinstance(value, dict):
                raise BusinessFailure(f"{place}: {key!r} must be a JSON object of texts.")
            for inner, text in value.items():
                values.put(key, inner, _checked(place, f"{key}.{inner}", text))
        elif key in values.own:
            raise BusinessFailure(f"{place} has the key {key!r} twice, under two of its names; remove one.")
        else:
            values.put("", key, _checked(place, key, value))
    for key in kind.needs:
        if key not in values.own:
            raise BusinessFailure(f"{place} lacks the key {key!r}; expected is {_expected(kind)}.")
    if kind is CUSTOM and not (values.configs or values.secrets):
        raise BusinessFailure(f"{place} is empty; expected is {_expected(kind)}.")
    return kind, values


def _kind(place: str, content: dict[str, object], described: ConnectionType) -> ConnectionType:
    for key, allowed in (("connection_type", TYPE_NAMES), ("api_type", API_TYPES)):
        written = content.get(key)
        if written is None:
            continue
        kind = type_named(_checked(place, key, written))
        if kind is None:
            raise BusinessFailure(f"{place}: {key!r} is {_cut(str(written))}; it must be one of {', '.join(allowed)}.")
        return kind
    return described


def _checked(place: str, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BusinessFailure(f"{place}: {key!r} must be a text that is not empty.")
    # They become headers and variables: a line break, a NUL or half of a character would fail only there.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise BusinessFailure(f"{place}: {key!r} holds a control character or half of a character; remove it.")
    if key == "api_base" and not web_address(value):
        raise BusinessFailure(f"{place}: 'api_base' must be an address that starts with https:// (or http://).")
    return value


def _expected(kind: ConnectionType) -> str:
    if kind is CUSTOM:
        return '{"configs": {"…": "…"}, "secrets": {"…": "…"}} in one line'
    samples = {"api_base": "https://…", "api_type": kind.api_type, **kind.defaults}
    keys = [*kind.needs, "api_type", *(key for key in kind.takes if key in kind.defaults)]
    return json.dumps({key: samples.get(key, "…") for key in keys}, ensure_ascii=False) + " in one line"


def _cut(value: str) -> str:
    """A value in an error: its beginning, for a key may have been put in the wrong place."""
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
