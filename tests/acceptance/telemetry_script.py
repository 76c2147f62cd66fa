"""A process that handles a chain with telemetry on, and prints every address that it tried to reach (run by a test)."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

reached: set[str] = set()


def watch(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple):
        reached.add(f"{args[1][0]}:{args[1][1]}")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"} and args[0]:
        reached.add(str(args[0]))


sys.addaudithook(watch)


def main(connection_string: str, *, by_identity: bool) -> None:
    from shared import bootstrap, telemetry
    from tests.memory_world import World

    with tempfile.TemporaryDirectory() as home:
        world = World(Path(home))
        world.settings = replace(
            world.settings, application_insights=connection_string, telemetry_by_identity=by_identity
        )
        bootstrap.wire(world.settings)
        world.ports = world._wired()
        chain = world.request()
        before = "opentelemetry.sdk" in sys.modules
        world.pump()
        pipe = telemetry.start(world.settings)
        assert pipe is not None
        sent = pipe.flush(60)
        threads = sorted(thread.name for thread in threading.enumerate())
        status = world.chain(chain).status
        telemetry.stop()
    known = {"reached": sorted(reached), "status": status, "sent": sent, "sdk_before": before, "threads": threads}
    print(json.dumps(known))


if __name__ == "__main__":
    main(sys.argv[1], by_identity=sys.argv[2] == "identity")
