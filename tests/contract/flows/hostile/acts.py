"""A class, an async function and a generator that do to their process what flow code should not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator


def act(what: str) -> object:
    match what:
        case "close":
            for descriptor in range(4):
                os.close(descriptor)
        case "away":
            os.chdir("/")
            sys.path.clear()
        case "signals":
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
                signal.signal(number, signal.SIG_IGN)
        case "json":
            json.dumps = lambda *_, **__: "spoilt"
        case "cycle":
            cycle: dict = {}
            cycle["self"] = cycle
            return cycle
        case "bytes":
            return {"value": b"raw"}
        case "keys":
            return {"value": {(1, 2): "a tuple"}}
        case "number":
            return {"value": 10**5000}
        case "huge":
            return {"value": "y" * 70_000_000}
    return {"value": what}


class Acts:
    def __init__(self, exits: str = "", aggregates: str = "") -> None:
        if exits:
            print("last words", flush=True)
            os._exit(7)
        self.aggregates = aggregates

    def __call__(self, what: str) -> object:
        return act(what)

    def __aggregate__(self, lines: list) -> object:
        match self.aggregates:
            case "raises":
                raise RuntimeError("no sum of these")
            case "exits":
                sys.exit(3)
            case "text":
                return "a text"
            case "nothing":
                return None
            case "nan":
                return {"good": 1.0, "bad": float("nan")}
            case "nested":
                return {"good": 1.0, "deep": {"bad": [1]}}
            case "endless":
                while True:
                    time.sleep(0.01)
            case "generator":
                return iter("abc")
        return {"good": 1.0}


async def waits(what: str) -> object:
    if what == "blocks":
        time.sleep(3600)  # and with it the loop that all lines share
    if what == "waits":
        await asyncio.sleep(3600)
    return act(what)


def generates(what: str) -> Iterator[str]:
    while what == "endless":
        time.sleep(0.001)
        yield "."
    yield what


async def generates_while_it_waits(what: str) -> AsyncIterator[str]:
    while what == "endless":
        await asyncio.sleep(0.001)
        yield "."
    yield what
