"""Writing AMQP 1.0 values as bytes, each in the shortest form of its type."""

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
)

_U16, _U32, _U64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")
_I8, _I16, _I32, _I64 = struct.Struct(">b"), struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_F32, _F64 = struct.Struct(">f"), struct.Struct(">d")


def encode(value: Any) -> bytes:
    """The bytes of a value, its constructor included. Raises TypeError for a type that AMQP does not have."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"{type(value).__name__} has no AMQP type.")
    return encoder(value)


def encode_list(values: list[Any]) -> bytes:
    """A list, null fields at its end included: some peers index into errors without looking at their length."""
    return _compound_bytes(0xC0, len(values), b"".join(map(encode, values))) if values else b"\x45"


def _compound_bytes(small: int, count: int, body: bytes) -> bytes:
    if len(body) < 255 and count < 256:
        return bytes((small, len(body) + 1, count)) + body
    return bytes((small + 0x10,)) + _U32.pack(len(body) + 4) + _U32.pack(count) + body


def _variable(small: int) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        if len(data) < 256:
            return bytes((small, len(data))) + data
        return bytes((small + 0x10,)) + _U32.pack(len(data)) + data

    return pack


def _fixed(code: int, packer: struct.Struct) -> Callable[[Any], bytes]:
    head = bytes((code,))
    return lambda value: head + packer.pack(value)


def _number(
    zero: int | None, small: int, large: int, packer: struct.Struct, low: int, high: int
) -> Callable[[Any], bytes]:
    def pack(value: int) -> bytes:
        if value == 0 and zero is not None:
            return bytes((zero,))
        if low <= value <= high:
            return bytes((small, value & 0xFF))
        return bytes((large,)) + packer.pack(value)

    return pack


def _map(value: dict[Any, Any]) -> bytes:
    return _compound_bytes(0xC1, 2 * len(value), b"".join(encode(item) for pair in value.items() for item in pair))


def _array_bytes(array: Array) -> bytes:
    """Elements share one constructor, which must not depend on the value: the long form of each type."""
    values = array.values
    if array.code == 0 and values:
        head = b"\x00" + encode(values[0].descriptor)
        inner = [encode(item.value) for item in values]
        code = inner[0][:1]
        if any(item[:1] != code for item in inner):
            raise TypeError("The values of a described array are of several encodings.")
        return _compound_bytes(0xE0, len(values), head + code + b"".join(item[1:] for item in inner))
    wide = _WIDE.get(array.code)
    body = b"".join(wide(item) if wide else encode(item)[1:] for item in values)
    return _compound_bytes(0xE0, len(values), bytes((array.code,)) + body)


def _wide(packer: Callable[[bytes], bytes], convert: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda value: packer(convert(value))


def _short_length(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def _long_length(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


_WIDE: Final[dict[int, Callable[[Any], bytes]]] = {
    0x52: lambda value: bytes((value,)),
    0x53: lambda value: bytes((value,)),
    0x54: _I8.pack,
    0x55: _I8.pack,
    0x56: lambda value: bytes((value,)),
    0x70: _U32.pack,
    0x71: _I32.pack,
    0x80: _U64.pack,
    0x81: _I64.pack,
    0xA0: _short_length,
    0xB0: _long_length,
    0xA1: _wide(_short_length, str.encode),
    0xB1: _wide(_long_length, str.encode),
    0xA3: _wide(_short_length, str.encode),
    0xB3: _wide(_long_length, str.encode),
}

_binary, _string, _symbol = _variable(0xA0), _variable(0xA1), _variable(0xA3)
_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda value: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    int: _number(None, 0x55, 0x81, _I64, -128, 127),
    float: _fixed(0x82, _F64),
    str: lambda value: _string(value.encode()),
    bytes: _binary,
    bytearray: lambda value: _binary(bytes(value)),
    uuid.UUID: lambda value: b"\x98" + value.bytes,
    list: encode_list,
    dict: _map,
    Symbol: lambda value: _symbol(value.encode("ascii")),
    Ubyte: _fixed(0x50, struct.Struct(">B")),
    Ushort: _fixed(0x60, _U16),
    Uint: _number(0x43, 0x52, 0x70, _U32, 0, 255),
    Ulong: _number(0x44, 0x53, 0x80, _U64, 0, 255),
    Byte: _fixed(0x51, _I8),
    Short: _fixed(0x61, _I16),
    Int: _number(None, 0x54, 0x71, _I32, -128, 127),
    Timestamp: _fixed(0x83, _I64),
    Float: _fixed(0x72, _F32),
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
    Array: _array_bytes,
    Opaque: lambda value: bytes((value.code,)) + _opaque_length(value) + value.data,
}


def _opaque_length(value: Opaque) -> bytes:
    match value.code >> 4:
        case 0xA:
            return bytes((len(value.data),))
        case 0xB:
            return _U32.pack(len(value.data))
        case _:
            return b""
