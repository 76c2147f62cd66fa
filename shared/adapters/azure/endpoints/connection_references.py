"""How a served flow in Azure ML gets its connections: by references to the workspace's, which the platform fills in.

The endpoint's own identity reads them when an instance starts, so that no key passes through this product:
https://learn.microsoft.com/azure/machine-learning/how-to-deploy-online-endpoint-with-secret-injection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shared.connections import needed_values
from shared.use_case.connection_types import AZURE, first_name
from shared.use_case.model import ConnectionSpec

_METADATA: Final = {"api_version": "ApiVersion", "organization": "Organization", "api_type": "ApiType"}
"""Keys of a connection → what the workspace's connection calls them."""


def references(connections: Iterable[ConnectionSpec]) -> dict[str, str]:
    """The container's variables → references to values of the workspace's connections of the same names."""
    found = {}
    for spec in connections:
        for value in needed_values(spec):
            found[value.variable] = f"${{{{azureml://connections/{spec.name}/{_part(value.group, value.key)}}}}}"
    return found


def described(connections: Iterable[ConnectionSpec]) -> tuple[ConnectionSpec, ...]:
    """The connections for the container, where those that have a name alone are taken for ones to Azure OpenAI.

    A container could resolve such a one from a variable with all of it as JSON alone, which no workspace gives.
    """
    return tuple(
        spec
        if spec.connection_type or spec.values or spec.configs or spec.secrets
        else ConnectionSpec(spec.name, connection_type=AZURE.name)
        for spec in connections
    )


def _part(group: str, key: str) -> str:
    if group == "secrets":
        return f"credentials/{key}"
    if group == "configs":
        return f"metadata/{key}"
    match first_name(key):
        case "api_key":
            return "credentials/key"
        case "api_base":
            return "target"
        case _:
            return f"metadata/{_METADATA.get(key, key)}"
