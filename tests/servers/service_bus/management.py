"""`$management`: the requests that act on a queue beside its links, and their answers.

Source: "AMQP 1.0 request-response operations" on learn.microsoft.com/azure/service-bus-messaging.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.servers.service_bus.contents import Request, parse
from tests.servers.service_bus.entities import Entity
from tests.servers.service_bus.errors import ARGUMENT_ERROR, NOT_ALLOWED, Refused, session_lock_lost
from tests.servers.service_bus.values import Array, Int, Symbol, Timestamp

SUFFIX: Final = "/$management"
PEEK_LOCK: Final = 1
ALL_SESSIONS: Final = 253402300800000
"""`last-updated-time` of a request for all sessions: the first moment of the year 10000."""

Answer = Mapping[str, Any] | None
Operation = Callable[[Entity, Mapping[str, Any], int], Answer]


def answer(entity: Entity, request: Request, now: int) -> tuple[dict[str, Any], Answer]:
    """Do what a request asks for: the application properties of the answer, and its body."""
    name = str(request.application.get("operation", "")).removeprefix("com.microsoft:")
    operation = OPERATIONS.get(name)
    if operation is None or not isinstance(request.value, dict):
        return refusal(Refused(NOT_ALLOWED, f"There is no operation {name!r} on {entity.address.name}.")), None
    try:
        value = operation(entity, request.value, now)
    except KeyError as missing:
        return refusal(Refused(ARGUMENT_ERROR, f"The request lacks {missing}.")), None
    except Refused as refused:
        return refusal(refused), None
    if value is None:
        return {"statusCode": Int(204), "statusDescription": "No content"}, {}
    return {"statusCode": Int(200), "statusDescription": "OK"}, value


def refusal(refused: Refused) -> dict[str, Any]:
    """The application properties of an answer that says no."""
    return {
        "statusCode": Int(refused.status),
        "statusDescription": refused.description,
        "errorCondition": Symbol(refused.condition),
    }


def _items(value: Any) -> list[Any]:
    return list(value.values) if isinstance(value, Array) else list(value)


def _renew_lock(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    until = [Timestamp(entity.renew(token, now)) for token in _items(arguments["lock-tokens"])]
    return {"expirations": Array(0x83, until)}


def _renew_session(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    return {"expiration": Timestamp(entity.sessions.renew(arguments["session-id"], now))}


def _schedule(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    contents = [parse(bytes(item["message"])) for item in arguments["messages"]]
    return {"sequence-numbers": Array(0x81, entity.schedule(contents, now))}


def _cancel(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    entity.cancel(_items(arguments["sequence-numbers"]))
    return {}


def _peek(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    found = entity.peek(arguments["from-sequence-number"], arguments["message-count"], arguments.get("session-id"))
    return {"messages": [{"message": message.render()} for message in found]} if found else None


def _receive_deferred(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    is_locked = arguments["receiver-settle-mode"] == PEEK_LOCK
    numbers = _items(arguments["sequence-numbers"])
    taken = entity.take_deferred(numbers, arguments.get("session-id"), now, is_locked=is_locked)
    return {"messages": [{"lock-token": m.lock or uuid.uuid4(), "message": m.render()} for m in taken]}


def _settle(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    changes = arguments.get("properties-to-modify") or {}
    if entity.address.sessions and not entity.sessions.is_held(arguments["session-id"]):
        raise session_lock_lost(arguments["session-id"])
    for token in _items(arguments["lock-tokens"]):
        match arguments["disposition-status"]:
            case "completed":
                entity.complete(token)
            case "abandoned":
                entity.abandon(token, changes)
            case "defered":  # so it is spelled on the wire
                entity.defer(token, changes)
            case "suspended":
                entity.dead_letter(token, arguments.get("deadletter-reason"), arguments.get("deadletter-description"))
            case status:
                raise Refused(ARGUMENT_ERROR, f"There is no disposition {status!r}.")
    return {}


def _get_state(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    return {"session-state": entity.sessions.state(arguments["session-id"])}


def _set_state(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    session_id, state = arguments["session-id"], arguments["session-state"]
    if not entity.sessions.is_held(session_id):
        raise session_lock_lost(session_id)
    entity.sessions.set_state(session_id, None if state is None else bytes(state), now)
    return {}


def _sessions(entity: Entity, arguments: Mapping[str, Any], now: int) -> Answer:
    since = arguments["last-updated-time"]
    names = entity.session_ids(None if since >= ALL_SESSIONS else since)
    page = names[arguments["skip"] : arguments["skip"] + arguments["top"]]
    return {"skip": Int(arguments["skip"] + len(page)), "sessions-ids": page} if page else None


OPERATIONS: Final[Mapping[str, Operation]] = {
    "renew-lock": _renew_lock,
    "renew-session-lock": _renew_session,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel,
    "peek-message": _peek,
    "receive-by-sequence-number": _receive_deferred,
    "update-disposition": _settle,
    "get-session-state": _get_state,
    "set-session-state": _set_state,
    "get-message-sessions": _sessions,
}
