"""The broker as a process: `python -m tests.servers.service_bus --port N --queues spec.json`.

The file holds a list of objects with the fields of QueueConfig; without it, the queues are those that the app takes with
the settings of this environment. The connection string is the first line of output: the value of `GENAIOPS_BUS`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
from pathlib import Path

from shared.adapters.queues import QueueConfig
from shared.chain.messages import Queue
from shared.settings import read
from tests.servers.service_bus.server import Broker


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A Service Bus namespace for tests, on the loopback interface.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--queues", type=Path, help='a file with [{"name": "a"}, {"name": "b", "sessions": true}]')
    arguments = parser.parse_args()
    spec: Path | None = arguments.queues
    queues = _queues_of_the_app() if spec is None else _listed(spec)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Broker(queues, port=arguments.port) as broker:
        print(broker.connection_string, flush=True)
        stopped.wait()


def _listed(spec: Path) -> list[QueueConfig]:
    return [QueueConfig(**fields) for fields in json.loads(spec.read_text(encoding="utf-8"))]


def _queues_of_the_app() -> list[QueueConfig]:
    names = read(os.environ).queues
    return [QueueConfig(name, sessions=queue is Queue.CHAIN_EVENTS) for queue, name in names.items()]


if __name__ == "__main__":
    main()
