"""The connections that the use cases under `flows/` describe, and for which of them the stand-in model answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from shared import model_connections
from shared.connections import MissingVariables
from shared.use_case.model import ConnectionSpec

if TYPE_CHECKING:
    from shared.settings import Settings

_log: Final = logging.getLogger(__name__)


def described(settings: Settings) -> tuple[ConnectionSpec, ...]:
    """Every different description of a connection, in any environment; a use case that is not valid has none."""
    from shared.use_case.load import DEFAULT_ENVIRONMENT, load
    from shared.use_case.problems import InvalidUseCase
    from shared.use_case.sources import EXPERIMENT, overlays

    found: list[ConnectionSpec] = []
    for file in sorted(settings.flows.glob(f"*/{EXPERIMENT}")):
        for environment in sorted({DEFAULT_ENVIRONMENT, *overlays(file.parent)}):
            try:
                use_case = load(file.parent, environment, data=settings.data, read_data=False)
            except InvalidUseCase as error:
                _log.warning("%s (%s) cannot be used: %s", file.parent, environment, error)
                break
            found += [spec for spec in use_case.connections if spec not in found]
    return tuple(found)


def of_stand_in(settings: Settings, specs: Iterable[ConnectionSpec]) -> tuple[str, ...]:
    """Names of those that are not configured, so that the stand-in model answers.

    One that lacks a variable is told in the log: use cases that do not need it can be run all the same.

    Raises:
        BusinessFailure: one is configured wrongly.
    """
    names: set[str] = set()
    for spec in specs:
        try:
            resolved = model_connections.resolved(settings, [spec])
        except MissingVariables as error:
            _log.warning("%s", error)
            continue
        names.update(connection.name for connection in resolved.values() if connection.stand_in)
    return tuple(sorted(names))
