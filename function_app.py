"""The one FunctionApp: registers the blueprint of every trigger in `functions/`.

The Azure Functions host and the embedded host (`genaiops/host`) both load this module. Importing it must stay fast, for
its time is the cold start: SDKs are imported where they are used.

Where settings are missing or wrong only the pages are registered: messages then wait in their queues, untouched,
instead of failing until they are dead letters, and log and pages say why. Setting an app setting restarts the app, and
the restart registers the triggers anew:
https://learn.microsoft.com/azure/azure-functions/functions-deployment-technologies#trigger-syncing
"""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Final

import azure.functions as func

from functions import (
    approvals,
    chain_events,
    chain_requests,
    chains,
    dataset_changes,
    dead_letters,
    deployment,
    evaluation,
    experimentation,
    housekeeping,
    notification,
    registration,
    reporting,
    run_events,
)
from shared import settings
from shared.telemetry import logs

TRIGGERS: Final = (
    chain_requests,
    dataset_changes,
    run_events,
    chain_events,
    experimentation,
    evaluation,
    registration,
    deployment,
    reporting,
    notification,
    approvals,
    chains,
    housekeeping,
    dead_letters,
)

PAGES: Final = (approvals, chains)


def usable() -> tuple[ModuleType, ...]:
    """The triggers that can work with the settings as they are."""
    try:
        settings.read()
    except settings.InvalidSettings as error:
        logging.getLogger("genaiops.settings").error(  # noqa: TRY400 - the message is all there is to know
            "No message is taken before this is set right. %s", error
        )
        return PAGES
    return TRIGGERS


logs.clean()
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
for trigger in usable():
    app.register_functions(trigger.blueprint)
