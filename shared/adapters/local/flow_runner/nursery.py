"""Starting worker processes and ending them, whatever they are to hold.

Importing prompt flow takes a second or more, loading a flow takes milliseconds. So one process imports it and each
worker is a copy of that (`fork_server.py`); where that cannot be, one spare process, with prompt flow imported and no
flow in it, waits for the next flow that needs it. Plain Python needs neither: its worker is up at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from shared.adapters.local.flow_runner import fork_server
from shared.adapters.local.flow_runner.fork_server import ForkServer, Unusable
from shared.adapters.local.flow_runner.limits import CallLimits
from shared.adapters.local.flow_runner.process import WorkerProcess
from shared.adapters.local.flow_runner.start import Started, started, worker_environment
from shared.errors import BusinessFailure, Transient

log: Final = logging.getLogger("genaiops.flow_runner")

_T = TypeVar("_T")


class Nursery:
    """Where workers come from, each with a scratch folder under `folder`. Safe for threads."""

    def __init__(self, folder: Path, python: str, limits: CallLimits) -> None:
        self._folder = folder
        self._python = python
        self._limits = limits
        self._lock = threading.Lock()
        self._can_copy = fork_server.IS_POSSIBLE
        self._fork_server: Future[ForkServer] | None = None
        self._spare: Future[WorkerProcess] | None = None
        self._workers: set[WorkerProcess] = set()
        """All that live, whatever they are doing."""
        self._numbers = count(1)
        self._closed = threading.Event()
        # One thread starts all processes and lives as long as this: Linux ends a process with the thread that started
        # it, and a thread of the functions host may end at any time. It waits for none of them: what takes seconds are
        # their imports, and those run side by side.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-starter")

    def worker(self, *, preload: bool) -> WorkerProcess:
        """A worker without a flow; with `preload` prompt flow is imported in it, or is about to be.

        Raises:
            BusinessFailure: there is no such Python.
            Transient: it cannot be started now, or this is closed.
        """
        try:
            return self._made(preload=preload)
        except FileNotFoundError as error:
            raise BusinessFailure(f"A flow worker cannot be started with {self._python}: {error}.") from error
        except OSError as error:
            raise Transient(f"A flow worker cannot be started: {error}.") from error

    def foresee(self) -> None:
        """Begin to import prompt flow: a worker with it will be asked for."""
        if self._can_copy:
            self._begun_fork_server()
        else:
            self.keep_a_spare()

    def keep_a_spare(self) -> None:
        """Begin with the next worker, where workers are not copied."""
        with self._lock:
            if not self._can_copy and self._spare is None and not self._closed.is_set():
                self._spare = self._starter.submit(self._start, preload=True)

    def end(self, worker: WorkerProcess, because: str) -> None:
        """End it at once; `because` is what its runs are told."""
        worker.kill(because)
        self._workers.discard(worker)
        shutil.rmtree(worker.scratch, ignore_errors=True)

    def end_idle(self) -> None:
        """End what waits for a next worker. Not to be called while somebody may ask for one: it would end, too."""
        with self._lock:
            if self._spare is not None and self._spare.done():
                self.end(self._spare.result(), "it was idle")
                self._spare = None
            if self._fork_server is not None and self._fork_server.done():
                self._end_fork_server(self._fork_server)
                self._fork_server = None

    def close(self) -> None:
        """End all workers, those that are starting too."""
        with self._lock:
            self._closed.set()
            self._spare = None
            server, self._fork_server = self._fork_server, None
        self._starter.shutdown(wait=True)  # no worker comes after this: one that was being started is ended at once
        for worker in list(self._workers):
            self.end(worker, "the runner was closed")
        if server is not None:
            self._end_fork_server(server)

    def _made(self, *, preload: bool) -> WorkerProcess:
        spare = None
        if preload:
            copied = self._copied() if self._can_copy else None
            if copied is not None:
                return copied
            with self._lock:
                spare, self._spare = self._spare, None
        if spare is not None:
            worker = spare.result()
            if worker.alive:
                return worker
            self.end(worker, "it ended before it was needed")
        with self._lock:
            if self._closed.is_set():
                raise Transient("The flow runner is closed.")
            begun = self._starter.submit(self._start, preload=preload)
        return begun.result()

    def _start(self, *, preload: bool) -> WorkerProcess:
        return self._worker(lambda scratch: started(self._python, scratch, preload=preload))

    def _copied(self) -> WorkerProcess | None:
        """A copy of the fork server; None where there is none to be had."""
        begun = self._begun_fork_server()
        if begun is None:
            return None
        try:
            server = begun.result()
        except OSError:  # starting a worker will say the same
            return None
        try:
            return self._worker(lambda scratch: server.fork(scratch, worker_environment(scratch)))
        except Unusable as error:
            if not server.was_up and not self._closed.is_set():
                log.info("workers are started one by one: %s", error)
                self._can_copy = False
            return None

    def _begun_fork_server(self) -> Future[ForkServer] | None:
        with self._lock:
            if self._closed.is_set():
                return None
            if self._fork_server is not None and _has_gone(self._fork_server):
                self._end_fork_server(self._fork_server)
                self._fork_server = None
            if self._fork_server is None:
                self._fork_server = self._starter.submit(self._start_fork_server)
            return self._fork_server

    def _start_fork_server(self) -> ForkServer:
        return self._in_scratch(lambda scratch: ForkServer(self._python, scratch, worker_environment(scratch)))

    def _end_fork_server(self, begun: Future[ForkServer]) -> None:
        if not begun.cancel() and begun.exception() is None:
            begun.result().kill()
            shutil.rmtree(begun.result().scratch, ignore_errors=True)

    def _worker(self, start: Callable[[Path], Started]) -> WorkerProcess:
        worker = self._in_scratch(lambda scratch: WorkerProcess(start(scratch), scratch, self._limits))
        self._workers.add(worker)
        if self._closed.is_set():
            self.end(worker, "the runner was closed")
        return worker

    def _in_scratch(self, make: Callable[[Path], _T]) -> _T:
        scratch = self._folder / f"{os.getpid()}-{id(self):x}-{next(self._numbers)}"
        scratch.mkdir(parents=True)
        try:
            return make(scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise


def _has_gone(server: Future[ForkServer]) -> bool:
    return server.done() and (server.exception() is not None or not server.result().alive)
