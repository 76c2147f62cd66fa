"""Settling a delivery over the link that it came by: the outcome that the client chose, applied and echoed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from tests.servers.service_bus.errors import SESSION_LOCK_LOST, Refused, message_lock_lost
from tests.servers.service_bus.performatives import rejected
from tests.servers.service_bus.values import Described, Ulong

if TYPE_CHECKING:
    from tests.servers.service_bus.entities import Entity
    from tests.servers.service_bus.hub import Hub

ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27
_BY_NAME: Final = {
    "amqp:accepted:list": ACCEPTED,
    "amqp:rejected:list": REJECTED,
    "amqp:released:list": RELEASED,
    "amqp:modified:list": MODIFIED,
}


def settle(hub: Hub, delivery: tuple[Entity, uuid.UUID] | None, state: Described | None) -> Described | None:
    """Apply an outcome; what to answer, None for nothing (a settlement that is lost on its way)."""
    if delivery is None:
        lost = message_lock_lost()
        return rejected(lost.condition, lost.description)
    entity, token = delivery
    entity.tick(hub.now())
    echo = _echo(state)
    for fault in ("lost", "unanswered"):
        if hub.faults.strikes(fault):
            hub.counters.settlements_lost += 1
            return echo if fault == "lost" else None
    try:
        _apply(entity, token, state)
    except Refused as refused:
        condition = SESSION_LOCK_LOST if entity.address.sessions else refused.condition
        return rejected(condition, refused.description)
    return echo


def _code(state: Described | None) -> int:
    if state is None:
        return RELEASED
    return int(_BY_NAME.get(state.descriptor, state.descriptor if isinstance(state.descriptor, int) else RELEASED))


def _apply(entity: Entity, token: uuid.UUID, state: Described | None) -> None:
    fields: list[Any] = [] if state is None else [*state.value, None, None, None][:3]
    match _code(state):
        case code if code == ACCEPTED:
            entity.complete(token)
        case code if code == REJECTED:
            entity.dead_letter(token, *_reason(fields[0]))
        case code if code == MODIFIED and fields[1]:
            entity.defer(token, fields[2])
        case code if code == MODIFIED and fields[0]:
            entity.abandon(token, fields[2])
        case _:
            entity.release(token)


def _reason(error: Described | None) -> tuple[str | None, str | None]:
    """Reason and description of a dead letter: in the error's info, or else the error itself."""
    if error is None:
        return None, None
    condition, description, info = [*error.value, None, None, None][:3]
    named = {str(key): value for key, value in (info or {}).items()}
    if not named and condition != "com.microsoft:dead-letter":
        return str(condition), description
    return named.get("DeadLetterReason"), named.get("DeadLetterErrorDescription")


def _echo(state: Described | None) -> Described:
    """The same outcome; a rejection without its error, which would mean that settling failed."""
    code = _code(state)
    if code == REJECTED or state is None:
        return Described(Ulong(code), [])
    return state
