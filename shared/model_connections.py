"""What an installation gives a use case: its connections, and the variables of its flows.

On a laptop both come from the environment and `.env`; connections to models that are not configured lead to the
stand-in model.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from shared.connections import Connection, resolve
from shared.settings import Settings
from shared.use_case import variables
from shared.use_case.model import ConnectionSpec, UseCase


def resolved(settings: Settings, specs: Iterable[ConnectionSpec]) -> dict[str, Connection]:
    """Connections by name. Raises BusinessFailure where one is configured wrongly, or in part."""
    return resolve(specs, environment=os.environ, env_file=settings.env_file, stand_in_url=settings.stand_in_url)


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
