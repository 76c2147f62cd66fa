"""Plays the webhook of a Teams workflow: takes a message with an Adaptive Card at an address that holds a signature."""

from __future__ import annotations

import json
import ssl
from typing import Any

from tests.servers.plain_http import Handler, LoopbackServer

SIGNATURE = "Zk3-planted-signature-of-the-webhook"


class Webhook(LoopbackServer):
    """`with` it, it serves at `address`; what was posted lies in `posted`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.posted: list[dict[str, Any]] = []
        self.faults: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the next answers."""
        super().__init__(self._handler(), tls)
        self.address = f"{self.url}/workflows/planted-path/triggers/manual/paths/invoke?sp=%2Ftriggers&sig={SIGNATURE}"

    def _handler(self) -> type[Handler]:
        webhook = self

        class Posts(Handler):
            def do_POST(self) -> None:  # noqa: N802
                body = json.loads(self.content())
                if webhook.faults:
                    status, headers = webhook.faults.pop(0)
                    return self.answer(status, b"{}", headers)
                if SIGNATURE not in self.path:
                    return self.answer(401, b"{}")
                webhook.posted.append(body)
                return self.answer(202, b"")

        return Posts
