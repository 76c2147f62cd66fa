"""How the runner and its worker processes talk: JSON behind a length, over two pipes that nothing else writes to.

Orders go down (`load`, `run`, `line`, `go`, `kept`, `aggregate`, `stop`), answers come up (`hello`, `loaded`,
`unusable`, `ready`, `done`, `metrics`, `stopped`, `beat`; `ask` and `back` for places among the calls in flight); what
belongs to a run names it. Nothing heavy is imported: the worker reads this before anything else.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import IO, Any, Final

from shared.nesting import is_deeper

_LENGTH: Final = struct.Struct(">I")
LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one message: an output beyond it fails its line. While one is read, it takes several times as much."""

LARGE: Final = 1 << 20
"""Bytes beyond which messages are read one at a time, however many workers send them."""

LARGEST_PACKET: Final = 1 << 20
"""Bytes of one message to the fork server or from it."""

Message = dict[str, Any]

_ANSWERS: Final[dict[str, dict[str, type]]] = {
    "hello": {},
    "loaded": {"engine": str},
    "unusable": {"reason": str},
    "beat": {},
    "ask": {"ticket": int, "endpoint": str},
    "back": {"ticket": int},
    "ready": {"run": str, "models": list, "aggregates": bool},
    "done": {"run": str, "line": int, "ok": bool, "latency_ms": float}
    | {"prompt_tokens": int, "completion_tokens": int, "retries": int, "model_calls": int},
    "metrics": {"run": str, "metrics": dict, "error": str}
    | {"prompt_tokens": int, "completion_tokens": int, "retries": int, "model_calls": int},
    "stopped": {"run": str, "busy": int},
}
"""What each answer holds at least."""
_AT_WILL: Final[dict[str, type]] = {"run": str, "outputs": dict, "error": str, "kept": str, "aggregated": dict}


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


def read(stream: IO[bytes], announced: Callable[[int], None] | None = None) -> Message | None:
    """The next message; None when the other side has gone (an end in mid-message is the same).

    `announced` is told the message's bytes before any of them is read, and may wait.

    Raises:
        ValueError, RecursionError: it is no message.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LIMIT:
        raise ValueError(f"a message of {length:,} bytes is announced")
    if announced is not None:
        announced(length)
    body = stream.read(length)
    if len(body) < length:
        return None
    message: Message = json.loads(body)
    return message


def checked(answer: object) -> Message:
    """The worker's answer, once it is known to be one: flow code can write into the pipe, too.

    Raises:
        ValueError: naming what is wrong with it.
    """
    if not isinstance(answer, dict) or not isinstance(kind := answer.get("is"), str) or kind not in _ANSWERS:
        raise ValueError("it is none of the answers")
    held = _ANSWERS[kind] | {key: of for key, of in _AT_WILL.items() if key in answer}
    for key, of in held.items():
        value = answer.get(key)
        is_wrong_number = isinstance(value, int | float) and not 0 <= value < math.inf
        if not isinstance(value, of) or is_wrong_number:
            raise ValueError(f"{key!r} of the answer {kind!r} is no {of.__name__} that it can have")
    if not all(isinstance(number, float) and math.isfinite(number) for number in answer.get("metrics", {}).values()):
        raise ValueError("a metric is no number")
    for part in ("outputs", "aggregated"):
        if any(is_deeper(value) for value in answer.get(part, {}).values()):
            raise ValueError("an output is nested too deeply")
    return answer
