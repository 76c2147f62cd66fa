"""Plays the Email REST of Azure Communication Services, which the SDK azure-communication-email talks to over TLS.

POST /emails:send (202 with an operation that ends later) and GET /emails/operations/<id>, version 2025-09-01:
https://learn.microsoft.com/rest/api/communication/email/email. What it does with a repeated Operation-Id is not
documented: it answers 409, which a client that looks first never meets.
"""

from __future__ import annotations

import json
import ssl
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.plain_http import Handler, LoopbackServer


class CommunicationServices(LoopbackServer):
    """`with` it, it serves; what was sent lies in `sent`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.sent: dict[str, dict[str, Any]] = {}
        """Operation → the message."""
        self.looks_until_done = 1
        self.suppressed: set[str] = set()
        """Addresses that the service sends nothing to any more."""
        self.faults: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the next answers to POST."""
        self.authorizations: list[str] = []
        self._looks: dict[str, int] = {}
        self._lock = threading.Lock()
        super().__init__(self._handler(), tls)

    def _handler(self) -> type[Handler]:
        service = self

        class Emails(Handler):
            def do_POST(self) -> None:  # noqa: N802
                body = json.loads(self.content())
                operation = self.headers["Operation-Id"]
                with service._lock:
                    service.authorizations.append(self.headers.get("Authorization", ""))
                    if service.faults:
                        status, headers = service.faults.pop(0)
                        return self._error(status, "Told", headers)
                    if operation in service.sent:
                        return self._error(409, "OperationExists", {})
                    service.sent[operation] = body
                    service._looks[operation] = 0
                location = f"{service.url}/emails/operations/{operation}?api-version=2025-09-01"
                said = json.dumps({"id": operation, "status": "Running", "error": None}).encode()
                return self.answer(202, said, {"Operation-Location": location})

            def do_GET(self) -> None:  # noqa: N802
                parts = urlsplit(self.path)
                operation = parts.path.rpartition("/")[2]
                if parse_qs(parts.query).get("api-version") != ["2025-09-01"]:
                    return self._error(400, "InvalidApiVersion", {})
                with service._lock:
                    if operation not in service.sent:
                        return self._error(404, "OperationNotFound", {})
                    service._looks[operation] += 1
                    done = service._looks[operation] > service.looks_until_done
                    to = {each["address"] for each in service.sent[operation]["recipients"]["to"]}
                answer: dict[str, Any] = {"id": operation, "status": "Succeeded" if done else "Running"}
                if done and to <= service.suppressed:
                    code = "EmailDroppedAllRecipientsSuppressed"
                    answer |= {"status": "Failed", "error": {"code": code, "message": "All recipients are suppressed."}}
                return self.answer(200, json.dumps(answer).encode())

            def _error(self, status: int, code: str, headers: dict[str, str]) -> None:
                self.answer(status, json.dumps({"error": {"code": code, "message": code}}).encode(), headers)

        return Emails
