"""One message in a queue, and how it looks to a receiver: its state, its lock, and the annotations of a delivery."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from tests.servers.service_bus.contents import Content
from tests.servers.service_bus.values import Int, Timestamp

NEVER: Final = 1 << 62


class State(IntEnum):
    """As Service Bus numbers them in `x-opt-message-state`."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(eq=False)
class Message:
    """One message in a queue. Times are milliseconds since 1970."""

    number: int
    """The sequence number."""
    content: Content
    enqueued_at: int
    state: State = State.ACTIVE
    delivery_count: int = 0
    """How many deliveries have failed."""
    lock: uuid.UUID | None = None
    locked_until: int = 0
    dead_letter_source: str | None = None
    is_repeat: bool = False
    """It is the copy that the fault `duplicate_deliveries` makes."""

    @property
    def expires_at(self) -> int:
        """When its time to live ends."""
        ttl = self.content.time_to_live
        return NEVER if ttl is None or ttl == 0xFFFFFFFF else self.enqueued_at + ttl

    def render(self) -> bytes:
        """The bytes that a receiver gets."""
        annotations: dict[str, Any] = {
            "x-opt-sequence-number": self.number,
            "x-opt-enqueue-sequence-number": self.number,
            "x-opt-enqueued-time": Timestamp(self.enqueued_at),
            "x-opt-message-state": Int(self.state.value),
        }
        if self.lock is not None:
            annotations["x-opt-locked-until"] = Timestamp(self.locked_until)
        if self.dead_letter_source is not None:
            annotations["x-opt-deadletter-source"] = self.dead_letter_source
        return self.content.render(self.delivery_count, annotations)
