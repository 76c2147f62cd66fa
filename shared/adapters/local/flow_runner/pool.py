"""The warm workers: one per flow, connections and environment, at most so many, the least recently used going first.

One spare process, with prompt flow imported and no flow in it, waits for the next flow that needs prompt flow:
importing takes seconds, loading a flow takes milliseconds. Plain Python needs no spare: its worker is up at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from shared.adapters.local.engines import needs_promptflow
from shared.adapters.local.flow_runner.limits import CallLimits
from shared.adapters.local.flow_runner.process import WorkerProcess
from shared.errors import BusinessFailure, GenAIOpsError, Transient
from shared.ports import RunSpec

_TICK_S: Final = 1.0


@dataclass
class Lease:
    """A place in the pool, taken by one or more runs."""

    key: str
    ready: Future[WorkerProcess] = field(default_factory=Future)
    users: int = 1
    retired: bool = False
    """Its worker takes no more runs and is ended with its last one."""
    last_used: float = field(default_factory=time.monotonic)

    @property
    def worker(self) -> WorkerProcess:
        """The process; known once `acquire` has returned."""
        return self.ready.result()


class Pool:
    """Workers by what they hold. Safe for threads."""

    def __init__(self, folder: Path, python: str, size: int, idle_s: float, limits: CallLimits) -> None:
        self.limits = limits
        self._folder = folder
        self._python = python
        self._size = size
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._leases: list[Lease] = []
        self._spare: Future[WorkerProcess] | None = None
        self._workers: set[WorkerProcess] = set()
        """All that live, whatever they are doing."""
        self._numbers = count(1)
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None
        # One thread starts all processes and lives as long as the pool: Linux ends a worker with the thread that
        # started it, and a thread of the functions host may end at any time. It waits for none of them: what takes
        # seconds are their imports, and those run side by side.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-starter")

    def acquire(self, spec: RunSpec, *, private: bool, given_up: Callable[[], bool]) -> Lease | None:
        """A worker that holds the flow; a private one is shared with nobody and ended when it is given back.

        Waits while all places are taken by runs. None if the run was given up meanwhile: `wake` makes it ask.

        Raises:
            BusinessFailure, Transient: as `WorkerProcess.load`, or because the pool is closed.
        """
        key = f"private {next(self._numbers)}" if private else _key(spec)
        placed = self._place(key, given_up)
        if placed is None:
            return None
        lease, is_mine = placed
        if is_mine:
            try:
                preload = needs_promptflow(spec.flow, spec.flow_file)
                lease.ready.set_result(self._loaded(spec, preload=preload))
            except BaseException as error:
                lease.retired = True
                lease.ready.set_exception(error)
            else:
                if preload:
                    self._keep_a_spare()
        try:
            lease.ready.result()
        except BaseException:
            self.release(lease)
            raise
        return lease

    def warm(self, spec: RunSpec) -> None:
        """Have the flow loaded for runs to come, unless it is or every place is taken; raises nothing."""
        with self._changed:
            if len(self._leases) >= self._size or any(lease.key == _key(spec) for lease in self._leases):
                return
        with contextlib.suppress(GenAIOpsError):  # whoever starts a run of it is told what is wrong
            lease = self.acquire(spec, private=False, given_up=lambda: False)
            if lease is not None:
                self.release(lease)

    def release(self, lease: Lease, *, retire: bool = False) -> None:
        """Give the worker back; `retire` ends it as soon as no other run uses it."""
        with self._changed:
            lease.users -= 1
            lease.last_used = time.monotonic()
            lease.retired |= retire or lease.key.startswith("private ")
            ends = lease.retired and lease.users == 0
            if ends and lease in self._leases:
                self._leases.remove(lease)
            self._changed.notify_all()
        if ends and lease.ready.exception() is None:
            self._end(lease.worker, "it was replaced")

    def wake(self) -> None:
        """Have all who wait for a place ask again whether their run was given up."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End all workers, those that are starting or loading too; runs under way fail as transient."""
        with self._changed:
            self._closed.set()
            self._leases = []
            self._spare = None
            self._changed.notify_all()
        self._starter.shutdown(wait=True)  # no worker comes after this: one that was being started is ended by `_start`
        for worker in list(self._workers):
            self._end(worker, "the runner was closed")

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def _place(self, key: str, given_up: Callable[[], bool]) -> tuple[Lease, bool] | None:
        with self._changed:
            while not given_up():
                if self._closed.is_set():
                    raise Transient("The flow runner is closed.")
                for lease in self._leases:
                    if lease.key == key and not lease.retired and _usable(lease):
                        lease.users += 1
                        return lease, False
                idle = [lease for lease in self._leases if lease.users == 0]
                gone = [lease for lease in idle if not _usable(lease)]
                if len(self._leases) >= self._size:
                    gone += sorted((lease for lease in idle if lease not in gone), key=lambda i: i.last_used)[:1]
                for lease in gone:
                    self._leases.remove(lease)
                    self._end(lease.worker, "another flow needed its place")
                if len(self._leases) < self._size:
                    lease = Lease(key)
                    self._leases.append(lease)
                    if self._keeper is None:
                        self._keeper = threading.Thread(target=self._look_after, name="worker-keeper", daemon=True)
                        self._keeper.start()
                    return lease, True
                self._changed.wait()
            return None

    def _loaded(self, spec: RunSpec, *, preload: bool) -> WorkerProcess:
        try:
            worker = self._started(preload=preload)
        except FileNotFoundError as error:
            raise BusinessFailure(f"A flow worker cannot be started with {self._python}: {error}.") from error
        except OSError as error:
            raise Transient(f"A flow worker cannot be started: {error}.") from error
        try:
            worker.load(spec)
        except BaseException as error:
            self._end(worker, "it could not load its flow")
            if self._closed.is_set():
                raise Transient("The flow runner was closed.") from error
            raise
        if self._closed.is_set():  # `close` may not have seen it yet
            self._end(worker, "the runner was closed")
            raise Transient("The flow runner was closed.")
        return worker

    def _started(self, *, preload: bool) -> WorkerProcess:
        spare = None
        if preload:
            with self._changed:
                spare, self._spare = self._spare, None
        if spare is not None:
            worker = spare.result()
            if worker.alive:
                return worker
            self._end(worker, "it ended before it was needed")
        with self._changed:
            if self._closed.is_set():
                raise Transient("The flow runner is closed.")
            started = self._starter.submit(self._start, preload=preload)
        return started.result()

    def _start(self, *, preload: bool) -> WorkerProcess:
        scratch = self._folder / f"{os.getpid()}-{id(self):x}-{next(self._numbers)}"
        scratch.mkdir(parents=True)
        try:
            worker = WorkerProcess(self._python, scratch, self.limits, preload=preload)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        self._workers.add(worker)
        if self._closed.is_set():
            self._end(worker, "the runner was closed")
        return worker

    def _keep_a_spare(self) -> None:
        with self._changed:
            if self._spare is None and not self._closed.is_set():
                self._spare = self._starter.submit(self._start, preload=True)

    def _end(self, worker: WorkerProcess, because: str) -> None:
        worker.kill(because)
        self._workers.discard(worker)
        shutil.rmtree(worker.scratch, ignore_errors=True)

    def _look_after(self) -> None:
        while not self._closed.wait(_TICK_S):
            now = time.monotonic()
            with self._changed:
                for lease in list(self._leases):
                    if not lease.ready.done() or lease.ready.exception() is not None:
                        continue
                    if lease.users and lease.worker.is_stuck(now):
                        lease.worker.kill("it stopped answering: a line held the interpreter and did not let go")
                    elif not lease.users and now - lease.last_used > self._idle_s:
                        self._leases.remove(lease)
                        self._end(lease.worker, "it was idle")
                if not self._leases and self._spare is not None and self._spare.done():
                    self._end(self._spare.result(), "it was idle")
                    self._spare = None


def clear_left_behind(folder: Path) -> None:
    """Remove the scratch folders of processes that were killed and could not do it themselves."""
    for scratch in folder.glob("*-*-*"):
        owner = scratch.name.split("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(scratch, ignore_errors=True)
        except (ValueError, OSError):
            continue


def _usable(lease: Lease) -> bool:
    if not lease.ready.done():
        return True
    if lease.ready.exception() is not None:
        return False
    worker = lease.worker
    # A bundle's folder may have been cleared away since; another bundle can hold the same flow.
    return worker.alive and worker.flow is not None and worker.flow.is_dir()


def _key(spec: RunSpec) -> str:
    held = [
        spec.flow_digest,
        spec.flow_file,
        spec.package,
        str(spec.root) if spec.package else "",
        sorted((name, vars(connection)) for name, connection in spec.connections.items()),
        sorted(spec.environment.items()),
    ]
    return hashlib.sha256(json.dumps(held).encode()).hexdigest()
