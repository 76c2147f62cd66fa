"""The process that serves one deployment: the host runs `python -m shared.adapters.local.endpoints.serve`.

It is two processes in one group. The guardian (this one) runs no flow code and only waits: when the host is gone,
however it went, or when the server is, it kills the whole group, with whatever a flow has started. The server (its
fork) runs a web app under waitress: prompt flow's own for a DAG, ours (`scoring.py`) for flows of other kinds. Orders
come as one JSON line on stdin, which then stays open as the host's sign of life; reports go back as JSON lines on a
pipe. Connections are in that line alone: in no file, argument or environment variable.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

_HOST_POLL_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1
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
        _die_with(guardian)
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


def _die_with(guardian: int) -> None:
    """Where the kernel can (Linux), let a guardian's sudden death kill the server too."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(1)  # it died before the kernel was asked


def _serve(orders: dict[str, Any]) -> NoReturn:
    report_fd = int(orders["report_fd"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a flow that reads stdin gets its end, and does not take the guardian's
    try:
        app = _scoring_app(orders) if orders["dag"] is None else _prompt_flow_app(orders)
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


def _forget_this_program() -> None:
    """A flow may have modules named `shared` or `functions`: it must get its own, not those of this program."""
    if sys.path and os.path.isdir(os.path.join(sys.path[0], "shared")):  # noqa: PTH112, PTH118
        del sys.path[0]
    for name in [name for name in sys.modules if name == "shared" or name.startswith("shared.")]:
        del sys.modules[name]


def _scoring_app(orders: dict[str, Any]) -> Any:
    from shared.adapters.local.endpoints.scoring import ScoringApp
    from shared.adapters.local.engines import isolation, promptflow_hooks
    from shared.adapters.local.engines.after_import import AfterImport
    from shared.adapters.local.engines.contract import FlowSource
    from shared.adapters.local.engines.load import load, set_environment, step_aside
    from shared.connections import Connection
    from shared.redaction import Redaction

    connections = {values["name"]: Connection(**values) for values in orders["connections"]}
    source = FlowSource(Path(orders["flow"]), orders["flow_file"], connections, Path(orders["scratch"]))
    imports, for_engine = AfterImport(), promptflow_hooks.Connections()
    for_engine.set(connections)
    imports.install()
    isolation.watch(imports)
    isolation.streams_per_thread()
    promptflow_hooks.watch(imports, for_engine)
    promptflow_hooks.leave_tries_to_the_client(imports)
    set_environment(source, orders["environment"])
    step_aside(source, orders["package"], Path(orders["root"]) if orders["root"] is not None else None)
    executable = load(source).executable(orders["variants"], orders["parameters"])
    return ScoringApp(executable, Redaction(connections.values(), orders["environment"]))


def _prompt_flow_app(orders: dict[str, Any]) -> Any:
    from shared.adapters.local.endpoints.guarded import Guarded
    from shared.adapters.local.engines.connections import engine_connections
    from shared.adapters.local.engines.modules import make_importable
    from shared.connections import Connection
    from shared.redaction import Redaction

    given = {values["name"]: Connection(**values) for values in orders["connections"]}
    connections = engine_connections(given)
    redacted = Redaction(given.values(), orders["environment"])
    _forget_this_program()
    os.chdir(orders["flow"])
    make_importable(Path(orders["flow"]), orders["package"], Path(orders["root"]) if orders["root"] else None)

    from promptflow.core._serving.v1.app import PromptflowServingApp

    class ServingApp(PromptflowServingApp):  # type: ignore[misc]
        """prompt flow's app, with connections given in memory: it can only look them up in a keyring or a workspace."""

        def init_invoker_if_not_exist(self) -> None:
            self.connections_override = connections
            super().init_invoker_if_not_exist()

    app = ServingApp("served-flow")
    # A provider that has no connections: one that the flow lacks is then an error that names it.
    app.init(flow_file_path=orders["dag"], connection_provider=list)
    return Guarded(app, redacted)


def _report(report_fd: int, what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more: the host is gone, and this process soon is
        os.write(report_fd, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
