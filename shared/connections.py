"""Connections of every type, resolved: what a flow run or a served flow is given, with its keys.

`experiment.yaml` describes a connection; its values come from the environment and `.env`, and on a laptop a model
connection of which nothing is configured leads to the stand-in model. Keys never show: not in a
repr, not in a record, not in a report.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.connection_values import Values, checked, is_json, of_json
from shared.env_file import Variables
from shared.errors import BusinessFailure
from shared.use_case.connection_types import (
    AZURE,
    OPENAI,
    ConnectionType,
    names_of,
    type_named,
    web_address,
)
from shared.use_case.model import ConnectionSpec
from shared.use_case.references import connection_variables, is_placeholder, reference

__all__ = ["Connection", "Lacking", "MissingVariables", "NeededValue", "needed_values", "resolve"]

_STAND_IN_KEY: Final = "stand-in"


@dataclass(frozen=True)
class Connection:
    """One connection, resolved. Only the flow runner and the endpoints see the key."""

    name: str
    api_type: str
    """`azure`, `openai`, `azure_ai_search`, `azure_content_safety`, `serp`, `serverless` or `custom`."""
    api_base: str = field(repr=False)
    """May hold a user, a password or a query: `shown` leaves them out. Empty for `serp` and `custom`."""
    api_key: str = field(repr=False)
    """Empty for `custom`."""
    api_version: str = AZURE.defaults["api_version"]
    """Empty for types that have none."""
    stand_in: bool = False
    """Whether this is the stand-in model, because no connection of that name is configured."""
    configs: Mapping[str, str] = field(default_factory=dict)
    """Of a custom connection; of others, what they have beside the keys above."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of a custom connection."""
    kept_by: str = ""
    """Who has its values, where we have none: `Azure ML workspace <name>`. Such a connection is for plans alone."""

    @property
    def identity(self) -> str:
        """What answers behind it: results of equal identity may stand for each other. Without keys."""
        if self.stand_in or self.kept_by:
            return f"{self.name} {self.kept_by or 'stand-in'}"
        return json.dumps(
            [self.name, self.api_type, web_address(self.api_base), self.api_version, sorted(self.configs.items())]
        )

    @property
    def shown(self) -> str:
        """How people should read it; without the key."""
        if self.stand_in:
            return f"{self.name}: stand-in model (rules, not an LLM)"
        if self.kept_by:
            return f"{self.name}: {self.kept_by}"
        kind = type_named(self.api_type)
        return f"{self.name}: {web_address(self.api_base) or (kind.name if kind is not None else self.api_type)}"


@dataclass(frozen=True)
class Lacking:
    """A value of a connection that nobody has set."""

    connection: str
    key: str
    """As in `experiment.yaml`: `api_key`, or `secrets.token`."""
    variable: str
    """What to set."""


@dataclass(frozen=True)
class NeededValue:
    """A value of a connection that whoever resolves it looks for in the environment."""

    group: str
    """`configs`, `secrets`, or empty for the connection's own values."""
    key: str
    variable: str
    """Its variable, in the one spelling that every platform takes: capitals, digits and `_`."""


class MissingVariables(BusinessFailure):
    """Connections that are configured in part, or not at all and for which nothing can stand in."""

    def __init__(self, lacking: Iterable[Lacking], where_to_set: str) -> None:
        self.lacking = tuple(lacking)
        listed = "\n  ".join(f"{one.variable}: {one.key} of the connection {one.connection!r}" for one in self.lacking)
        super().__init__(f"Connections lack variables; set them {where_to_set}:\n  {listed}")


def resolve(
    specs: Iterable[ConnectionSpec], *, environment: Mapping[str, str], env_file: Path | None, stand_in_url: str | None
) -> dict[str, Connection]:
    """The connections that a use case describes, in their order.

    First the one variable is looked for that holds a whole connection as JSON, under its name or its name in capitals;
    then `<connection>_<name>` for every `${name}` of the description. Both are looked for in `environment`, then in
    `env_file` (which need not exist), and an empty value counts as none. A model connection of which nothing is
    configured is to the stand-in model at `stand_in_url`; None: it lacks its values, as any other.

    Raises:
        MissingVariables: listing every variable that is not set.
        BusinessFailure: a configured connection is not valid; it names variable, place, key and what was expected.
    """
    variables = Variables(environment, env_file)
    resolved: dict[str, Connection] = {}
    lacking: list[Lacking] = []
    for spec in specs:
        found = _resolved(spec, variables, stand_in_url)
        if isinstance(found, Connection):
            resolved[spec.name] = found
        else:
            lacking += found
    if lacking:
        raise MissingVariables(lacking, variables.where_to_set)
    return resolved


