"""The nine performatives of AMQP 1.0, the frames they travel in, and the outcomes of deliveries.

Parts 2 and 3 of the OASIS standard. A field that a peer left out reads as its default.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.servers.service_bus.decoding import decode
from tests.servers.service_bus.encoding import encode_list
from tests.servers.service_bus.values import Described, Symbol, Ubyte, Uint, Ulong, Ushort, WireError

AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
EMPTY_FRAME: Final = b"\x00\x00\x00\x08\x02\x00\x00\x00"
_HEAD: Final = struct.Struct(">IBBH")


class Open(NamedTuple):
    container_id: str
    hostname: str | None = None
    max_frame_size: int = 0xFFFFFFFF
    channel_max: int = 0xFFFF
    idle_time_out: int | None = None
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


class Begin(NamedTuple):
    remote_channel: int | None
    next_outgoing_id: int
    incoming_window: int
    outgoing_window: int
    handle_max: int = 0xFFFFFFFF
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


class Attach(NamedTuple):
    name: str
    handle: int
    role: bool
    """True: the sender of this frame receives messages on the link."""
    snd_settle_mode: int = 2
    rcv_settle_mode: int = 0
    source: Described | None = None
    target: Described | None = None
    unsettled: Any = None
    incomplete_unsettled: bool = False
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


class Flow(NamedTuple):
    next_incoming_id: int | None
    incoming_window: int
    next_outgoing_id: int
    outgoing_window: int
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool = False
    echo: bool = False
    properties: Any = None


class Transfer(NamedTuple):
    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: int | None = None
    state: Any = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


class Disposition(NamedTuple):
    role: bool
    first: int
    last: int | None = None
    settled: bool = False
    state: Described | None = None
    batchable: bool = False


class Detach(NamedTuple):
    handle: int
    closed: bool = False
    error: Described | None = None


class End(NamedTuple):
    error: Described | None = None


class Close(NamedTuple):
    error: Described | None = None


Performative = Open | Begin | Attach | Flow | Transfer | Disposition | Detach | End | Close
_BY_CODE: Final[dict[int, Callable[..., Performative]]] = {
    0x10: Open,
    0x11: Begin,
    0x12: Attach,
    0x13: Flow,
    0x14: Transfer,
    0x15: Disposition,
    0x16: Detach,
    0x17: End,
    0x18: Close,
}
_CODES: Final = {kind: code for code, kind in _BY_CODE.items()}
_TYPES: Final[dict[Any, dict[str, Callable[[Any], Any]]]] = {
    Open: {"max_frame_size": Uint, "channel_max": Ushort, "idle_time_out": Uint},
    Begin: {
        "remote_channel": Ushort, "next_outgoing_id": Uint, "incoming_window": Uint, "outgoing_window": Uint,
        "handle_max": Uint,
    },
    Attach: {
        "handle": Uint, "snd_settle_mode": Ubyte, "rcv_settle_mode": Ubyte, "initial_delivery_count": Uint,
        "max_message_size": Ulong,
    },
    Flow: dict.fromkeys(Flow._fields[:8], Uint),
    Transfer: {"handle": Uint, "delivery_id": Uint, "message_format": Uint, "rcv_settle_mode": Ubyte},
    Disposition: {"first": Uint, "last": Uint},
    Detach: {"handle": Uint},
    End: {},
    Close: {},
}  # fmt: skip
_COERCE: Final = {kind: tuple(types.get(name) for name in kind._fields) for kind, types in _TYPES.items()}


def encode_performative(performative: Performative) -> bytes:
    """The bytes of a performative; fields at the end that are null are left out."""
    kind = type(performative)
    values = [
        coerce(value) if coerce is not None and value is not None else value
        for value, coerce in zip(performative, _COERCE[kind], strict=True)
    ]
    while values and values[-1] is None:
        values.pop()
    return b"\x00\x53" + bytes((_CODES[kind],)) + encode_list(values)


def decode_performative(body: bytes) -> tuple[Performative, bytes]:
    """The performative of a frame's body, and what follows it (a transfer's payload). Raises WireError."""
    described, end = decode(body)
    if not isinstance(described, Described) or described.descriptor not in _BY_CODE:
        raise WireError("The frame holds no performative.")
    kind = _BY_CODE[described.descriptor]
    defaults: dict[str, Any] = kind._field_defaults  # type: ignore[attr-defined]
    fields = {
        name: value
        for name, value in zip(kind._fields, described.value, strict=False)  # type: ignore[attr-defined]
        if value is not None or name not in defaults
    }
    try:
        return kind(**fields), body[end:]
    except TypeError as error:
        raise WireError(f"A mandatory field is missing: {error}.") from error


def frame(channel: int, body: bytes, payload: bytes = b"", kind: int = 0) -> bytes:
    """One frame: its head, a performative and a payload."""
    return _HEAD.pack(8 + len(body) + len(payload), 2, kind, channel) + body + payload


def sasl_mechanisms(*names: str) -> bytes:
    """The frame in which a server offers its mechanisms: an array even of one, as the standard wants."""
    symbols = [name.encode("ascii") for name in names]
    body = b"".join(bytes((len(name),)) + name for name in symbols)
    array = bytes((0xE0, len(body) + 2, len(names), 0xA3)) + body
    fields = bytes((0xC0, len(array) + 1, 1)) + array
    return frame(0, b"\x00\x53\x40" + fields, kind=1)


def sasl_outcome(code: int) -> bytes:
    """The frame that ends SASL; 0 is success, 1 a refusal."""
    return frame(0, b"\x00\x53\x44" + encode_list([Ubyte(code)]), kind=1)


def error(condition: str, description: str) -> Described:
    """An error with all three fields: a client of Service Bus indexes into them."""
    return Described(Ulong(0x1D), [Symbol(condition), description, None])


ACCEPTED: Final = Described(Ulong(0x24), [])
RELEASED: Final = Described(Ulong(0x26), [])


def rejected(condition: str, description: str) -> Described:
    """The outcome of a message that was not taken, or of a settlement that failed."""
    return Described(Ulong(0x25), [error(condition, description)])


def node(code: int, address: str | None, **fields: Any) -> Described:
    """A source (0x28) or target (0x29) with an address; `filter` only goes into a source."""
    values: list[Any] = [address]
    if "filter" in fields:
        values += [None] * 6 + [fields["filter"]]
    return Described(Ulong(code), values)
