"""The types of AMQP 1.0: one Python type per AMQP type, so that what was decoded encodes to the same type again.

Part 1 of the OASIS standard. `long` is `int`, `double` is `float`, `string` is `str`, `binary` is `bytes`; every other
type has a small class here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
