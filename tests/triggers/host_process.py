"""A host in a process of its own, for tests that signal and kill it: `python -m tests.triggers.host_process HOME`.

Its queue function writes a line when it begins and one when it has ended; what a message says is what it does:
`quick`, `wait` (until the file `release` is there), `hang`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import azure.functions as func

from genaiops.host import Host, HostError, stop_signals
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.bus import LocalBus
from shared.adapters.local.clock import SystemClock
from shared.adapters.queues import QueueConfig

QUEUES = (QueueConfig("work", lock_seconds=60), QueueConfig("events", lock_seconds=60, sessions=True))
HOST_JSON = {"extensions": {"serviceBus": {"maxConcurrentCalls": 4, "sessionIdleTimeout": "00:00:00.050"}}}


def open_bus(home: Path) -> LocalBus:
    return LocalBus(home / "bus.sqlite3", QUEUES, SystemClock())


def open_blobs(home: Path) -> FileBlobStore:
    return FileBlobStore(home / "blobs")


class BlobClient:
    """Stands in the annotation for the SDK's class, which the host does not import."""


def build_app(home: Path) -> func.FunctionApp:
    app = func.FunctionApp()

    def write(line: str) -> None:
        # One write to an append-only file is all or nothing, whatever kills this process.
        descriptor = os.open(home / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)

    def perform(name: str, work: str) -> None:
        write(f"begin {name}")
        if work == "wait":
            while not (home / "release").exists():
                time.sleep(0.005)
        elif work == "hang":
            time.sleep(600)
        else:
            time.sleep(0.002)
        write(f"end {name}")

    @app.service_bus_queue_trigger(arg_name="message", queue_name="work", connection="ServiceBus")
    def work(message: func.ServiceBusMessage) -> None:
        perform(message.message_id, message.get_body().decode())

    @app.service_bus_queue_trigger(
        arg_name="message", queue_name="events", connection="ServiceBus", is_sessions_enabled=True
    )
    def events(message: func.ServiceBusMessage) -> None:
        perform(message.message_id, message.get_body().decode())

    @app.blob_trigger(arg_name="blob", path="datasets/{name}", connection="Storage", source="EventGrid")
    def changed(blob: BlobClient) -> None:
        perform(blob.blob_name, blob.download_blob().readall().decode())

    return app


def main(home: Path) -> int:
    host = Host(build_app(home), open_bus(home), open_blobs(home), home, 0, host_json=HOST_JSON)
    with stop_signals(host.request_stop):
        try:
            host.start()
        except HostError as error:
            print(error, file=sys.stderr)
            return 2
        print("started", flush=True)
        host.wait()
        host.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
