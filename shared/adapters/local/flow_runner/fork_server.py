"""The runner's handle on the fork server, the process that makes workers of itself: starting it, asking it for workers.

`os.fork` in the runner's own process would copy its threads' locks and none of its threads; so a process of its own
imports prompt flow once, with one thread, and each worker is a copy of that (`fork_server_process.py`). Where there is
no such thing, or it cannot be used, workers are started as processes of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import IO, Final

from shared.adapters.local.flow_runner.protocol import LARGEST_PACKET

IS_POSSIBLE: Final = sys.platform == "linux"
"""Elsewhere a copy would not end with its parent, and the system's own libraries do not survive being copied."""
_MODULE: Final = "shared.adapters.local.flow_runner.fork_server_process"
_FORK_S: Final = 180.0
"""For importing prompt flow on a busy machine."""


class Unusable(Exception):
    """The fork server can make no worker: start one in the ordinary way."""


class ForkedProcess:
    """A worker that the fork server made, in the words of `subprocess.Popen`."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes], code: Future[int]) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._code = code

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._code.result() if self._code.done() else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit code. Raises subprocess.TimeoutExpired."""
        try:
            return self._code.result(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(_MODULE, timeout or 0.0) from None


class ForkServer:
    """Make it in a thread that outlives it: Linux kills the fork server and its workers when that thread ends."""

    def __init__(self, python: str, scratch: Path, environment: Mapping[str, str]) -> None:
        """Start it; it imports prompt flow meanwhile. Raises OSError."""
        self.scratch = scratch
        self._lock = threading.Lock()
        self._orders: dict[int, Future[tuple[int, Future[int]]]] = {}
        self._codes: dict[int, Future[int]] = {}
        self._numbers = count(1)
        self._ended = False
        self.was_up = False
        """Whether it has imported prompt flow and can be copied. If it ends without, another one would, too."""
        self._socket, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_end:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [python, "-m", _MODULE, str(os.getpid())],
                stdin=its_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=scratch,
                env=environment,
                start_new_session=True,
            )
        threading.Thread(target=self._read, name="worker-fork-server", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it can be asked for workers."""
        return not self._ended

    def fork(self, scratch: Path, environment: Mapping[str, str]) -> ForkedProcess:
        """A worker with that scratch folder and environment. Waits until the fork server is up.

        Raises:
            Unusable: there will be none.
        """
        number = next(self._numbers)
        made: Future[tuple[int, Future[int]]] = Future()
        with self._lock:
            if self._ended:
                raise Unusable("the fork server has ended")
            self._orders[number] = made
        order = {"order": number, "scratch": str(scratch), "environment": dict(environment)}
        with contextlib.ExitStack() as its, contextlib.ExitStack() as ours:
            streams = [_pipe(its, ours, writes=writes) for writes in (True, False, False)]
            try:
                socket.send_fds(self._socket, [json.dumps(order).encode()], [theirs for theirs, _ in streams])
                pid, code = made.result(_FORK_S)
            except TimeoutError as error:
                self.kill()
                raise Unusable("the fork server hangs") from error
            except OSError as error:  # it ended, or the environment is too large for a packet
                with self._lock:
                    self._orders.pop(number, None)
                raise Unusable(str(error)) from error
            ours.pop_all()
        stdin, stdout, stderr = (own for _, own in streams)
        return ForkedProcess(pid, stdin, stdout, stderr, code)

    def kill(self) -> None:
        """End it, and all of its workers."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        try:
            while data := self._socket.recv(LARGEST_PACKET):
                self._take(json.loads(data))
        except (OSError, ValueError, KeyError):
            pass
        finally:
            self._close()

    def _take(self, told: dict[str, object]) -> None:
        match told:
            case {"is": "forked", "order": int(number), "pid": int(pid)}:
                code: Future[int] = Future()
                with self._lock:
                    self._codes[pid] = code
                    made = self._orders.pop(number)
                made.set_result((pid, code))
            case {"is": "refused", "order": int(number), "reason": reason}:
                with self._lock:
                    made = self._orders.pop(number)
                made.set_exception(Unusable(str(reason)))
            case {"is": "ended", "pid": int(pid), "code": int(exit_code)}:
                with self._lock:
                    code = self._codes.pop(pid)
                code.set_result(exit_code)
            case {"is": "ready"}:
                self.was_up = True
            case _:  # it says why it will not be up, and ends
                return

    def _close(self) -> None:
        self.kill()
        with self._lock:
            self._ended = True
            orders, codes = list(self._orders.values()), list(self._codes.values())
            self._orders.clear()
            self._codes.clear()
        for made in orders:
            made.set_exception(Unusable("the fork server ended"))
        for code in codes:  # Linux has ended them together with it
            code.set_result(-signal.SIGKILL)
        self._socket.close()


def _pipe(its: contextlib.ExitStack, ours: contextlib.ExitStack, *, writes: bool) -> tuple[int, IO[bytes]]:
    """The worker's end, which is closed with `its`, and our end of a pipe, which is closed with `ours`."""
    reading, writing = os.pipe()
    theirs, own = (reading, writing) if writes else (writing, reading)
    its.callback(os.close, theirs)
    return theirs, ours.enter_context(open(own, "wb" if writes else "rb"))  # noqa: PTH123  # not a path
