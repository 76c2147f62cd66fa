"""Plays the ingestion endpoint of Application Insights: takes what the exporter sends, and keeps the decoded items.

The protocol is that of azure-monitor-opentelemetry-exporter: POST to `/v2.1/track` with a JSON list of envelopes,
compressed with gzip where the client says so, answered with how many were accepted. With a certificate it speaks TLS, as
it must for tokens; told to, it refuses, or answers slowly.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from typing import Any

from tests.servers.certificates import Certificate
from tests.servers.plain_http import Handler, LoopbackServer

KEY = "00000000-1111-2222-3333-444444444444"


class Ingestion(LoopbackServer):
    """`with Ingestion() as insights:` serves; `insights.connection_string` leads to it."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.bodies: list[bytes] = []
        """What was sent, decompressed: for tests that look for what may not be there."""
        self.envelopes: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        """The Authorization header of each request."""
        self.status = 200
        self.delay_s = 0.0
        self._lock = threading.Lock()
        super().__init__(self._handler(), certificate.server_context() if certificate is not None else None)
        self.connection_string = f"InstrumentationKey={KEY};IngestionEndpoint={self.url}/;LiveEndpoint={self.url}/live/"

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The items of a kind: `RequestData`, `MessageData`, `ExceptionData`, `EventData`, `MetricData`.

        Each with its `properties` (customDimensions), and its trace as `operation_id` and `operation_parent`.
        """
        with self._lock:
            found = [envelope for envelope in self.envelopes if envelope["data"]["baseType"] == kind]
        return [
            {
                **envelope["data"]["baseData"],
                "properties": envelope["data"]["baseData"].get("properties") or {},
                "operation_id": envelope["tags"].get("ai.operation.id"),
                "operation_parent": envelope["tags"].get("ai.operation.parentId"),
                "role": envelope["tags"].get("ai.cloud.role"),
                "time": envelope["time"],
            }
            for envelope in found
        ]

    def metrics(self, name: str) -> list[dict[str, Any]]:
        """The values of a metric, with its attributes as `properties`."""
        return [
            {**metric, "properties": item["properties"]}
            for item in self.items("MetricData")
            for metric in item["metrics"]
            if metric["name"] == name
        ]

    def _handler(self) -> type[Handler]:
        ingestion = self

        class Track(Handler):
            def do_POST(self) -> None:  # noqa: N802 - the standard library's name
                body = self.content()
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                time.sleep(ingestion.delay_s)
                sent = json.loads(body)
                is_track = self.path.rstrip("/").endswith("/track")
                status = ingestion.status if is_track else 404
                with ingestion._lock:
                    ingestion.bodies.append(body)
                    ingestion.tokens.append(self.headers.get("Authorization", ""))
                    if status == 200:
                        ingestion.envelopes += sent
                accepted = len(sent) if status == 200 else 0
                answer = {"itemsReceived": len(sent), "itemsAccepted": accepted, "errors": []}
                self.answer(status, json.dumps(answer).encode())

        return Track
