"""The part of `host.json` that the embedded host obeys, read once, with the defaults of the Azure host."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from genaiops.host.errors import HostError

_TIME_SPAN: Final = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,7})?)")


@dataclass(frozen=True)
class HostJson:
    """Settings of the host."""

    route_prefix: str = "api"
    max_concurrent_calls: int = 16
    """Messages of one queue without sessions that are handled side by side."""
    max_concurrent_sessions: int = 8
    """Sessions of one queue that are handled side by side."""
    session_idle: timedelta = timedelta(minutes=1)
    """How long an empty session is kept before another consumer may have it."""
    max_renewal: timedelta = timedelta(minutes=5)
    """How long the lock of a message is renewed at most."""


def read_host_json(source: Path | Mapping[str, Any]) -> HostJson:
    """Read a `host.json`, or its content.

    Raises:
        HostError: naming the file or the key, and what was expected.
    """
    if isinstance(source, Path):
        try:
            source = json.loads(source.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HostError(f"{source} cannot be read as JSON: {error}. It must lie beside function_app.py.") from error
    extensions = source.get("extensions", {}) if isinstance(source, Mapping) else {}
    http: Mapping[str, Any] = extensions.get("http", {})
    bus: Mapping[str, Any] = extensions.get("serviceBus", {})
    default = HostJson()
    return HostJson(
        route_prefix=str(http.get("routePrefix", default.route_prefix)).strip("/"),
        max_concurrent_calls=_count(bus, "maxConcurrentCalls", default.max_concurrent_calls),
        max_concurrent_sessions=_count(bus, "maxConcurrentSessions", default.max_concurrent_sessions),
        session_idle=_span(bus, "sessionIdleTimeout", default.session_idle),
        max_renewal=_span(bus, "maxAutoLockRenewalDuration", default.max_renewal),
    )


def _count(section: Mapping[str, Any], key: str, default: int) -> int:
    value = section.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise HostError(f"host.json: extensions.serviceBus.{key} is {value!r}; it must be a whole number from 1.")
    return value


def _span(section: Mapping[str, Any], key: str, default: timedelta) -> timedelta:
    value = section.get(key)
    if value is None:
        return default
    found = _TIME_SPAN.fullmatch(str(value))
    if found is None:
        raise HostError(f"host.json: extensions.serviceBus.{key} is {value!r}; it must be a time span like 00:00:30.")
    days, hours, minutes, seconds = found.groups()
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))
