"""How the runner and its worker processes talk: JSON behind a length, over two pipes that nothing else writes to.

Orders go down (`load`, `run`, `line`, `kept`, `aggregate`, `stop`), answers come up (`hello`, `loaded`, `unusable`,
`ready`, `done`, `metrics`, `stopped`, `beat`); what belongs to a run names it. Only the standard library is imported:
the worker reads this before anything else, and the flow's own modules may have any name.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any, Final

_LENGTH: Final = struct.Struct(">I")
LIMIT: Final = 512 * 1024 * 1024
"""Bytes of one message: an output beyond it fails its line."""

Message = dict[str, Any]


class TooLarge(ValueError):
    """The message has more than LIMIT bytes."""


def encode(message: Message) -> bytes:
    """The message with its length before it.

    Lone surrogates (half a character, as broken JSON input can hold) become `?`: UTF-8 has no form for them.

    Raises:
        TooLarge: it is beyond LIMIT.
        TypeError, ValueError, RecursionError: a value has no JSON form.
    """
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
    if len(body) > LIMIT:
        raise TooLarge(f"{len(body):,} bytes; at most {LIMIT:,} are allowed")
    return _LENGTH.pack(len(body)) + body


def read(stream: IO[bytes]) -> Message | None:
    """The next message; None when the other side has gone (an end in mid-message is the same)."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    if len(body) < length:
        return None
    message: Message = json.loads(body)
    return message
