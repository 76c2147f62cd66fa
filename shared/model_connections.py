"""What an installation gives a use case: its connections, and the variables of its flows.

On a laptop both come from the environment and `.env`; connections to models that are not configured lead to the
stand-in model. In Azure the workspace has the connections of runs and the endpoint those of a served flow; the app has
a connection only where it is set there, and no stand-in for any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from shared.connections import Connection, MissingVariables, resolve
from shared.settings import Settings
from shared.use_case import variables
from shared.use_case.connection_types import AZURE, type_named
from shared.use_case.model import ConnectionSpec, UseCase


def resolved(settings: Settings, specs: Iterable[ConnectionSpec]) -> dict[str, Connection]:
    """Connections by name; under the azure profile only those that are configured here, to plan with and to redact.

    Raises:
        BusinessFailure: one is configured wrongly, or (on a laptop) in part.
    """
    if settings.azure is None:
        return resolve(specs, environment=os.environ, env_file=settings.env_file, stand_in_url=settings.stand_in_url)
    found: dict[str, Connection] = {}
    for spec in specs:
        with suppress(MissingVariables):  # the platform has it, or says in the run's or the deployment's error that not
            found |= resolve([spec], environment=os.environ, env_file=settings.env_file, stand_in_url=None)
    return found


def planned(settings: Settings, specs: Iterable[ConnectionSpec]) -> dict[str, Connection]:
    """Every connection, for plans: what answers behind it, whoever has its values. Raises as `resolved` does."""
    listed = tuple(specs)
    found = resolved(settings, listed)
    if settings.azure is None:
        return found
    keeper = f"Azure ML workspace {settings.azure.workspace}"
    return {spec.name: found.get(spec.name) or _kept(spec, keeper) for spec in listed}


def _kept(spec: ConnectionSpec, keeper: str) -> Connection:
    kind = type_named(spec.connection_type or spec.values.get("api_type", "")) or AZURE
    return Connection(spec.name, kind.api_type, api_base="", api_key="", kept_by=keeper)


def variables_of(settings: Settings, use_case: UseCase) -> dict[str, str]:
    """Variables for every flow of the use case. Raises BusinessFailure that lists those that are not set."""
    return variables.resolved(use_case, os.environ, settings.env_file)


def served_variables(use_case: UseCase) -> dict[str, str]:
    """Variables for the use case's served flow, as they are written: a text or `${NAME}`, so that no secret is in it.

    Those of its deployment go before those of all its flows.
    """
    own = use_case.deployment.environment_variables if use_case.deployment is not None else {}
    return variables.given({**use_case.variables, **own}, use_case.connections)


def filled_in(settings: Settings, written: Mapping[str, str]) -> dict[str, str]:
    """Variables as they are written, with their values here. Raises BusinessFailure that lists those not set."""
    return variables.filled_in(written, os.environ, settings.env_file)
