"""Log lines as JSON, one object a line, without secrets: what hosts of containers collect and search."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from shared.redaction import Redaction

_LONGEST = 16_000
"""Characters of a message: Docker's log driver splits lines at 16 KiB."""


class JsonLines:
    """Writes to a file descriptor. Safe for threads and processes: each line is one write."""

    def __init__(self, fd: int, redacted: Redaction) -> None:
        self._fd = fd
        self._redacted = redacted

    def shown(self, text: str) -> str:
        """A text without secrets."""
        return self._redacted(text)

    def __call__(self, level: str, message: str, **fields: str | float | None) -> None:
        """Write a line; fields that are None are left out."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        shown = {
            name: self._redacted(value)[:_LONGEST] if isinstance(value, str) else value
            for name, value in fields.items()
            if value is not None
        }
        line = {"time": now, "level": level, "message": self._redacted(message)[:_LONGEST], **shown}
        try:
            os.write(self._fd, json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n")
        except OSError:
            return  # nobody collects them any more: serving goes on
