"""The one FunctionApp: registers the blueprint of every trigger in `functions/`.

The Azure Functions host and the embedded host (`genaiops/host`) both load this module. Importing it must stay fast, for
its time is the cold start: SDKs are imported where they are used.
"""

from __future__ import annotations

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

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
for trigger in TRIGGERS:
    app.register_functions(trigger.blueprint)
