"""The arguments of a class flow's `__init__`: defaults, `init.json`, parameters, and connections put into them.

What is written goes before the file's defaults, and parameters before both; a parameter may reach into a mapping
(`init.model_config.azure_deployment`). `${…}` is taken from the environment.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from shared.adapters.local.engines.connections import as_arguments, as_configuration
from shared.adapters.local.engines.contract import FlowSource
from shared.adapters.local.engines.environment import init_file, init_references
from shared.adapters.local.engines.kinds import read_flow_file
from shared.adapters.local.engines.signature import annotations_of, signature_of, without_none
from shared.connections import Connection
from shared.errors import BusinessFailure

_OF_CONNECTIONS: Final = frozenset({"azure_endpoint", "api_version", "api_key", "base_url", "organization"})
"""Keys of a model configuration that a named connection brings, whatever is written."""
_MODEL_CONFIGURATIONS: Final = ("AzureOpenAIModelConfiguration", "OpenAIModelConfiguration")


class InitValues:
    """What one flow's class is made with."""

    def __init__(self, source: FlowSource) -> None:
        content = read_flow_file(source.folder, source.flow_file)
        declared = content.get("init")
        self._declared: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {}
        sample = (content.get("sample") or {}).get("init")
        self._written = init_file(source.folder) or (dict(sample) if isinstance(sample, Mapping) else {})
        self._where = f"{source.folder.name}/init.json"
        self._connections = source.connections

    def arguments(self, made: type, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments for the class, `parameters` being named without `init.`.

        Raises:
            BusinessFailure: the class takes no such argument, a variable is not set, or a connection is not given.
            InputError: an argument is missing or has the wrong type.
        """
        hints = annotations_of(made.__init__)  # type: ignore[misc]  # of the class itself, as it is asked for here
        takes = replace(signature_of(made, self._declared, {}, hints=hints), what="argument of __init__")
        known = takes.inputs
        written = {name: value for name, value in self._written.items() if name in known or takes.takes_any}
        given = {**self._defaults(known), **copy.deepcopy(written)}
        for key, value in parameters.items():
            name = key.partition(".")[0]
            if name not in known and not takes.takes_any:
                listed = ", ".join(map(repr, known)) or "none"
                raise BusinessFailure(
                    f"The parameter 'init.{key}' names no argument of {made.__name__}: it has {listed}."
                )
            _put(given, key, value)
        self._resolve(given)
        arguments = takes.bound(given)
        return {name: self._connected(name, value, hints.get(name)) for name, value in arguments.items()}

    def _defaults(self, names: Mapping[str, Any]) -> dict[str, Any]:
        entries = {name: entry for name, entry in self._declared.items() if name in names}
        defaults = {name: entry.get("default") for name, entry in entries.items() if isinstance(entry, Mapping)}
        return {name: copy.deepcopy(value) for name, value in defaults.items() if value not in (None, "")}

    def _resolve(self, given: dict[str, Any]) -> None:
        for place, variable in list(init_references(given)):
            holder = given if len(place) == 1 else given[place[0]]
            found = os.environ.get(variable)
            if found:
                holder[place[-1]] = found
            elif place[-1] not in _OF_CONNECTIONS or not holder.get("connection"):
                raise BusinessFailure(
                    f"{self._where}: {'.'.join(place)} is {holder[place[-1]]!r}, but the variable {variable} is not"
                    " set: set it in environment/env.yaml or where the host runs."
                )

    def _connected(self, name: str, value: Any, annotation: object) -> Any:
        kind = without_none(annotation)
        named = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
        if named.rpartition(".")[2] in _MODEL_CONFIGURATIONS and isinstance(value, Mapping):
            arguments = self._configuration(name, value)
            return kind(**arguments) if isinstance(kind, type) else arguments
        if named.endswith("Connection") and isinstance(value, str):
            arguments = as_arguments(self._connection(name, value))
            return kind(**arguments) if isinstance(kind, type) else arguments
        if isinstance(value, Mapping) and value.get("connection") in self._connections:
            return self._configuration(name, value)
        return value

    def _configuration(self, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        if not value.get("connection"):
            return {key: inner for key, inner in value.items() if key not in ("connection", "type")}
        return as_configuration(self._connection(name, str(value["connection"])), value)

    def _connection(self, name: str, connection: str) -> Connection:
        if connection not in self._connections:
            known = ", ".join(repr(known) for known in self._connections) or "none"
            raise BusinessFailure(
                f"{self._where}: {name} names the connection {connection!r}, but the use case has {known}."
            )
        return self._connections[connection]


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    name, dot, rest = key.partition(".")
    if not dot:
        values[name] = value
        return
    inner = values.get(name)
    values[name] = dict(inner) if isinstance(inner, Mapping) else {}
    _put(values[name], rest, value)
