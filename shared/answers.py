"""What a capability hands back: an event that answers its command, or the wish to look again later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.chain.messages import Command, event_id
from shared.ports import Ports


@dataclass(frozen=True)
class LookAgain:
    """The work was started and goes on elsewhere: the same command comes back after `seconds`."""

    seconds: float


def answer_to(ports: Ports, command: Command) -> dict[str, Any]:
    """The fields that every answer to a command has: `RunFinished(**answer_to(ports, command), …)`."""
    return {"id": event_id(command.id), "chain": command.chain, "cause": command.id, "at": ports.clock.now()}
