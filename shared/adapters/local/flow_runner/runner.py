"""The port: runs by name, each once, in threads of its own; what happens inside one run is `drive.py`'s business.

A function that waited for a run would hold one of the few places of its queue, and its message's lock, for as long as
the run takes. So `start` waits a moment, for runs that are short, and leaves longer ones to those who look.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.adapters.local.flow_runner.drive import Drive
from shared.adapters.local.flow_runner.failures import Failures
from shared.adapters.local.flow_runner.limits import CALLS_IN_FLIGHT, CallLimits
from shared.adapters.local.flow_runner.pool import Pool, clear_left_behind
from shared.adapters.local.flow_runner.spool import Spool, clear_old, place, stored
from shared.errors import GenAIOpsError, NotFound, Transient
from shared.ports import RunOutcome, RunSpec, RunStatus

log = logging.getLogger("genaiops.flow_runner")

_CLEAR_S: Final = 3600.0
"""How often what is too old is removed from the runner's folder."""
_CLOSE_S: Final = 20.0
"""How long `close` waits for the threads of runs: a dataset that is read at that moment may take its time."""


@dataclass(eq=False)
class _Active:
    """A run that waits for its turn or is under way."""

    name: str
    drive: Drive
    ended: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    """Why it left no record; set before `ended`."""


