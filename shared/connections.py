"""Connections to models: read from the environment and `.env`, or to the stand-in model where none is configured.

A connection is one line `name={"api_key": "…", "api_base": "…", "api_type": "azure", "api_version": "2024-02-01"}` in
the environment or in `.env`. Its key never shows: not in a repr, not in a record, not in a report.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Connection:
    """One connection, resolved. Only the flow runner and the endpoints see the key."""

    name: str
    api_type: str
    """`azure` or `openai`."""
    api_base: str
    api_key: str = field(repr=False)
    api_version: str = "2024-02-01"
    stand_in: bool = False
    """Whether this is the stand-in model, because no connection of that name is configured."""

    @property
    def shown(self) -> str:
        """How people should read it; without the key."""
        if self.stand_in:
            return f"{self.name}: stand-in model (rules, not an LLM)"
        return f"{self.name}: {self.api_base}"
