"""Connections in the forms that engines take: prompt flow's dictionaries, and keyword arguments for anybody's classes.

Nothing is stored and no keyring is asked. Nothing of prompt flow is imported: its classes are looked up by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.connections import Connection
from shared.errors import BusinessFailure
from shared.use_case.connection_types import API_TYPES, type_named

_MODULE: Final = "promptflow.connections"
_BASE_IS_CALLED: Final = {"openai": "base_url", "azure_content_safety": "endpoint"}
_WITH_TYPE: Final = {"azure": "azure", "azure_content_safety": "Content Safety"}


def engine_connections(connections: Mapping[str, Connection]) -> dict[str, dict[str, Any]]:
    """The connections as prompt flow takes them in memory. Raises BusinessFailure for an unknown `api_type`."""
    return {name: engine_form(connection) for name, connection in connections.items()}


def engine_form(connection: Connection) -> dict[str, Any]:
    """The connection as prompt flow's executor builds its own object from. It holds the key.

    Raises:
        BusinessFailure: an `api_type` that there is no connection of.
    """
    kind = type_named(connection.api_type)
    if kind is None:
        raise BusinessFailure(
            f"The connection {connection.name!r} has the api_type {connection.api_type!r}; it must be one of "
            f"{', '.join(API_TYPES)}."
        )
    own = {
        "api_key": connection.api_key,
        _BASE_IS_CALLED.get(kind.api_type, "api_base"): connection.api_base,
        "api_version": connection.api_version,
        "api_type": _WITH_TYPE.get(kind.api_type, ""),
    }
    # Prompt flow's classes have no defaults for an empty text, and take no key that they do not know.
    value = {key: text for key, text in own.items() if text} | dict(connection.configs) | dict(connection.secrets)
    form = {"type": kind.name, "name": connection.name, "module": _MODULE, "value": value}
    # Only of a custom connection: of the others, the class knows its secret.
    return {**form, "secret_keys": list(connection.secrets)} if connection.secrets else form


def as_configuration(connection: Connection, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A model configuration: where the connection leads, and the deployment or model that `settings` names."""
    if connection.api_type == "openai":
        where = {"base_url": connection.api_base, "api_key": connection.api_key}
        own = {key: settings[key] for key in ("model", "organization") if key in settings}
    else:
        where = {
            "azure_endpoint": connection.api_base,
            "api_version": connection.api_version,
            "api_key": connection.api_key,
        }
        own = {key: settings[key] for key in ("azure_deployment",) if key in settings}
    return {**where, **own}


def as_arguments(connection: Connection) -> dict[str, Any]:
    """The connection as keyword arguments of a class that is named as prompt flow names it."""
    values: dict[str, Any] = engine_form(connection)["value"]
    if connection.api_type != "custom":
        return values
    return {"configs": dict(connection.configs), "secrets": dict(connection.secrets), "name": connection.name}
