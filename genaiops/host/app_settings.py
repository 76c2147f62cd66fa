"""The app settings that bindings name, from this product's settings: the embedded host's `local.settings.json`."""

from __future__ import annotations

import os

from shared.settings import Settings, queue_variable


def app_settings(settings: Settings) -> dict[str, str]:
    """The environment, with the queue names of `settings` where it says nothing."""
    return {queue_variable(queue): name for queue, name in settings.queues.items()} | dict(os.environ)
