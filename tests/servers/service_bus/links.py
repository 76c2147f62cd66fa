"""The links of a client: those it sends by, those it receives by, and the pairs for requests and answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tests.servers.service_bus.contents import Request, parse_request, parse_transfer
from tests.servers.service_bus.errors import INTERNAL, SERVER_BUSY, TOO_LARGE, Refused
from tests.servers.service_bus.faults import Cut
from tests.servers.service_bus.performatives import ACCEPTED, Attach, Flow, Transfer, rejected
from tests.servers.service_bus.session_locks import SessionLock

if TYPE_CHECKING:
    from tests.servers.service_bus.entities import Entity
    from tests.servers.service_bus.wire_session import WireSession

CREDIT: Final = 1000
MAX_MESSAGE: Final = 256 * 1024
"""Bytes of a message or batch, everything included: Service Bus Standard."""


class Incoming:
    """A link by which a client sends: to a queue, or requests to a node."""

    def __init__(self, session: WireSession, attach: Attach, address: str) -> None:
        self.session = session
        self.handle, self.name, self.address = attach.handle, attach.name, address
        self._parts: list[bytes] = []
        self._size = 0
        self._first: Transfer | None = None
        self._delivery_count = attach.initial_delivery_count or 0
        self._credit = 0

    def grant(self) -> None:
        """Give the client credit, afresh before it runs out."""
        if self._credit < CREDIT // 2:
            self._credit = CREDIT
            self.session.flow(self.handle, self._delivery_count, self._credit)

    def on_flow(self, flow: Flow) -> None:
        if flow.echo:
            self.session.flow(self.handle, self._delivery_count, self._credit)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._first = self._first or transfer
        self._parts.append(payload)
        self._size += len(payload)
        if self._size > MAX_MESSAGE:
            # Service Bus rejects the message and then detaches the link; frames of it that still come go nowhere.
            description = f"A message has more than {MAX_MESSAGE:,} bytes, which is the limit of this link."
            if not self._first.settled:
                self.session.confirm(self._first.delivery_id or 0, rejected(TOO_LARGE, description))
            self.session.detach(self, Refused(TOO_LARGE, description))
            return
        if transfer.aborted:
            self._first, self._parts, self._size = None, [], 0
            return
        if transfer.more:
            return
        first, whole = self._first, b"".join(self._parts)
        self._first, self._parts, self._size = None, [], 0
        self._delivery_count = (self._delivery_count + 1) & 0xFFFFFFFF
        self._credit -= 1
        self.on_message(first, whole)
        self.grant()

    def on_message(self, first: Transfer, payload: bytes) -> None:
        """A message has come in whole."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is kept for it."""


class Sender(Incoming):
    """A link by which a client sends to a queue."""

    def __init__(self, session: WireSession, attach: Attach, address: str, entity: Entity) -> None:
        super().__init__(session, attach, address)
        self._entity = entity

    def on_message(self, first: Transfer, payload: bytes) -> None:
        hub, delivery_id = self.session.hub, first.delivery_id or 0
        if hub.faults.cuts(Cut.WHILE_SENDING):
            self.session.connection.abort()
            return
        try:
            self._take_in(payload, first.message_format or 0)
        except Refused as refused:
            if not first.settled:
                self.session.confirm(delivery_id, rejected(refused.condition, refused.description))
            return
        if hub.faults.cuts(Cut.BEFORE_CONFIRMATION):
            self.session.connection.abort()
        elif not first.settled:
            self.session.confirm(delivery_id, ACCEPTED)

    def _take_in(self, payload: bytes, message_format: int) -> None:
        hub = self.session.hub
        if hub.faults.strikes("sends"):
            raise Refused(SERVER_BUSY, "The broker is busy: try again in a moment.")
        now = hub.now()
        self._entity.tick(now)
        self._entity.send(parse_transfer(payload, message_format), now)


class Requests(Incoming):
    """A link by which a client sends requests to a node; answers go out by the `Answers` of the same node."""

    def __init__(self, session: WireSession, attach: Attach, address: str, answer: Callable[[Request], bytes]) -> None:
        super().__init__(session, attach, address)
        self._answer = answer

    def on_message(self, first: Transfer, payload: bytes) -> None:
        if not first.settled:
            self.session.confirm(first.delivery_id or 0)
        answer = self._answer(parse_request(payload))
        for link in self.session.links.values():
            if isinstance(link, Answers) and link.address.lower() == self.address.lower():
                link.put(answer)
                return


