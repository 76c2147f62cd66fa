"""`python -m genaiops.stand_in_model`: run the stand-in model until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence

from aiohttp import web
from pydantic import ValidationError

from genaiops.stand_in_model.faults import Faults
from genaiops.stand_in_model.process import READY
from genaiops.stand_in_model.server import build


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; return 0 when stopped, 1 if the port is taken, 2 for wrong options."""
    parser = argparse.ArgumentParser(
        prog="python -m genaiops.stand_in_model",
        description="A stand-in for a chat model (rules, not an LLM): chat completions on 127.0.0.1.",
    )
    parser.add_argument("--port", type=int, default=7073, help="port on 127.0.0.1; 0 takes a free one (default: 7073)")
    parser.add_argument("--exit-with-parent", action="store_true", help="exit when standard input ends")
    for name, field in Faults.model_fields.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if name == "seed" else float,
            default=field.default,
            help=f"default: {field.default}",
        )
    given = vars(parser.parse_args(arguments))
    try:
        faults = Faults.model_validate({name: given[name] for name in Faults.model_fields})
    except ValidationError as error:
        for problem in error.errors():
            print("--" + "-".join(map(str, problem["loc"])).replace("_", "-"), problem["msg"], file=sys.stderr)
        return 2
    if given["exit_with_parent"]:
        threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        asyncio.run(_serve(given["port"], faults))
    except OSError as error:
        print(f"The stand-in model cannot listen on 127.0.0.1:{given['port']}: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


async def _serve(port: int, faults: Faults) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Requests under way are cut off at once: whoever stops a model does not wait for its latency.
    runner = web.AppRunner(build(faults), access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        print(f"{READY}http://{host}:{bound}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def _exit_with_parent() -> None:
    """Wait for the end of standard input: the parent holds its other end, and it ends even if the parent is killed."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
