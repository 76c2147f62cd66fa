"""AMQP 1.0 types on the wire: one Python type per AMQP type, so that what was decoded encodes to the same type again.

Part 1 of the OASIS standard. `long` is `int`, `double` is `float`, `string` is `str`, `binary` is `bytes`; every other
type has a small class here.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


class Symbol(str):
    """ASCII text from a fixed vocabulary."""

    __slots__ = ()


class Ubyte(int):
    """8 bits, unsigned."""


class Ushort(int):
    """16 bits, unsigned."""


class Uint(int):
    """32 bits, unsigned."""


class Ulong(int):
    """64 bits, unsigned."""


class Byte(int):
    """8 bits, signed."""


class Short(int):
    """16 bits, signed."""


class Int(int):
    """32 bits, signed."""


class Timestamp(int):
    """Milliseconds since 1970 in UTC."""


class Float(float):
    """32 bits."""


@dataclass(frozen=True)
class Described:
    """A value with its descriptor."""

    descriptor: Any
    value: Any


@dataclass(frozen=True)
class Array:
    """Values of one type; `code` is the constructor that all of them share, 0 where they are described."""

    code: int
    values: list[Any]


@dataclass(frozen=True)
class Opaque:
    """A value of a type that the broker only passes on (decimals, characters): its constructor and its bytes."""

    code: int
    data: bytes


class WireError(ValueError):
    """The bytes are not AMQP 1.0."""


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