class LocalFlowRunner:
    """Runs flows with prompt flow in warm worker processes. Safe for threads.

    `home` is its folder (results of ended runs for a day, scratch of the workers); it is not touched before a run needs
    it. `python` runs the workers and must have prompt flow and the flows' packages. `start` waits at most `grace_s`
    seconds for the end of its run. At most `max_runs` runs are under way, further ones take their turn; at most
    `max_workers` flows are kept warm, and further ones wait for a place; a worker that no run has used for `idle_s`
    seconds is ended. Over all runs and workers at most `calls_in_flight` calls are made to one model endpoint at once.
    Close the runner, or end the process: the workers end with it, however it ends.
    """

    def __init__(
        self,
        home: Path,
        python: str = sys.executable,
        max_workers: int = 6,
        idle_s: float = 300.0,
        *,
        grace_s: float = 3.0,
        max_runs: int = 16,
        calls_in_flight: int = CALLS_IN_FLIGHT,
    ) -> None:
        self._runs = home.absolute() / "runs"
        self._workers = home.absolute() / "workers"
        self._pool = Pool(self._workers, python, max_workers, idle_s, CallLimits(calls_in_flight))
        self._grace_s = grace_s
        self._max_runs = max_runs
        self._lock = threading.Lock()
        self._closed = False
        self._active: dict[str, _Active] = {}
        self._waiting: deque[_Active] = deque()
        self._threads: set[threading.Thread] = set()
        self._failures = Failures()
        self._clear_at = 0.0

    def prepare(self, spec: RunSpec) -> None:
        """Have a worker load the flow in the background, if there is a free place for one; raises nothing."""
        with self._lock:
            if self._closed:
                return
        threading.Thread(target=self._pool.warm, args=(spec,), name="flow-load", daemon=True).start()

    def foresee(self, flow: Path, flow_file: str) -> None:
        """Learn, before anything else of it is known, that runs of such a flow will come."""
        with self._lock:
            if not self._closed:
                self._pool.foresee(flow, flow_file)

    def start(self, spec: RunSpec) -> RunOutcome:
        """Start the run, or find the one of that name; RUNNING if it does not end soon.

        Raises:
            BusinessFailure: the flow cannot be loaded, or its process ends again and again.
            Transient: the runner was closed, or its disk is full; the run can be started again.
            Anything that reading the lines raises.
        """
        with self._lock:
            active = self._active.get(spec.name)
            if active is None:
                ended = self._stored(spec.name)
                if ended is not None:
                    return ended
                active = self._begin(spec)
        if not active.ended.wait(self._grace_s):
            return RunOutcome(RunStatus.RUNNING)
        if active.error is not None:
            with self._lock:
                self._failures.told(spec.name)
            raise active.error
        return self.look(spec.name)

    def look(self, name: str) -> RunOutcome:
        """Where the run is; lines of an ended run can be read again and again.

        Raises:
            NotFound: it was never started here, was lost, or ended over a day ago. Start it.
            BusinessFailure, Malformed: why it could not be run; until the name is started again.
            Transient and anything else that ended it: once. After that it is not found.
        """
        with self._lock:
            if name in self._active:
                return RunOutcome(RunStatus.RUNNING)
            ended = self._stored(name)
            if ended is None:
                self._failures.tell(name)
                raise NotFound(f"There is no run {name!r}: it was never started, did not end, or ended over a day ago.")
        return ended

    def cancel(self, name: str) -> None:
        """Stop the run; lines that have ended keep their results."""
        with self._lock:
            active = self._active.get(name)
            is_waiting = active is not None and active in self._waiting
            if active is not None and is_waiting:
                self._waiting.remove(active)
        if active is None:
            return
        active.drive.cancel()
        if is_waiting:  # it would have to wait for its turn only to end
            self._run(active)

    def ended_unnoticed(self) -> Iterable[Mapping[str, str]]:
        """None: whoever started a run here looks at it soon."""
        return ()

    def close(self) -> None:
        """End all workers and threads. Runs under way end as transient failures."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
            while self._waiting:
                active = self._waiting.popleft()
                self._end(active, Transient(f"The run {active.name!r} did not begin: the flow runner was closed."))
        self._pool.close()
        deadline = time.monotonic() + _CLOSE_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _stored(self, name: str) -> RunOutcome | None:
        try:
            return stored(place(self._runs, name))
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> Transient:
        return Transient(f"Results cannot be kept in {self._runs}: {error}. Is the disk full?")

    def _begin(self, spec: RunSpec) -> _Active:
        if self._closed:
            raise Transient("The flow runner is closed.")
        if len(self._threads) < self._max_runs:
            # A daemon: a host that is told to end at once does not wait for runs. The thread finds the run below, for
            # it asks under the lock that is held here.
            thread = threading.Thread(target=self._work, name="flow-run", daemon=True)
            thread.start()
            self._threads.add(thread)
        self._failures.begin_again(spec.name)
        active = _Active(spec.name, Drive(spec, self._pool))
        self._active[spec.name] = active
        self._waiting.append(active)
        return active

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads.discard(threading.current_thread())
                    return
                active = self._waiting.popleft()
            self._run(active)
            self._clear()

    def _run(self, active: _Active) -> None:
        error: BaseException | None = None
        try:
            self._drive(active)
        except OSError as raised:
            error = self._unusable(raised)
        except BaseException as raised:  # the thread has no caller: whoever looks next is told
            if not isinstance(raised, GenAIOpsError):
                log.exception("run %s ended by an error", active.name)
            error = raised
        with self._lock:
            self._end(active, error)

    def _drive(self, active: _Active) -> None:
        spool = Spool(self._runs)
        try:
            status, record = active.drive.run(spool)
            spool.finish(place(self._runs, active.name), status, record)
        except BaseException:
            spool.discard()
            raise

    def _end(self, active: _Active, error: BaseException | None) -> None:
        """Called under the lock: nobody sees the name neither active nor ended."""
        if error is None:
            self._failures.forget(active.name)
        else:
            active.error = self._failures.note(active.name, error)
        del self._active[active.name]
        active.ended.set()

    def _clear(self) -> None:
        now = time.monotonic()
        with self._lock:
            if now < self._clear_at:
                return
            self._clear_at = now + _CLEAR_S
        try:
            clear_old(self._runs)
            clear_left_behind(self._workers)
        except OSError as error:  # tidying is nobody's reason to fail
            log.warning("what is too old could not be removed from %s: %s", self._runs.parent, error)