def needed_values(spec: ConnectionSpec) -> list[NeededValue]:
    """The values that `resolve` looks for in the environment: for a platform that gives them from a store of its own.

    A connection of which only the name is known is taken for one to Azure OpenAI.
    """
    kind = type_named(spec.connection_type or spec.values.get("api_type", "")) or AZURE
    found = []
    for place, key, written in _parts(spec, kind):
        if reference(written) is not None or not written or is_placeholder(written):
            variable = connection_variables(f"{spec.name}_{reference(written) or key}")[-1]
            found.append(NeededValue(place, key, variable))
    return found


def _resolved(spec: ConnectionSpec, variables: Variables, stand_in_url: str | None) -> Connection | list[Lacking]:
    described = bool(spec.connection_type or spec.values or spec.configs or spec.secrets)
    whole = variables.find(connection_variables(spec.name))
    # Beside a description, a variable of that name need not be meant for us: `search=https://…` is something else.
    if whole is not None and (is_json(whole.value) or not described):
        kind, values = of_json(spec, whole)
        return _connection(spec.name, kind, values)
    kind = type_named(spec.connection_type or spec.values.get("api_type", "")) or AZURE
    if not described:
        if stand_in_url is None:
            return [Lacking(spec.name, "api_key", spec.name)]
        return _stand_in(spec.name, kind, stand_in_url)
    collected = Values()
    lacking: list[Lacking] = []
    is_set = False
    for place, key, written in _parts(spec, kind):
        if reference(written) is None and written and not is_placeholder(written):
            collected.put(place, key, checked(spec.name, key, written))
            continue
        found = variables.find(_variables(spec.name, key, written))
        if found is None:
            shown = f"{place}.{key}" if place else key
            lacking.append(Lacking(spec.name, shown, f"{spec.name}_{reference(written) or key}"))
        else:
            is_set = True
            collected.put(place, key, checked(spec.name, key, found))
    if not lacking:
        return _connection(spec.name, kind, collected)
    if stand_in_url is None or is_set or not kind.is_model:
        return lacking
    return _stand_in(spec.name, kind, stand_in_url)


def _parts(spec: ConnectionSpec, kind: ConnectionType) -> list[tuple[str, str, str]]:
    """(`configs`, `secrets` or nothing; key; as it is written) of every value; empty for one that is only needed."""
    parts = [("", key, spec.values.get(key, "")) for key in kind.needs]
    parts += [("", key, written) for key, written in spec.values.items() if key not in kind.needs and key != "api_type"]
    parts += [("configs", key, written) for key, written in spec.configs.items()]
    return parts + [("secrets", key, written) for key, written in spec.secrets.items()]


def _variables(connection: str, key: str, written: str) -> list[str]:
    name = reference(written)
    keys = (name,) if name else names_of(key)
    return [variable for one in keys for variable in connection_variables(f"{connection}_{one}")]


def _connection(name: str, kind: ConnectionType, values: Values) -> Connection:
    own = {**kind.defaults, **values.own}
    organization = {"organization": own["organization"]} if "organization" in own else {}
    return Connection(
        name=name,
        api_type=kind.api_type,
        api_base=own.get("api_base", ""),
        api_key=own.get("api_key", ""),
        api_version=own.get("api_version", ""),
        configs={**organization, **values.configs},
        secrets=values.secrets,
    )


def _stand_in(name: str, kind: ConnectionType, url: str) -> Connection:
    # OpenAI's client takes its base address with the version, the others add what they need.
    return Connection(
        name=name,
        api_type=kind.api_type,
        api_base=f"{url}/v1" if kind is OPENAI else url,
        api_key=_STAND_IN_KEY,
        api_version=kind.defaults.get("api_version", ""),
        stand_in=True,
    )
