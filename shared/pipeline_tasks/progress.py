"""Brings what waits for a chain up to date: log lines, a pending status, completion where its end is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.chain.state import Chain
    from shared.ports import Ports


def show(ports: Ports, chain: Chain) -> None:
    """Show what is new."""
