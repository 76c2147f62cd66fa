"""One function per form that a flow's output can take."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypedDict

from words import WHERE  # beside this file; other flows have a module of the same name


@dataclass(frozen=True)
class Score:
    value: int
    label: str


class Named(TypedDict):
    value: str


def returns_text(text: str) -> str:
    return f"{text} {WHERE}"


def returns_a_mapping(text: str) -> dict:
    return {"value": text, "sizes": [len(text)]}


def returns_a_typed_mapping(text: str) -> Named:
    return Named(value=text)


def returns_a_dataclass(text: str) -> Score:
    return Score(len(text), text)


def generates(text: str) -> Iterator[str]:
    yield from text.split()


def generates_one_output(text: str) -> dict:
    return {"value": (word for word in text.split()), "text": text}


async def waits(text: str) -> str:
    await asyncio.sleep(0.01)
    return text.upper()


async def generates_while_it_waits(text: str) -> AsyncIterator[str]:
    for word in text.split():
        await asyncio.sleep(0)
        yield word


def captures(text: str) -> dict:
    """Swap sys.stdout, as flows that run code do."""
    before = sys.stdout
    sys.stdout = captured = io.StringIO()
    try:
        for word in text.split():
            print(word)
    finally:
        sys.stdout = before
    return {"value": captured.getvalue()}


def loaded(text: str) -> dict:
    heavy = ("promptflow", "openai", "pandas", "pydantic", "shared", "ruamel")
    return {"value": [name for name in heavy if name in sys.modules], "argument": text}


def raises(text: str) -> str:
    raise KeyError(text)


def typed(count: int, share: float = 0.5, is_new: bool = False, names: list | None = None, **rest: object) -> dict:
    return {"value": [count, share, is_new, names, rest]}


def unserialisable(text: str) -> object:
    return object()


def untyped(anything, number=3, text="x", none=None) -> dict:
    return {"value": [anything, number, text, none]}
