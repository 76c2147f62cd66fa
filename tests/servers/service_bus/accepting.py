"""Attaching a link: the broker's answer, its refusal, and the wait of a receiver for the next available session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tests.servers.service_bus.errors import TIMEOUT, Refused, session_lock_lost
from tests.servers.service_bus.links import MAX_MESSAGE, Receiver
from tests.servers.service_bus.performatives import Attach, Detach, error, node
from tests.servers.service_bus.session_locks import SessionLock
from tests.servers.service_bus.values import Described, Symbol, Uint

if TYPE_CHECKING:
    from tests.servers.service_bus.entities import Entity
    from tests.servers.service_bus.hub import Hub
    from tests.servers.service_bus.wire_session import WireSession

SESSION_FILTER: Final = Symbol("com.microsoft:session-filter")
LOCKED_UNTIL: Final = Symbol("com.microsoft:locked-until-utc")
WAIT: Final = "com.microsoft:timeout"
DEFAULT_WAIT_MS: Final = 65_000
_TICKS_AT_1970: Final = 621_355_968_000_000_000
"""The session's lock is told in 100 ns since the year 1, as .NET counts."""


def session_filter(attach: Attach) -> tuple[bool, str | None]:
    """Whether the client wants a session, and which; None is the next available one."""
    fields = attach.source.value if attach.source else []
    filters = fields[7] if len(fields) > 7 and isinstance(fields[7], dict) else {}
    if SESSION_FILTER not in filters:
        return False, None
    value = filters[SESSION_FILTER]
    return True, value.value if isinstance(value, Described) else value


def attach_reply(attach: Attach, hold: SessionLock | None = None) -> Attach:
    """The broker's half of a link that it grants."""
    source, properties = attach.source, {}
    if hold is not None:
        assert attach.source is not None
        source = node(0x28, attach.source.value[0], filter={SESSION_FILTER: hold.session_id})
        properties[LOCKED_UNTIL] = _TICKS_AT_1970 + hold.locked_until * 10_000
    if not attach.role:
        properties[Symbol("com.microsoft:max-message-batch-size")] = Uint(MAX_MESSAGE)
    return Attach(
        name=attach.name,
        handle=attach.handle,
        role=not attach.role,
        snd_settle_mode=attach.snd_settle_mode,
        rcv_settle_mode=attach.rcv_settle_mode,
        source=source,
        target=attach.target,
        initial_delivery_count=0 if attach.role else None,
        max_message_size=MAX_MESSAGE,
        properties=properties or None,
    )


def refuse(session: WireSession, attach: Attach, refused: Refused) -> None:
    """Refuse a link: as the standard has it, grant it with neither source nor target and end it with the error."""
    answer = attach_reply(attach)
    session.send(answer._replace(source=None, target=None))
    session.send(Detach(attach.handle, closed=True, error=error(refused.condition, refused.description)))


class Accepting:
    """A link that wants a session. It is `link`-like until then: the client may give up waiting."""

    def __init__(
        self, hub: Hub, session: WireSession, attach: Attach, address: str, entity: Entity, session_id: str | None
    ) -> None:
        self.attach, self.address, self.entity = attach, address, entity
        self.handle, self.name = attach.handle, attach.name
        self._hub, self._session, self._session_id = hub, session, session_id
        self._timer: asyncio.TimerHandle | None = None

    def try_now(self) -> bool:
        """Take the session, if there is one. Raises Refused: the one that was named is held by another receiver."""
        hold = self.entity.sessions.accept(self._session_id, self._hub.now())
        if hold is None:
            return False
        self._stop()
        receiver = Receiver(self._session, self.attach, self.address, self.entity, hold)
        hold.on_lost = lambda: receiver.lose(session_lock_lost(hold.session_id))
        self._hub.start_session(self, hold, receiver)
        return True

    def wait(self) -> None:
        """Wait for as long as the client said (real time: it waits itself)."""
        properties: dict[Any, Any] = self.attach.properties or {}
        milliseconds = int(properties.get(WAIT, DEFAULT_WAIT_MS))
        self._session.links[self.handle] = self
        self._timer = self._hub.loop.call_later(milliseconds / 1000, self._time_out)

    def on_flow(self, flow: Any) -> None:
        """Credit before the link is granted: the client sends it again."""

    def on_transfer(self, transfer: Any, payload: bytes) -> None:
        """Nobody sends by this link."""

    def close(self) -> None:
        """The client is gone."""
        self._stop()
        self._hub.give_up(self)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._hub.give_up(self)
        self._session.links.pop(self.handle, None)
        refuse(self._session, self.attach, Refused(TIMEOUT, "No session became available in time."))
