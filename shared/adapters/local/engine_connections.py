"""Connections in the form that prompt flow takes in memory: nothing is stored, no keyring is asked.

Nothing of prompt flow is imported: the results are plain dictionaries, whose classes the engine looks up by name.
"""

from __future__ import annotations

from typing import Any, Final

from shared.connections import Connection
from shared.errors import BusinessFailure
from shared.use_case.connection_types import API_TYPES, type_named

_MODULE: Final = "promptflow.connections"
_BASE_IS_CALLED: Final = {"openai": "base_url", "azure_content_safety": "endpoint"}
_WITH_TYPE: Final = {"azure": "azure", "azure_content_safety": "Content Safety"}


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
