"""Where queues and links meet: addresses become links, messages that are ready go to receivers, time passes.

Everything here runs in the broker's event loop; nothing is locked because nothing waits.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from shared.adapters.queues import Address, QueueConfig
from shared.ports import Clock
from tests.servers.service_bus import cbs, management
from tests.servers.service_bus.accepting import Accepting, attach_reply, refuse, session_filter
from tests.servers.service_bus.connection import Connection
from tests.servers.service_bus.contents import Request, reply
from tests.servers.service_bus.counters import Counters
from tests.servers.service_bus.entities import Entity
from tests.servers.service_bus.errors import NOT_ALLOWED, NOT_FOUND, SERVER_BUSY, UNAUTHORIZED, Refused
from tests.servers.service_bus.faults import Faults
from tests.servers.service_bus.links import Answers, Receiver, Requests, Sender
from tests.servers.service_bus.performatives import Attach
from tests.servers.service_bus.session_locks import SessionLock
from tests.servers.service_bus.wire_session import Link, WireSession

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK_SECONDS: Final = 0.01


class Hub:
    """The queues of a broker and who is connected to them."""

    def __init__(self, queues: Sequence[QueueConfig], clock: Clock, faults: Faults, counters: Counters) -> None:
        self.faults, self.counters = faults, counters
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._clock = clock
        self._connections: set[Connection] = set()
        self._receivers: dict[Entity, dict[Receiver, None]] = {}
        self._accepting: dict[Entity, dict[Accepting, None]] = {}
        self._to_pump: set[Entity] = set()
        self.entities: dict[str, Entity] = {}
        numbers = itertools.count(1)
        for config in queues:
            dead = self._add(Entity(Address(config, is_dead_letter=True), numbers, counters))
            self._add(Entity(Address(config, is_dead_letter=False), numbers, counters, dead))

    def _add(self, entity: Entity) -> Entity:
        self.entities[entity.address.name.lower()] = entity
        self._receivers[entity], self._accepting[entity] = {}, {}
        entity.on_change = lambda: self._pump_soon(entity)
        return entity

    def now(self) -> int:
        """Milliseconds since 1970."""
        return (self._clock.now() - _EPOCH) // timedelta(milliseconds=1)

    # ---------------------------------------------------------------------------------------------- connections

    def opened(self, connection: Connection) -> None:
        """A client connected."""
        self.counters.connections += 1
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """A client is gone."""
        self._connections.discard(connection)

    def abort_all(self) -> None:
        """Cut every connection."""
        for connection in list(self._connections):
            connection.abort()

    def detach_all(self, refused: Refused) -> None:
        """Detach every link to a queue with an error."""
        for receivers in self._receivers.values():
            for receiver in list(receivers):
                receiver.session.detach(receiver, refused)

    def reset(self) -> None:
        """Empty all queues, and count from nothing."""
        for entity in self.entities.values():
            entity.reset()
        self.counters.reset()

    # ---------------------------------------------------------------------------------------------------- links

    def attach(self, session: WireSession, attach: Attach) -> None:
        """A client wants a link."""
        end = attach.source if attach.role else attach.target
        address = _path(end.value[0] if end and end.value else None)
        try:
            self._attach(session, attach, address)
        except Refused as refused:
            refuse(session, attach, refused)

    def _attach(self, session: WireSession, attach: Attach, address: str) -> None:
        if address == cbs.NODE:
            self._attach_node(session, attach, address, None)
            return
        is_management = address.lower().endswith(management.SUFFIX)
        entity = self.entity(address[: -len(management.SUFFIX)] if is_management else address)
        if not session.connection.claims.allow(address):
            raise Refused(UNAUTHORIZED, f"No token was accepted for {address!r}: claim 'Send' or 'Listen' is required.")
        if is_management:
            self._attach_node(session, attach, address, entity)
        elif not attach.role:
            if entity.address.is_dead_letter:
                raise Refused(NOT_ALLOWED, f"{entity.address.name} takes no messages from senders.")
            sender = Sender(session, attach, address, entity)
            session.links[attach.handle] = sender
            session.send(attach_reply(attach))
            sender.grant()
        else:
            self._attach_receiver(session, attach, address, entity)

    def _attach_node(self, session: WireSession, attach: Attach, address: str, entity: Entity | None) -> None:
        if attach.role:
            session.links[attach.handle] = Answers(session, attach, address)
            session.send(attach_reply(attach))
            return

        def answer(request: Request) -> bytes:
            if entity is None:
                return reply(request, session.connection.claims.put_token(request))
            if self.faults.strikes("management"):
                return reply(request, management.refusal(Refused(SERVER_BUSY, "The broker is busy.")))
            now = self.now()
            entity.tick(now)
            return reply(request, *management.answer(entity, request, now))

        link = Requests(session, attach, address, answer)
        session.links[attach.handle] = link
        session.send(attach_reply(attach))
        link.grant()

    def _attach_receiver(self, session: WireSession, attach: Attach, address: str, entity: Entity) -> None:
        wants_session, session_id = session_filter(attach)
        if wants_session != entity.address.sessions:
            expected = "requires sessions" if entity.address.sessions else "has no sessions"
            raise Refused(NOT_ALLOWED, f"{entity.address.name} {expected}.")
        entity.tick(self.now())
        if not wants_session:
            self._start(Receiver(session, attach, address, entity, None), attach_reply(attach))
            return
        accepting = Accepting(self, session, attach, address, entity, session_id)
        if accepting.try_now():
            return
        self._accepting[entity][accepting] = None
        accepting.wait()

    def start_session(self, accepting: Accepting, hold: SessionLock, receiver: Receiver) -> None:
        """A session was found for a link that waited for one."""
        self._accepting[accepting.entity].pop(accepting, None)
        self._start(receiver, attach_reply(accepting.attach, hold))

    def give_up(self, accepting: Accepting) -> None:
        """A link waits no longer for a session."""
        self._accepting[accepting.entity].pop(accepting, None)

    def _start(self, receiver: Receiver, answer: Attach) -> None:
        receiver.session.links[receiver.handle] = receiver
        self._receivers[receiver.entity][receiver] = None
        receiver.session.send(answer)

    def forget(self, receiver: Receiver) -> None:
        """A receiver is gone."""
        self._receivers[receiver.entity].pop(receiver, None)

    def entity(self, address: str) -> Entity:
        """The queue of an address, in any case. Raises Refused."""
        entity = self.entities.get(address.lower())
        if entity is None:
            raise Refused(NOT_FOUND, f"The messaging entity {address!r} could not be found.")
        return entity

    # ------------------------------------------------------------------------------------------------- delivery

    def wake(self, link: Link) -> None:
        """A session has room again for what a link has to send."""
        if isinstance(link, Receiver):
            self._pump_soon(link.entity)

    def _pump_soon(self, entity: Entity) -> None:
        if entity not in self._to_pump:
            self._to_pump.add(entity)
            self.loop.call_soon(self.pump, entity)

    def pump(self, entity: Entity) -> None:
        """Give ready messages to the receivers that have credit, in turns."""
        self._to_pump.discard(entity)
        now = self.now()
        entity.repeats_completed = self.faults.duplicate_deliveries
        entity.tick(now)
        for accepting in list(self._accepting[entity]):
            accepting.try_now()
        receivers = self._receivers[entity]
        sending = list(receivers)
        while sending:
            sending = [receiver for receiver in sending if receiver.send_one(now)]
        for receiver in list(receivers):
            receiver.finish_drain()

    async def pass_time(self) -> None:
        """Look at the clock often, since a test may move it."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self.now()
            for entity in self.entities.values():
                if entity.next_due() <= now:
                    self.pump(entity)


def _path(address: Any) -> str:
    """The path of an address: `amqps://host:port/queue` and `/queue` both mean `queue`."""
    text = "" if address is None else str(address)
    return (urlsplit(text).path if "://" in text else text).strip("/")
