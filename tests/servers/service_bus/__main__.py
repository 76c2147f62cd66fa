"""The broker as a process: `python -m tests.servers.service_bus --port N --queues spec.json`.

The file holds a list of objects with the fields of QueueConfig. The connection string is the first line of output.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path

from shared.adapters.queues import QueueConfig
from tests.servers.service_bus.server import Broker


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A Service Bus namespace for tests, on the loopback interface.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--queues", type=Path, required=True, help="a JSON list of queues")
    arguments = parser.parse_args()
    queues = [QueueConfig(**fields) for fields in json.loads(arguments.queues.read_text(encoding="utf-8"))]
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Broker(queues, port=arguments.port) as broker:
        print(broker.connection_string, flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
