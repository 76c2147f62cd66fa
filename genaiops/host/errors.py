"""What can keep the embedded host from starting; each text says what to change."""

from __future__ import annotations

from shared.errors import GenAIOpsError


class HostError(GenAIOpsError):
    """The host cannot start: a trigger it cannot serve, a missing setting, a taken port, another host in the home."""
