"""The end of a container's or a build's log, as a reason repeats it: in one line."""

from __future__ import annotations

from typing import Final

_LINES: Final = 12


def last_lines(log: bytes) -> str:
    """The last lines that are not empty; empty where there are none."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-_LINES:])
