"""One trace per chain: its id follows from the chain's, so that whoever handles a message of the chain knows it. Pure.

Parents travel with the messages, in the property `traceparent` (https://www.w3.org/TR/trace-context/); a message
without one hangs below the chain's own span, whose id follows from the chain's, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

TRACEPARENT: Final = "traceparent"
_CARRIERS: Final = (TRACEPARENT, "Diagnostic-Id")
"""The second is how Service Bus clients of .NET, and so a pipeline's task, name it:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-end-to-end-tracing."""
_FORMAT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def trace_of(chain: str) -> int:
    """The chain's trace id: 16 bytes, never 0."""
    return int.from_bytes(_digest(chain)[:16], "big") or 1


def root_of(chain: str) -> int:
    """The id of the span that is the whole chain: 8 bytes, never 0."""
    return int.from_bytes(_digest(chain)[16:24], "big") or 1


def header(trace_id: int, span_id: int) -> str:
    """The header that names a span."""
    return f"00-{trace_id:032x}-{span_id:016x}-01"


def found(properties: Mapping[str, str]) -> tuple[int, int] | None:
    """Trace and span that a message's properties name; None where they name none."""
    for name in _CARRIERS:
        named = _FORMAT.fullmatch(properties.get(name, "").strip().lower())
        if named is not None and int(named[1], 16) and int(named[2], 16):
            return int(named[1], 16), int(named[2], 16)
    return None


def _digest(chain: str) -> bytes:
    return hashlib.sha256(f"genaiops chain {chain}".encode()).digest()
