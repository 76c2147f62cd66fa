"""Telemetry: what a chain did and how long it took, for Application Insights. It can fail no message and delay none.

A handler runs inside `handling`, which collects facts; when it ends they become one span of the chain's trace. Spans,
measurements, happenings and log lines go through the `pipe` to one thread, which alone knows OpenTelemetry. Without a
connection string nothing is collected, and no SDK is imported.

    names.py                   the names of what is emitted; the how-to's queries use no others
    trace.py                   trace ids, derived from the chain's id, and the header `traceparent`
    signals.py                 what goes through the pipe, as values
    handling.py                one message or page under way
    chains.py                  what a change of a chain's state means: steps, ends, ages
    pipe.py                    from any thread to the one that sends
    application_insights.py    OpenTelemetry's SDK and Azure Monitor's exporter
    logs.py                    log lines into the pipe; secrets out of every log line of the process
"""

from __future__ import annotations

from shared.telemetry.handling import Handling, carried, current, handling
from shared.telemetry.pipe import identify, start, stop

__all__ = ["Handling", "carried", "current", "handling", "identify", "start", "stop"]
