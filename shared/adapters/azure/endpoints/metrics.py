"""What Azure Monitor counted of an online endpoint: requests, errors and latency by deployment, over the last day.

They come some minutes late, and are the only counts there are: whoever may not read them sees none, and nothing fails.
https://learn.microsoft.com/azure/machine-learning/monitor-azure-machine-learning-reference (onlineEndpoints).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.adapters.azure.arm import ResourceManager
from shared.errors import GenAIOpsError

API: Final = "2023-10-01"
ROLE: Final = "Monitoring Reader"
SPAN: Final = timedelta(days=1)
_REQUESTS: Final = "RequestsPerMinute"
_P50, _P95 = "RequestLatency_P50", "RequestLatency_P95"

log = logging.getLogger("genaiops.endpoints")


@dataclass
class Measured:
    """Of one deployment. Latencies in milliseconds: means of the minutes' percentiles."""

    requests: int = 0
    errors: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None


def measured(manager: ResourceManager, endpoint_id: str, now: datetime) -> dict[str, Measured]:
    """Counts by deployment; empty where they cannot be read."""
    span = f"{(now - SPAN).strftime('%Y-%m-%dT%H:%M:%SZ')}/{now.strftime('%Y-%m-%dT%H:%M:%SZ')}"

    def asked(names: Iterable[str], dimensions: str) -> Any:
        parameters = {
            "metricnames": ",".join(names),
            "timespan": span,
            "interval": "PT1M",
            "aggregation": "Average",
            "$filter": dimensions,
        }
        path = f"{endpoint_id}/providers/Microsoft.Insights/metrics"
        return manager.request("GET", path, API, role=ROLE, parameters=parameters)

    found: dict[str, Measured] = {}
    try:
        for _, labels, values in _series(asked([_REQUESTS], "deployment eq '*' and statusCodeClass eq '*'")):
            one = found.setdefault(labels.get("deployment", ""), Measured())
            count = round(sum(values))
            one.requests += count
            one.errors += 0 if labels.get("statuscodeclass", "2xx").startswith(("2", "3")) else count
        for name, labels, values in _series(asked([_P50, _P95], "deployment eq '*'")):
            if values:
                one = found.setdefault(labels.get("deployment", ""), Measured())
                mean = sum(values) / len(values)
                if name == _P50:
                    one.latency_p50_ms = mean
                else:
                    one.latency_p95_ms = mean
    except GenAIOpsError as error:
        log.info("There are no counts of %s: %s", endpoint_id, error)
    return found


def _series(answer: Any) -> Iterator[tuple[str, Mapping[str, str], list[float]]]:
    """(metric, dimensions in lower case, values) of every series."""
    for metric in (answer or {}).get("value", []):
        for series in metric.get("timeseries", []):
            labels = {each["name"]["value"].lower(): each["value"] for each in series.get("metadatavalues", [])}
            values = [point["average"] for point in series.get("data", []) if point.get("average") is not None]
            yield metric["name"]["value"], labels, values
