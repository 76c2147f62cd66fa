"""Messages as the tests of buses write and read them."""

from __future__ import annotations

from shared.ports import OutgoingMessage
from tests.contract.conftest import QueueSystem


def message(message_id: str, body: bytes = b"{}", **more) -> OutgoingMessage:
    return OutgoingMessage(body=body, message_id=message_id, **more)


def received_ids(bus: QueueSystem, queue: str = "orders", count: int = 10, **more) -> list[str]:
    return [m.message_id for m in bus.receive(queue, count=count, **more)]
