"""Messages per second through Microsoft's SDK to the test broker, beside the local bus, and how long one is on its way.

`python -m benchmarks.messages [--seconds 5]`: each figure is measured for so long. The broker is a process of its own
on the loopback interface: what is measured is the SDK, the adapter and the broker, not a network, and not Service Bus.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final, Protocol

from benchmarks.broker_process import broker
from shared.adapters.azure.bus import ServiceBus
from shared.adapters.local.bus import LocalBus
from shared.adapters.local.clock import SystemClock
from shared.adapters.queues import QueueConfig
from shared.ports import Bus, OutgoingMessage, QueueReceiver

BODY: Final = json.dumps({"type": "RunFinished", "chain": "benchmark", "text": "x" * 900}).encode()
"""About as large as the product's own messages."""
BATCH: Final = 100
QUEUES: Final = tuple(QueueConfig(name) for name in ("single", "batch", "take", "way"))
OPENING: Final = 3
"""Messages on the way that open connections."""
POLL_S: Final = 0.03
"""The embedded host looks so often at local queues."""


class Queues(Bus, QueueReceiver, Protocol):
    """A bus that can be received from."""

    def close(self) -> None:
        """End it."""
        ...


@contextmanager
def service_bus(folder: Path) -> Iterator[Queues]:
    """The SDK and a broker in a process of its own."""
    with broker(folder, QUEUES) as address:
        bus = ServiceBus(address, QUEUES)
        try:
            yield bus
        finally:
            bus.close()


@contextmanager
def local_bus(folder: Path) -> Iterator[Queues]:
    """The queues of the local profile."""
    bus = LocalBus(folder / "bus.sqlite3", QUEUES, SystemClock())
    try:
        yield bus
    finally:
        bus.close()


def rate(work: Callable[[], int], seconds: float) -> float:
    """Messages per second, when `work` is repeated for so long and returns how many it did."""
    work()  # opens connections
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        done += work()
    return done / (time.perf_counter() - started)


def messages(numbers: Iterator[int], amount: int) -> list[OutgoingMessage]:
    """Messages that no queue has seen."""
    return [OutgoingMessage(BODY, f"m{next(numbers)}", correlation_id="benchmark") for _ in range(amount)]


def measured(bus: Queues, seconds: float) -> dict[str, str]:
    """All figures of one bus."""
    numbers = count()

    def send(queue: str, amount: int) -> int:
        bus.send(queue, messages(numbers, amount))
        return amount

    def take() -> int:
        taken = bus.receive("take", count=BATCH)
        if not taken:
            send("take", BATCH * 4)
        for message in taken:
            bus.complete(message)
        return len(taken)

    figures = {
        "send, one at a time": f"{rate(lambda: send('single', 1), seconds):,.0f}/s",
        f"send, {BATCH} in a batch": f"{rate(lambda: send('batch', BATCH), seconds):,.0f}/s",
        "receive and complete": f"{rate(take, seconds):,.0f}/s",
    }
    ways = on_the_way(bus, numbers, seconds)
    figures["on the way, median"] = f"{statistics.median(ways) * 1000:,.1f} ms"
    figures["on the way, 95 %"] = f"{statistics.quantiles(ways, n=20)[-1] * 1000:,.1f} ms"
    return figures


def on_the_way(bus: Queues, numbers: Iterator[int], seconds: float) -> list[float]:
    """From before the send until a receiver that was waiting has the message, with rests in between."""
    arrived: dict[str, float] = {}
    stopping = threading.Event()

    def receive() -> None:
        while not stopping.is_set():
            if isinstance(bus, ServiceBus):
                message = bus.wait_for_message("way", 1)
                found = [] if message is None else [message]
            else:
                found = bus.receive("way")
                if not found:
                    time.sleep(POLL_S)
            for one in found:
                arrived[one.message_id] = time.perf_counter()
                bus.complete(one)

    receiver = threading.Thread(target=receive, daemon=True)
    receiver.start()
    ways: list[float] = []
    ends = time.perf_counter() + seconds
    while len(ways) <= OPENING + 1 or time.perf_counter() < ends:
        [message] = messages(numbers, 1)
        started = time.perf_counter()
        bus.send("way", [message])
        while message.message_id not in arrived:
            time.sleep(0.0005)
        ways.append(arrived[message.message_id] - started)
        time.sleep(0.1)
    stopping.set()
    receiver.join(5)
    return ways[OPENING:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="for how long each figure is measured")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as scratch:
        columns = {}
        for name, opened in (("azure-servicebus, test broker", service_bus), ("local bus (SQLite)", local_bus)):
            with opened(Path(scratch)) as bus:
                columns[name] = measured(bus, seconds)
    print(f"{len(BODY):,} bytes a message; Python {platform.python_version()}, {os.cpu_count()} cores, one thread\n")
    print(f"{'':26}" + "".join(f"{name:>32}" for name in columns))
    for row in next(iter(columns.values())):
        print(f"{row:26}" + "".join(f"{column[row]:>32}" for column in columns.values()))


if __name__ == "__main__":
    main()
