"""Timer: resend outboxes that a crash left behind, expire approvals, reconcile runs."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import ports
from shared.housekeeping import sweep

blueprint = func.Blueprint()


@blueprint.timer_trigger(arg_name="timer", schedule="*/30 * * * * *", run_on_startup=False, use_monitor=True)
def housekeeping(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Sweep; missing a beat is harmless, for the next one does the same."""
    sweep(ports())