class Answers:
    """A link by which a client receives answers from a node."""

    def __init__(self, session: WireSession, attach: Attach, address: str) -> None:
        self.session = session
        self.handle, self.name, self.address = attach.handle, attach.name, address
        self._waiting: deque[bytes] = deque()
        self._credit = self._delivery_count = 0

    def put(self, answer: bytes) -> None:
        """Send an answer as soon as there is credit."""
        self._waiting.append(answer)
        self._send()

    def on_flow(self, flow: Flow) -> None:
        self._credit = (flow.delivery_count or 0) + (flow.link_credit or 0) - self._delivery_count
        self._send()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Nobody sends by this link."""

    def close(self) -> None:
        self._waiting.clear()

    def _send(self) -> None:
        while self._waiting and self._credit > 0:
            self._credit -= 1
            self._delivery_count += 1
            tag = self._delivery_count.to_bytes(16)
            self.session.transfer(self.handle, tag, self._waiting.popleft(), lock=None)


class Receiver:
    """A link by which a client receives from a queue or from one of its sessions."""

    def __init__(
        self, session: WireSession, attach: Attach, address: str, entity: Entity, hold: SessionLock | None
    ) -> None:
        self.session = session
        self.handle, self.name, self.address = attach.handle, attach.name, address
        self.entity = entity
        self._hold = hold
        self._is_settled = attach.snd_settle_mode == 1
        self._credit = self._delivery_count = 0
        self._is_draining = self._is_closed = False
        self._not_before = 0.0

    def on_flow(self, flow: Flow) -> None:
        hub = self.session.hub
        self._credit = (flow.delivery_count or 0) + (flow.link_credit or 0) - self._delivery_count
        self._is_draining = flow.drain
        if self._credit > 0 and hub.faults.strikes("receives"):
            self.session.detach(self, Refused(SERVER_BUSY, "The broker is busy: try again in a moment."))
        elif self._credit > 0 and hub.faults.strikes("internal"):
            self.session.detach(self, Refused(INTERNAL, "The broker failed: try again in a moment."))
        else:
            hub.pump(self.entity)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Nobody sends by this link."""

    def send_one(self, now: int) -> bool:
        """Deliver the next message if there is one, and credit for it."""
        if self._is_closed or self._credit <= 0 or not self.session.has_window or not self._is_time():
            return False
        session_id = self._hold.session_id if self._hold else None
        message = self.entity.take(session_id, now, is_locked=not self._is_settled)
        if message is None:
            return False
        self._credit -= 1
        self._delivery_count += 1
        lock = (self.entity, message.lock) if message.lock else None
        tag = message.lock.bytes_le if message.lock else message.number.to_bytes(16)
        is_cut = self.session.hub.faults.cuts(Cut.WHILE_DELIVERING)
        self.session.transfer(self.handle, tag, message.render(), lock=lock, is_cut=is_cut)
        return True

    def finish_drain(self) -> None:
        """There is no more to send: use up the credit, as the client asked."""
        if self._is_draining and not self._is_closed:
            self._delivery_count += max(self._credit, 0)
            self._credit, self._is_draining = 0, False
            self.session.flow(self.handle, self._delivery_count, 0, drain=True)

    def lose(self, refused: Refused) -> None:
        """The session that it received from was taken from it."""
        self._hold = None
        self.session.detach(self, refused)

    def close(self) -> None:
        self._is_closed = True
        self.session.hub.forget(self)
        if self._hold is not None:
            hold, self._hold = self._hold, None
            self.entity.sessions.release(hold)

    def _is_time(self) -> bool:
        """A slow link lets one message through at a time."""
        delay, loop = self.session.hub.faults.delivery_delay_seconds, self.session.hub.loop
        if delay <= 0:
            return True
        if loop.time() < self._not_before:
            return False
        self._not_before = loop.time() + delay
        loop.call_later(delay + 0.001, self.session.hub.pump, self.entity)
        return True
