"""The model connections of a use case in this installation.

On a laptop they come from the environment and `.env`, or lead to the stand-in model where nothing is configured.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from shared.connections import Connection, resolve
from shared.settings import Settings
from shared.use_case.model import ConnectionSpec


def resolved(settings: Settings, specs: Sequence[ConnectionSpec]) -> dict[str, Connection]:
    """Connections by name. Raises BusinessFailure where one is configured wrongly."""
    return resolve(specs, environment=os.environ, env_file=settings.env_file, stand_in_url=settings.stand_in_url)
