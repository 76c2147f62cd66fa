"""Plays Azure Monitor: metrics that another service of the stand-in counts, and autoscale settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.servers.management.server import Refused, Request, Response, Route, now
from tests.servers.management.workspace import RESOURCE_GROUP

AUTOSCALE = RESOURCE_GROUP + "/providers/Microsoft.Insights/autoscaleSettings/{name}"
METRICS = "/{resource*}/providers/Microsoft.Insights/metrics"

Series = tuple[Mapping[str, str], list[float]]
"""Values of one metric under one set of dimensions."""


class Monitor:
    """`counted` gives the series of a metric of a resource; `autoscale` holds the settings by name."""

    def __init__(self, counted: Callable[[str, str], list[Series]]) -> None:
        self._counted = counted
        self.autoscale: dict[str, dict[str, Any]] = {}

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", METRICS, self._metrics),
            Route("GET", AUTOSCALE, self._get),
            Route("PUT", AUTOSCALE, self._put),
            Route("DELETE", AUTOSCALE, self._delete),
        )

    def _metrics(self, request: Request) -> Response:
        metrics = []
        for name in request.query["metricnames"].split(","):
            dimensions = [part.split()[0] for part in request.query.get("$filter", "").split(" and ") if part]
            merged: dict[tuple[str, ...], list[float]] = {}
            for labels, values in self._counted(f"/{request['resource']}", name):
                unknown = [each for each in dimensions if each not in labels]
                if unknown:
                    raise Refused(400, "BadRequest", f"The metric {name} has no dimension {unknown[0]}.")
                merged.setdefault(tuple(labels[each] for each in dimensions), []).extend(values)
            series = [
                {
                    "metadatavalues": [
                        # Azure Monitor answers with dimensions in lower case.
                        {"name": {"value": each.lower(), "localizedValue": each.lower()}, "value": value}
                        for each, value in zip(dimensions, labels, strict=True)
                    ],
                    "data": [{"timeStamp": now(), "average": value} for value in values] + [{"timeStamp": now()}],
                }
                for labels, values in merged.items()
            ]
            metrics.append({"name": {"value": name, "localizedValue": name}, "unit": "Count", "timeseries": series})
        return Response({"timespan": request.query["timespan"], "interval": "PT1M", "value": metrics})

    def _get(self, request: Request) -> Response:
        if request["name"] not in self.autoscale:
            raise Refused(404, "ResourceNotFound", f"There is no autoscale setting {request['name']!r}.")
        return Response(self.autoscale[request["name"]])

    def _put(self, request: Request) -> Response:
        is_new = request["name"] not in self.autoscale
        self.autoscale[request["name"]] = {"id": request.path, "name": request["name"], **request.json}
        return Response(self.autoscale[request["name"]], 201 if is_new else 200)

    def _delete(self, request: Request) -> Response:
        return Response(None, 200 if self.autoscale.pop(request["name"], None) else 204)
