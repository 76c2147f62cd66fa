"""Reading AMQP 1.0 values from bytes, and finding where they end without reading them."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from typing import Any, Final

from tests.servers.service_bus.values import (
    Array,
    Byte,
    Described,
    Float,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    WireError,
)

_U16, _U32, _U64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")
_I8, _I16, _I32, _I64 = struct.Struct(">b"), struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_F32, _F64 = struct.Struct(">f"), struct.Struct(">d")
_WIDTHS: Final = {4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16}
"""Bytes of a fixed-width value, by the upper half of its constructor."""


def skip(data: bytes, at: int) -> int:
    """Where the value that starts at `at` ends, without decoding it."""
    code = data[at]
    if code == 0:
        return skip(data, skip(data, at + 1))
    match code >> 4:
        case 0xA | 0xC | 0xE:
            return at + 2 + data[at + 1]
        case 0xB | 0xD | 0xF:
            return at + 5 + int(_U32.unpack_from(data, at + 1)[0])
        case upper if upper in _WIDTHS:
            return at + 1 + _WIDTHS[upper]
        case _:
            raise WireError(f"0x{code:02x} is no constructor of AMQP 1.0.")


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that starts at `at`, and where it ends. Raises WireError."""
    try:
        return _decode(data[at], data, at + 1)
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise WireError(f"The value at {at} is cut off or malformed: {error}.") from error


def _decode(code: int, data: bytes, at: int) -> tuple[Any, int]:
    if code == 0:
        descriptor, at = _decode(data[at], data, at + 1)
        value, at = _decode(data[at], data, at + 1)
        return Described(descriptor, value), at
    match code >> 4:
        case upper if upper in _WIDTHS:
            end = at + _WIDTHS[upper]
            if end > len(data):
                raise IndexError(end)
            read = _FIXED.get(code)
            return (read(data, at) if read else Opaque(code, data[at:end])), end
        case 0xA:
            start, end = at + 1, at + 1 + data[at]
        case 0xB:
            start, end = at + 4, at + 4 + _U32.unpack_from(data, at)[0]
        case 0xC | 0xD | 0xE | 0xF:
            return _compound(code, data, at)
        case _:
            raise WireError(f"0x{code:02x} is no constructor of AMQP 1.0.")
    if end > len(data):
        raise IndexError(end)
    chunk = data[start:end]
    match code & 0x0F:
        case 0:
            return bytes(chunk), end
        case 1:
            return chunk.decode(), end
        case 3:
            return Symbol(chunk.decode("ascii")), end
        case _:
            return Opaque(code, bytes(chunk)), end


def _compound(code: int, data: bytes, at: int) -> tuple[Any, int]:
    if code in {0xC0, 0xC1, 0xE0}:
        end, count, at = at + 1 + data[at], data[at + 1], at + 2
    else:
        end, count, at = at + 4 + _U32.unpack_from(data, at)[0], _U32.unpack_from(data, at + 4)[0], at + 8
    if end > len(data) or count > len(data):
        raise IndexError(end)
    if code & 0xF0 >= 0xE0:
        return _array(count, data, at), end
    values = []
    for _ in range(count):
        value, at = _decode(data[at], data, at + 1)
        values.append(value)
    if code & 0x0F == 1:
        return dict(zip(values[::2], values[1::2], strict=True)), end
    return values, end


def _array(count: int, data: bytes, at: int) -> Array:
    code = data[at]
    at += 1
    if code != 0:
        values = []
        for _ in range(count):
            value, at = _decode(code, data, at)
            values.append(value)
        return Array(code, values)
    descriptor, at = _decode(data[at], data, at + 1)
    inner, at = data[at], at + 1
    described = []
    for _ in range(count):
        value, at = _decode(inner, data, at)
        described.append(Described(descriptor, value))
    return Array(0, described)


_FIXED: Final[dict[int, Callable[[bytes, int], Any]]] = {
    0x40: lambda data, at: None,
    0x41: lambda data, at: True,
    0x42: lambda data, at: False,
    0x43: lambda data, at: Uint(0),
    0x44: lambda data, at: Ulong(0),
    0x45: lambda data, at: [],
    0x50: lambda data, at: Ubyte(data[at]),
    0x51: lambda data, at: Byte(_I8.unpack_from(data, at)[0]),
    0x52: lambda data, at: Uint(data[at]),
    0x53: lambda data, at: Ulong(data[at]),
    0x54: lambda data, at: Int(_I8.unpack_from(data, at)[0]),
    0x55: lambda data, at: _I8.unpack_from(data, at)[0],
    0x56: lambda data, at: data[at] == 1,
    0x60: lambda data, at: Ushort(_U16.unpack_from(data, at)[0]),
    0x61: lambda data, at: Short(_I16.unpack_from(data, at)[0]),
    0x70: lambda data, at: Uint(_U32.unpack_from(data, at)[0]),
    0x71: lambda data, at: Int(_I32.unpack_from(data, at)[0]),
    0x72: lambda data, at: Float(_F32.unpack_from(data, at)[0]),
    0x80: lambda data, at: Ulong(_U64.unpack_from(data, at)[0]),
    0x81: lambda data, at: _I64.unpack_from(data, at)[0],
    0x82: lambda data, at: _F64.unpack_from(data, at)[0],
    0x83: lambda data, at: Timestamp(_I64.unpack_from(data, at)[0]),
    0x98: lambda data, at: uuid.UUID(bytes=bytes(data[at : at + 16])),
}
