"""Connections in the forms that engines take: prompt flow's dictionaries, and keyword arguments for anybody's classes.

Nothing is stored and no keyring is asked; nothing of prompt flow is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.adapters.local.engine_connections import engine_form
from shared.connections import Connection


def engine_connections(connections: Mapping[str, Connection]) -> dict[str, dict[str, Any]]:
    """The connections as prompt flow takes them in memory. Raises BusinessFailure for an unknown `api_type`."""
    return {name: engine_form(connection) for name, connection in connections.items()}


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
