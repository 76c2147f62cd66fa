"""Processes that work on one local bus or blob store at once, for the tests that kill them."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.bus import LocalBus
from shared.adapters.local.clock import SystemClock
from shared.adapters.queues import QueueConfig
from shared.errors import Conflict
from shared.ports import OutgoingMessage

QUEUES = (
    QueueConfig("orders", max_delivery_count=1000),
    QueueConfig("events", max_delivery_count=1000, sessions=True),
    QueueConfig("done"),
)
BLOCK = 64 * 1024


def open_bus(path: str) -> LocalBus:
    return LocalBus(Path(path), QUEUES, SystemClock())


def say(text: str) -> None:
    """One line to the parent, in one write, so that a kill never leaves a part of it."""
    os.write(1, f"{text}\n".encode())


def produce(path: str, name: str, count: str) -> None:
    bus = open_bus(path)
    for n in range(int(count)):
        message_id = f"{name}-{n}"
        bus.send("orders", [OutgoingMessage(b"x" * 2000, message_id)])
        say(message_id)


def consume(path: str, seed: str) -> None:
    """Hand on every message to `done`, now and then giving one back; ends when there is nothing left."""
    bus, chance = open_bus(path), random.Random(seed)
    while bus.counts("orders").active or bus.counts("done").active < 1:
        for message in bus.receive("orders", count=chance.randint(1, 3)):
            if chance.random() < 0.1:
                bus.abandon(message)
                continue
            bus.send("done", [OutgoingMessage(b"", message.message_id)])
            bus.complete(message)
            say(f"{message.message_id} {message.delivery_count}")


def consume_sessions(path: str, log: str) -> None:
    """Handle sessions until there are none; all consumers write one log, whose order is the order of the handling."""
    bus, journal = open_bus(path), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while bus.counts("events").active:
        session = bus.accept_session("events")
        if session is None:
            continue
        for message in bus.receive("events", count=3, session_id=session):
            os.write(journal, f"{os.getpid()} {session} {message.message_id}\n".encode())
            bus.complete(message)
        bus.release_session("events", session)


def hold(path: str) -> None:
    """Lock a message and a session, and never settle them."""
    bus = open_bus(path)
    bus.receive("orders")
    session = bus.accept_session("events")
    bus.receive("events", session_id=session)
    say("holding")
    sys.stdin.read()


def overwrite(root: str) -> None:
    """Write one blob again and again, each time with many times one byte."""
    blobs = FileBlobStore(Path(root))
    for n in range(1_000_000):
        blobs.write("chains", "c1/state.json", bytes([n % 256]) * BLOCK * (1 + n % 7))
        say(str(n))


def append(root: str) -> None:
    blobs = FileBlobStore(Path(root))
    for n in range(1_000_000):
        blobs.append("chains", "c1/log.jsonl", f"{n} {'x' * 5000}\n".encode())
        say(str(n))


def increment(root: str, count: str) -> None:
    blobs = FileBlobStore(Path(root))
    for _ in range(int(count)):
        while True:
            content, etag = blobs.read_with_etag("chains", "counter")
            try:
                blobs.write("chains", "counter", b"%d" % (int(content) + 1), if_match=etag)
                break
            except Conflict:
                continue


WORK = {f.__name__: f for f in (produce, consume, consume_sessions, hold, overwrite, append, increment)}

if __name__ == "__main__":
    WORK[sys.argv[1]](*sys.argv[2:])
