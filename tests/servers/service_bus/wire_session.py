"""One AMQP session: windows and delivery ids, the links on it, and the settlements that come back for deliveries."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, Protocol

from tests.servers.service_bus.errors import Refused
from tests.servers.service_bus.performatives import (
    ACCEPTED,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
    encode_performative,
    error,
)
from tests.servers.service_bus.settlements import settle
from tests.servers.service_bus.values import Described

if TYPE_CHECKING:
    from tests.servers.service_bus.connection import Connection
    from tests.servers.service_bus.entities import Entity

WINDOW: Final = 65536
FRAME_HEAD: Final = 8


class Link(Protocol):
    """One link, of either direction."""

    handle: int
    name: str
    address: str

    def on_flow(self, flow: Flow) -> None:
        """The client gave credit, or asked for the state of the link."""

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """A part of a message came in."""

    def close(self) -> None:
        """The link is gone."""


class WireSession:
    """The broker's end of an AMQP session."""

    def __init__(self, connection: Connection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.hub = connection.hub
        self.channel = channel
        self.incoming_window = WINDOW
        self.links: dict[int, Link] = {}
        self.deliveries: dict[int, tuple[Entity, uuid.UUID]] = {}
        """Unsettled deliveries by their ids."""
        self._next_incoming_id = begin.next_outgoing_id
        self._next_outgoing_id = 0
        self._next_delivery_id = 0
        self._remote_window = begin.incoming_window

    @property
    def has_window(self) -> bool:
        """Whether the client takes another frame."""
        return self._remote_window > 0 and self.connection.is_open

    def receive(self, performative: Performative, payload: bytes) -> None:
        """A frame came in."""
        match performative:
            case Attach():
                self.hub.attach(self, performative)
            case Flow():
                self._flow(performative)
            case Transfer():
                self._next_incoming_id = (self._next_incoming_id + 1) & 0xFFFFFFFF
                link = self.links.get(performative.handle)
                if link is not None:  # else it was detached while this frame was on its way
                    link.on_transfer(performative, payload)
            case Disposition() if performative.role:
                self._settle(performative)
            case Detach():
                self._detached(performative)
            case _:
                pass  # settlements of answers, which are sent settled

    def send(self, performative: Performative) -> None:
        """Send a frame on this session."""
        self.connection.send(self.channel, performative)

    def flow(self, handle: int | None, delivery_count: int | None, credit: int | None, *, drain: bool = False) -> None:
        """Tell the client windows and, for a link, credit."""
        self.send(
            Flow(
                self._next_incoming_id,
                self.incoming_window,
                self._next_outgoing_id,
                0x7FFFFFFF,
                handle=handle,
                delivery_count=delivery_count,
                link_credit=credit,
                drain=drain,
            )
        )

    def transfer(
        self, handle: int, tag: bytes, payload: bytes, *, lock: tuple[Entity, uuid.UUID] | None, is_cut: bool = False
    ) -> None:
        """Deliver a message in as many frames as it takes; with a lock it waits for a settlement."""
        delivery_id = self._next_delivery_id
        self._next_delivery_id = (delivery_id + 1) & 0xFFFFFFFF
        if lock is not None:
            self.deliveries[delivery_id] = lock
        first = Transfer(handle, delivery_id, tag, message_format=0, settled=lock is None)
        room = self.connection.remote_max_frame - FRAME_HEAD - len(encode_performative(first)) - 2
        start = 0
        while True:
            part, more = payload[start : start + room], start + room < len(payload)
            head = first._replace(more=True) if more else first
            if start:
                head = Transfer(handle, more=more)
            if is_cut:  # half a frame, then nothing: the client's socket breaks in the middle of a message
                self.connection.write(len(part).to_bytes(4) + b"\x02\x00")
                self.connection.abort()
                return
            self.connection.send(self.channel, head, part)
            self._next_outgoing_id = (self._next_outgoing_id + 1) & 0xFFFFFFFF
            self._remote_window -= 1
            start += room
            if not more:
                return

    def confirm(self, delivery_id: int, state: Described = ACCEPTED) -> None:
        """Settle a message that the client sent."""
        self.send(Disposition(False, delivery_id, delivery_id, settled=True, state=state))

    def detach(self, link: Link, refused: Refused) -> None:
        """End a link with an error."""
        if self.links.pop(link.handle, None) is not None:
            self.send(Detach(link.handle, closed=True, error=error(refused.condition, refused.description)))
            link.close()

    def end(self) -> None:
        """The session is gone, and with it its links. Locks on messages of queues without sessions stay."""
        for link in list(self.links.values()):
            link.close()
        self.links.clear()
        self.deliveries.clear()

    def _flow(self, flow: Flow) -> None:
        self._remote_window = (flow.next_incoming_id or 0) + flow.incoming_window - self._next_outgoing_id
        if flow.handle is None:
            for link in list(self.links.values()):
                self.hub.wake(link)
        elif flow.handle in self.links:
            self.links[flow.handle].on_flow(flow)
        if flow.echo:
            self.flow(None, None, None)

    def _detached(self, detach: Detach) -> None:
        link = self.links.pop(detach.handle, None)
        if link is not None:
            link.close()
            self.send(Detach(detach.handle, closed=detach.closed))

    def _settle(self, disposition: Disposition) -> None:
        last = disposition.first if disposition.last is None else disposition.last
        ids: Any = range(disposition.first, last + 1)
        if len(ids) > len(self.deliveries) + 1:
            ids = [delivery_id for delivery_id in self.deliveries if delivery_id in ids]
        for delivery_id in ids:
            answer = settle(self.hub, self.deliveries.pop(delivery_id, None), disposition.state)
            if answer is not None and not disposition.settled:
                self.send(Disposition(False, delivery_id, delivery_id, settled=True, state=answer))
