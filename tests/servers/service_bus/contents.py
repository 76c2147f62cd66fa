"""The content of a message as it lies in a queue: sections as they were sent, of which the broker reads only a few.

A queue keeps what the sender encoded and puts a new header and new annotations before it for each delivery, as Service
Bus does, so that no type in properties or body changes on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.servers.service_bus.decoding import decode, skip
from tests.servers.service_bus.encoding import encode, encode_list
from tests.servers.service_bus.errors import ARGUMENT_ERROR, Refused
from tests.servers.service_bus.values import Symbol, Timestamp, Ubyte, Uint

BATCH_FORMAT: Final = 0x80013700
HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION, DATA = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75
VALUE: Final = 0x77
SCHEDULED_AT: Final = Symbol("x-opt-scheduled-enqueue-time")
_MESSAGE_ID, _CORRELATION_ID, _GROUP_ID = 0, 5, 10


@dataclass(frozen=True)
class Content:
    """What was sent. Times are milliseconds since 1970."""

    message_id: str
    session_id: str | None
    due: int | None
    """Not before; None: at once."""
    time_to_live: int | None
    priority: int | None
    annotations: Mapping[Any, Any]
    properties: bytes
    application: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""

    def with_properties(self, changes: Mapping[Any, Any]) -> Content:
        """The same with other or further application properties."""
        return replace(self, application={**self.application, **{str(key): value for key, value in changes.items()}})

    def render(self, delivery_count: int, annotations: Mapping[str, Any]) -> bytes:
        """The message as it is delivered: `delivery_count` counts former deliveries, as AMQP has it."""
        header = [
            True,
            None if self.priority is None else Ubyte(self.priority),
            None if self.time_to_live is None else Uint(self.time_to_live),
            None,
            Uint(delivery_count),
        ]
        notes = {**self.annotations, **{Symbol(key): value for key, value in annotations.items()}}
        parts = [section(HEADER, encode_list(header)), section(ANNOTATIONS, encode(notes)), self.properties]
        if self.application:
            parts.append(section(APPLICATION, encode(dict(self.application))))
        parts.append(self.body)
        return b"".join(parts)


def section(code: int, value: bytes) -> bytes:
    """A section of a message around an encoded value."""
    return bytes((0x00, 0x53, code)) + value


def sections(payload: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(code, start, start of the value, end) of each section of an encoded message."""
    at = 0
    while at < len(payload):
        code, value_at = decode(payload, at + 1)
        end = skip(payload, value_at)
        yield int(code), at, value_at, end
        at = end


def parse(payload: bytes) -> Content:
    """Read a message as it was sent."""
    header: list[Any] = []
    annotations: dict[Any, Any] = {}
    application: dict[str, Any] = {}
    fields: list[Any] = []
    properties = b""
    body: list[bytes] = []
    for code, start, value_at, end in sections(payload):
        match code:
            case 0x70:
                header = decode(payload, value_at)[0]
            case 0x71:
                pass  # annotations for one hop only
            case 0x72:
                annotations = decode(payload, value_at)[0]
            case 0x73:
                fields = decode(payload, value_at)[0]
                properties = payload[start:end]
            case 0x74:
                application = decode(payload, value_at)[0]
            case _:
                body.append(payload[start:end])
    due = annotations.get(SCHEDULED_AT)
    return Content(
        message_id="" if _at(fields, _MESSAGE_ID) is None else str(_at(fields, _MESSAGE_ID)),
        session_id=_at(fields, _GROUP_ID),
        due=int(due) if isinstance(due, Timestamp) else None,
        time_to_live=_at(header, 2),
        priority=_at(header, 1),
        annotations=annotations,
        properties=properties,
        application=application,
        body=b"".join(body),
    )


def parse_transfer(payload: bytes, message_format: int) -> list[Content]:
    """The messages of one transfer: one, or those of a batch, each of which is a data section of its envelope."""
    if message_format != BATCH_FORMAT:
        return [parse(payload)]
    inner = [decode(payload, value_at)[0] for code, _, value_at, _ in sections(payload) if code == DATA]
    if not all(isinstance(data, bytes) for data in inner):
        raise Refused(ARGUMENT_ERROR, "A batch holds encoded messages only.")
    return [parse(data) for data in inner]


@dataclass(frozen=True)
class Request:
    """A message on `$cbs` or `$management`."""

    message_id: Any
    application: Mapping[str, Any]
    value: Any


def parse_request(payload: bytes) -> Request:
    """Read a request."""
    message_id, application, value = None, {}, None
    for code, _, value_at, _ in sections(payload):
        match code:
            case 0x73:
                message_id = _at(decode(payload, value_at)[0], _MESSAGE_ID)
            case 0x74:
                application = decode(payload, value_at)[0]
            case 0x77:
                value = decode(payload, value_at)[0]
            case _:
                pass  # requests need no other section
    return Request(message_id, application, value)


def reply(request: Request, application: Mapping[str, Any], value: Any = None) -> bytes:
    """The answer to a request, which finds its way back by the request's message id."""
    properties = [*[None] * _CORRELATION_ID, request.message_id]
    return (
        section(PROPERTIES, encode_list(properties))
        + section(APPLICATION, encode(dict(application)))
        + section(VALUE, encode(value))
    )


def _at(fields: list[Any], index: int) -> Any:
    return fields[index] if index < len(fields) else None
