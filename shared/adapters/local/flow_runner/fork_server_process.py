"""The fork server: a process with prompt flow imported that makes workers of itself, each in milliseconds. Linux only.

It has one thread and opens nothing, so that what `fork` copies is whole. Orders with a worker's three streams come over
a socket; what it made, and how each ended, goes back over it. Started by `fork_server.py`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from shared.adapters.local.engines.lean_import import import_promptflow
from shared.adapters.local.flow_runner import worker
from shared.adapters.local.flow_runner.protocol import LARGEST_PACKET


def main(parent: int) -> None:
    """Serve the parent until it goes; the workers go along."""
    orders = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    worker.die_with_parent(parent)
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(Path.cwd()))]  # its folder is not the workers'
    import_promptflow()
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:  # somebody may hold a lock that nobody would release in a copy
        _tell(orders, {"is": "unusable", "reason": f"importing prompt flow began {threads - 1} threads"})
        return
    gc.disable()
    gc.freeze()  # shared with all workers as long as nobody writes to it, and a collection would
    wakes, wake = os.pipe()
    for end in (wakes, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    _tell(orders, {"is": "ready"})
    while True:
        readable, _, _ = select.select([orders.fileno(), wakes], [], [])
        if wakes in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wakes, 1 << 16)
            _tell_ended(orders)
        if orders.fileno() in readable:
            data, streams, _, _ = socket.recv_fds(orders, LARGEST_PACKET, 3)
            if not data:
                return
            _fork(orders, json.loads(data), streams, wakes, wake)


def _fork(orders: socket.socket, order: dict[str, Any], streams: list[int], wakes: int, wake: int) -> None:
    server = os.getpid()
    in_own_group, told = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        _tell(orders, {"is": "refused", "order": order["order"], "reason": str(error)})
        pid = -1
    if pid == 0:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            orders.close()
            for end in (in_own_group, told, wakes, wake):
                os.close(end)
            _become_worker(server, order, streams)
        except BaseException:
            traceback.print_exc()
        finally:  # whatever happens: a copy must never go on as the fork server
            os._exit(1)
    for end in (told, *streams):
        os.close(end)
    if pid > 0:
        # The runner kills a worker by its group, so it must not learn of it before there is that group.
        os.read(in_own_group, 1)
        _tell(orders, {"is": "forked", "order": order["order"], "pid": pid})
    os.close(in_own_group)


def _become_worker(server: int, order: dict[str, Any], streams: list[int]) -> NoReturn:
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
        os.close(stream)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["scratch"])
    gc.enable()
    worker.main(server, Path(order["scratch"]), "promptflow")


def _tell_ended(orders: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(orders, {"is": "ended", "pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(orders: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody is there any more: the next read says so, too
        orders.send(json.dumps(message).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os._exit(0)
