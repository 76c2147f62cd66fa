"""The process that serves one deployment: the host runs `python -m shared.adapters.local.endpoints.serve`.

It is two processes in one group. The guardian (this one) runs no flow code and only waits: when the host is gone,
however it went, or when the server is, it kills the whole group, with whatever a flow has started. The server (its
fork) runs the flow's web app (`shared/adapters/serving/apps.py`) under waitress. Orders come as one JSON line on stdin,
which then stays open as the host's sign of life; reports go back as JSON lines on a pipe. Connections are in that line
alone: in no file, argument or environment variable.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from shared.adapters.serving.apps import ServedFlow, app_of
from shared.adapters.serving.lifeline import die_with
from shared.connections import Connection

_HOST_POLL_S: Final = 1.0
_REASON_CHARACTERS: Final = 2000


def main() -> NoReturn:
    """Guardian and server part here, before any thread or heavy import exists: only then is a fork safe."""
    host = int(sys.argv[1])
    orders: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    alive, held = os.pipe()
    guardian = os.getpid()
    server = os.fork()
    if server == 0:
        os.close(alive)
        die_with(guardian)
        _serve(orders)
    os.close(held)
    _guard(server, host, alive, int(orders["report_fd"]))


def _guard(server: int, host: int, alive: int, report_fd: int) -> NoReturn:
    while True:
        readable, _, _ = select.select([0, alive], [], [], _HOST_POLL_S)
        # End of stdin: the host closed it, or died. The parent's id is asked too, for a process that the host forked
        # may still hold the other end of stdin.
        if 0 in readable or os.getppid() != host:
            os.killpg(0, signal.SIGKILL)
        ended, status = os.waitpid(server, 0 if alive in readable else os.WNOHANG)
        if ended:
            _report(report_fd, {"exited": os.waitstatus_to_exitcode(status)})
            os.killpg(0, signal.SIGKILL)


def _serve(orders: dict[str, Any]) -> NoReturn:
    report_fd = int(orders["report_fd"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a flow that reads stdin gets its end, and does not take the guardian's
    try:
        app = app_of(_served(orders))
        import waitress  # type: ignore[import-untyped]

        server = waitress.create_server(
            app,
            host="127.0.0.1",
            port=0,
            threads=orders["threads"],
            connection_limit=1000,
            max_request_body_size=orders["max_body"],
            # The router gives up after this time; waitress must not close the connection any sooner.
            channel_timeout=600,
            # select() cannot watch file descriptors above 1023.
            asyncore_use_poll=True,
            ident=None,
        )
    except BaseException as error:
        _report(report_fd, {"failed": f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS]})
        os._exit(3)
    _report(report_fd, {"port": int(server.effective_port), "pid": os.getpid()})
    os.close(report_fd)
    server.run()
    os._exit(0)


def _served(orders: dict[str, Any]) -> ServedFlow:
    return ServedFlow(
        flow=Path(orders["flow"]),
        flow_file=orders["flow_file"],
        dag=Path(orders["dag"]) if orders["dag"] is not None else None,
        package=orders["package"],
        root=Path(orders["root"]) if orders["root"] is not None else None,
        scratch=Path(orders["scratch"]),
        variants=orders["variants"],
        parameters=orders["parameters"],
        connections={values["name"]: Connection(**values) for values in orders["connections"]},
        environment=orders["environment"],
    )


def _report(report_fd: int, what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more: the host is gone, and this process soon is
        os.write(report_fd, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
