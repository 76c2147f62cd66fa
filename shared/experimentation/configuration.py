"""Configurations: everything but the inputs that a line's result follows from, under one digest. Pure.

Lines with equal inputs under an equal configuration have the same result as far as anyone can know beforehand: that is
what reuse relies on, and what names a cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from shared.connections import Connection
from shared.digests import json_digest

SECRET: Final = re.compile(r"(?:^|_)(?:KEY|SECRET|PASSWORD|PWD|TOKEN|CREDENTIAL)$", re.IGNORECASE)
"""Variables that open doors, but do not change what is behind them: a rotated key is no change."""
SHORTEST_SECRET: Final = 16
"""Characters: a shorter value opens nothing, whatever its variable is called (`STOP_TOKEN`, `SORT_KEY`)."""


def configuration(
    content: str,
    parameters: Mapping[str, object],
    connections: Iterable[Connection],
    variables: Mapping[str, str],
    repetition: int = 0,
) -> str:
    """The digest of a configuration.

    Args:
        content: digest of the flow's content with its variants chosen (`shared/use_case/content.py`).
        parameters: those that the flow is run with, but not `inputs.…`, which are inputs.
        connections: those that the flow may use; their identity counts, their keys do not.
        variables: the flow's environment variables.
        repetition: from 0; a repetition must not find the results of the one before it.
    """
    what_it_is: dict[str, object] = {
        "content": content,
        "parameters": {key: value for key, value in parameters.items() if not key.startswith("inputs.")},
        "connections": sorted(connection.identity for connection in connections),
        "variables": {name: value for name, value in sorted(variables.items()) if not _is_secret(name, value)},
    }
    if repetition:
        what_it_is["repetition"] = repetition
    return json_digest(what_it_is)


def _is_secret(name: str, value: str) -> bool:
    return SECRET.search(name) is not None and len(value) >= SHORTEST_SECRET
