"""A chat request as the rules see it: what the model is told to do, and the text that it shall do it to.

The text is what stands between delimiters in the last user message (`<ticket>…</ticket>`, triple quotes, a fence), or
behind a label such as `Ticket:`, or else the whole last user message; everything else is instructions.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_CLOSING_TAG: Final = re.compile(r"</([a-z_]{2,20})>\Z")
_DELIMITED: Final = (
    re.compile(r'"""(?P<text>.*)"""', re.DOTALL),
    re.compile(r"```(?P<text>.*)```", re.DOTALL),
    re.compile(
        r"^(?:ticket|text|message|e-?mail|document|input|question|customer)\s*:[ \t]*\n?(?P<text>.*)\Z",
        re.DOTALL | re.IGNORECASE | re.MULTILINE,
    ),
)


@dataclass(frozen=True)
class ChatMessage:
    """One message of the request."""

    role: str
    content: str


@dataclass(frozen=True)
class Conversation:
    """What the rules answer."""

    instructions: str
    """System messages, earlier turns, and the part of the last user message that is not the text."""
    text: str
    """The text to work on."""
    temperature: float = 1.0
    seed: int = 0
    wants_json: bool = False
    """Whether the request demands a JSON object (`response_format`)."""
    turns: tuple[tuple[str, str], ...] = ()
    """Earlier pairs of question and answer: examples by another name."""


def read_conversation(
    messages: Sequence[ChatMessage], *, temperature: float = 1.0, seed: int = 0, wants_json: bool = False
) -> Conversation:
    """Tell instructions from text."""
    system = [message.content for message in messages if message.role in {"system", "developer"}]
    talk = [message for message in messages if message.role not in {"system", "developer"}]
    last = next((message.content for message in reversed(talk) if message.role == "user"), "")
    around, text = _split(last, alone=not system)
    turns = tuple(
        (asked.content, answered.content)
        for asked, answered in itertools.pairwise(talk)
        if asked.role == "user" and answered.role == "assistant"
    )
    return Conversation("\n".join([*system, around]).strip(), text, temperature, seed, wants_json, turns)


def _split(message: str, *, alone: bool) -> tuple[str, str]:
    # Between tags by searching, not by one pattern: a hostile text of many tags would make that quadratic.
    ended = message.rstrip()
    closing = _CLOSING_TAG.search(ended[-24:])
    start = ended.find(f"<{closing[1]}>") if closing else -1
    if closing and start >= 0:
        return message[:start], ended[start + len(closing[1]) + 2 : -len(closing[0])].strip()
    for delimited in _DELIMITED:
        if found := delimited.search(message):
            return message[: found.start()] + message[found.end() :], found["text"].strip()
    return (message if alone else ""), message.strip()
