"""The warm workers: one per flow, connections and environment, at most so many, the least recently used going first.

Where a worker comes from is `nursery.py`'s business; here it is given a flow, to runs, and up.
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
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from shared.adapters.local.engines import needs_promptflow
from shared.adapters.local.flow_runner.limits import CallLimits
from shared.adapters.local.flow_runner.nursery import Nursery
from shared.adapters.local.flow_runner.process import WorkerProcess
from shared.errors import GenAIOpsError, Transient
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
        self._size = size
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._leases: list[Lease] = []
        self._nursery = Nursery(folder, python, limits)
        self._last_needed = 0.0
        """When a worker was last asked for, or foreseen."""
        self._numbers = count(1)
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

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
                    self._nursery.keep_a_spare()
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

    def foresee(self, flow: Path, flow_file: str) -> None:
        """Begin what takes longest for runs of such a flow: importing prompt flow, where it needs that."""
        if needs_promptflow(flow, flow_file):
            with self._changed:
                self._last_needed = time.monotonic()
                self._have_keeper()
            self._nursery.foresee()

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
            self._nursery.end(lease.worker, "it was replaced")

    def wake(self) -> None:
        """Have all who wait for a place ask again whether their run was given up."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End all workers, those that are starting or loading too; runs under way fail as transient."""
        with self._changed:
            self._closed.set()
            self._leases = []
            self._changed.notify_all()
        self._nursery.close()

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
                    self._nursery.end(lease.worker, "another flow needed its place")
                if len(self._leases) < self._size:
                    lease = Lease(key)
                    self._last_needed = lease.last_used
                    self._leases.append(lease)
                    self._have_keeper()
                    return lease, True
                self._changed.wait()
            return None

    def _loaded(self, spec: RunSpec, *, preload: bool) -> WorkerProcess:
        worker = self._nursery.worker(preload=preload)
        try:
            worker.load(spec)
        except BaseException as error:
            self._nursery.end(worker, "it could not load its flow")
            if self._closed.is_set():
                raise Transient("The flow runner was closed.") from error
            raise
        if self._closed.is_set():  # `close` may not have seen it yet
            self._nursery.end(worker, "the runner was closed")
            raise Transient("The flow runner was closed.")
        return worker

    def _have_keeper(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._look_after, name="worker-keeper", daemon=True)
            self._keeper.start()

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
                        self._nursery.end(lease.worker, "it was idle")
                # Under the lock, and with no lease: nobody is about to ask for a worker.
                if not self._leases and now - self._last_needed > self._idle_s:
                    self._nursery.end_idle()


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
    """What a warm worker is known by.

    Not by the folders: the digest covers every file that the flow can reach, and the next bundle brings most flows
    along unchanged.
    """
    held = [
        spec.flow_digest,
        spec.flow_file,
        spec.package,
        sorted((name, vars(connection)) for name, connection in spec.connections.items()),
        sorted(spec.environment.items()),
    ]
    return hashlib.sha256(json.dumps(held).encode()).hexdigest()
