"""OpenTelemetry's SDK with Azure Monitor's exporter, opened and used by the pipe's thread alone.

What the SDKs tell their makers about themselves is off, and so is what they ask them for: nothing is contacted but the
ingestion endpoint of the connection string (and the identity endpoint, where Application Insights asks for a token).
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from shared.settings import Settings
from shared.telemetry.names import Attribute, Metric
from shared.telemetry.pipe import Sink
from shared.telemetry.signals import Happening, Levels, Line, Measurement, Role, Signal, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from azure.core.credentials import TokenCredential
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
    from opentelemetry.trace import SpanContext

_QUIET: Final = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
    "AZURE_TRACING_ENABLED": "false",
}
"""The exporter's statistics about itself, its remote configuration, a metric that repeats what is known
(https://learn.microsoft.com/azure/azure-monitor/app/statsbeat), and the spans that azure-core makes of every request as
soon as OpenTelemetry is imported. Whoever sets one of these has the last word."""
SPANS_MS: Final = 1_000
METRICS_MS: Final = 30_000
TIMEOUT_S: Final = 10.0
_EVENT: Final = "microsoft.custom_event.name"
"""An attribute that makes an event of a log record:
https://learn.microsoft.com/azure/azure-monitor/app/opentelemetry-add-modify#send-custom-events."""
_SECONDS: Final = frozenset(
    {Metric.QUEUE_DELAY, Metric.STEP_DURATION, Metric.CHAIN_AGE, Metric.CHAIN_DURATION, Metric.OLDEST_STEP}
)
_HISTOGRAMS: Final = _SECONDS - {Metric.OLDEST_STEP}
_LEVELS: Final = (Metric.OPEN_CHAINS, Metric.OLDEST_STEP)


def open_sink(settings: Settings, credential: TokenCredential | None = None) -> Sink:
    """Import the SDK and open the exporters of a connection string.

    The credential counts where Application Insights takes no others; it needs the role Monitoring Metrics Publisher.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for chatty in ("azure.monitor.opentelemetry", "azure.core.pipeline.policies.http_logging_policy"):
        if logging.getLogger(chatty).level == logging.NOTSET:
            logging.getLogger(chatty).setLevel(logging.WARNING)  # else each sending is a line in the log
    return _OpenTelemetry(settings, credential if settings.telemetry_by_identity else None)


class _OpenTelemetry:
    def __init__(self, settings: Settings, credential: TokenCredential | None) -> None:
        from azure.monitor.opentelemetry.exporter import (
            AzureMonitorLogExporter,
            AzureMonitorMetricExporter,
            AzureMonitorTraceExporter,
        )
        from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        # Without the folder of unsent telemetry: it would lie readable on a disk that other apps may share.
        options: dict[str, Any] = {
            "connection_string": settings.application_insights,
            "credential": credential,
            "disable_offline_storage": True,
            "timeout": TIMEOUT_S,
        }
        resource = Resource.create(
            {
                "service.name": os.environ.get("WEBSITE_SITE_NAME") or "genaiops",
                "service.instance.id": os.environ.get("WEBSITE_INSTANCE_ID") or f"process-{os.getpid()}",
            }
        )
        self._ids = _ids()
        self._traces = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._traces.add_span_processor(
            BatchSpanProcessor(AzureMonitorTraceExporter(**options), schedule_delay_millis=SPANS_MS)
        )
        self._logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._logs.add_log_record_processor(
            BatchLogRecordProcessor(AzureMonitorLogExporter(**options), schedule_delay_millis=SPANS_MS)
        )
        reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options), export_interval_millis=METRICS_MS)
        self._metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer("genaiops")
        self._handler = LoggingHandler(logger_provider=self._logs)
        meter = self._metrics.get_meter("genaiops")
        self._histograms: dict[Metric, Histogram] = {
            metric: meter.create_histogram(metric, unit="s") for metric in _HISTOGRAMS
        }
        self._counters: dict[Metric, Counter] = {
            metric: meter.create_counter(metric) for metric in Metric if metric not in (*_HISTOGRAMS, *_LEVELS)
        }
        self._levels = {metric: _Latest() for metric in _LEVELS}
        for metric, latest in self._levels.items():
            meter.create_observable_gauge(metric, callbacks=[latest], unit="s" if metric in _SECONDS else "1")

    def take(self, signal: Signal) -> None:
        """Hand a signal to the SDK."""
        match signal:
            case Span():
                self._span(signal)
            case Measurement(metric, value, attributes):
                if metric in _HISTOGRAMS:
                    self._histograms[metric].record(value, dict(attributes))
                else:
                    self._counters[metric].add(value, dict(attributes))
            case Levels(metric, values):
                self._levels[metric].see(values)
            case Happening():
                self._happening(signal)
            case Line():
                self._line(signal)

    def flush(self) -> None:
        """Send all that was taken."""
        self._traces.force_flush()
        self._logs.force_flush()
        self._metrics.force_flush()

    def close(self) -> None:
        """Send all that was taken, and stop."""
        self._traces.shutdown()
        self._logs.shutdown()  # type: ignore[no-untyped-call]
        self._metrics.shutdown()

    def _span(self, span: Span) -> None:
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode

        kind = SpanKind.SERVER if span.role is Role.PAGE else SpanKind.CONSUMER  # both are requests in Azure Monitor
        attributes = {**span.attributes, **_conventional(span)}
        self._ids.next_ids = (span.trace_id, span.span_id)
        started = self._tracer.start_span(
            span.name,
            context=None if span.parent_id is None else _context(span.trace_id, span.parent_id),
            kind=kind,
            attributes=attributes,
            links=[Link(_span_context(*link)) for link in span.links],
            start_time=span.started_ns,
        )
        if span.failure is not None:
            started.set_status(Status(StatusCode.ERROR, span.failure[:1_000]))
        started.end(span.ended_ns)

    def _happening(self, happening: Happening) -> None:
        record = logging.makeLogRecord({_EVENT: str(happening.event), **happening.attributes})
        record.name, record.msg, record.created = "genaiops.events", str(happening.event), happening.at_ns / 1e9
        record.levelno, record.levelname = logging.INFO, "INFO"
        self._emit(record, happening.trace_id, happening.span_id)

    def _line(self, line: Line) -> None:
        record = line.record
        for name, value in {**line.attributes, str(Attribute.LOGGER): record.name}.items():
            record.__dict__[name] = value
        if record.exc_text:
            last = record.exc_text.rstrip().rpartition("\n")[2]
            record.__dict__["exception.type"] = last.partition(":")[0][:200]
            record.__dict__["exception.message"] = last[:2_000]
            record.__dict__["exception.stacktrace"] = record.exc_text
            record.exc_text = None
        self._emit(record, line.trace_id, line.span_id)

    def _emit(self, record: logging.LogRecord, trace_id: int, span_id: int) -> None:
        from opentelemetry import context

        token = context.attach(_context(trace_id, span_id)) if trace_id else None
        try:
            self._handler.emit(record)
        finally:
            if token is not None:
                context.detach(token)


class _Latest:
    """What was seen since the last time that somebody asked: an old state is not told again by an idle instance."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: tuple[tuple[float, Any], ...] = ()

    def see(self, values: tuple[tuple[float, Any], ...]) -> None:
        with self._lock:
            self._values = values

    def __call__(self, _: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        with self._lock:
            values, self._values = self._values, ()
        return [Observation(value, dict(attributes)) for value, attributes in values]


def _conventional(span: Span) -> dict[str, str | int | float]:
    """The attributes by which the exporter fills in where a request came from, and how it was answered."""
    if span.role is Role.PAGE:
        status = span.attributes.get("outcome", "")
        code = {"http.response.status_code": int(status)} if str(status).isdecimal() else {}
        return {"http.request.method": span.name.partition(" ")[0], **code}
    queue = span.attributes.get("queue")
    return {} if queue is None else {"messaging.system": "servicebus", "messaging.destination": queue}


def _ids() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Given(RandomIdGenerator):
        """The ids that a span has had since it began, long before the SDK hears of it."""

        next_ids: tuple[int, int] = (0, 0)

        def generate_trace_id(self) -> int:
            return self.next_ids[0] or super().generate_trace_id()

        def generate_span_id(self) -> int:
            return self.next_ids[1] or super().generate_span_id()

    return Given()


def _span_context(trace_id: int, span_id: int) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _context(trace_id: int, span_id: int) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return set_span_in_context(NonRecordingSpan(_span_context(trace_id, span_id)), Context())
