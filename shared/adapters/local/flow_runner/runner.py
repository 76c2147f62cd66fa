"""The port: runs by name, each once; what happens inside one run is `drive.py`'s business."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from shared.adapters.local.flow_runner.drive import Drive
from shared.adapters.local.flow_runner.pool import Pool, clear_left_behind
from shared.adapters.local.flow_runner.spool import Spool, clear_old, place, stored
from shared.errors import NotFound, Transient
from shared.ports import RunOutcome, RunSpec, RunStatus


@dataclass
class _Active:
    drive: Drive
    ended: Future[None] = field(default_factory=Future)


class LocalFlowRunner:
    """Runs flows with prompt flow in warm worker processes. Safe for threads; `start` returns when the run has ended.

    `home` is its folder (results of ended runs for a day, scratch of the workers); `python` runs the workers and must
    have prompt flow and the flows' packages; at most `max_workers` flows are kept warm, and further ones wait for a
    place; a worker that no run has used for `idle_s` seconds is ended. Close the runner, or end the process: the
    workers end with it, however it ends.
    """

    def __init__(self, home: Path, python: str = sys.executable, max_workers: int = 6, idle_s: float = 300.0) -> None:
        self._runs = home.absolute() / "runs"
        self._workers = home.absolute() / "workers"
        try:
            for folder in (self._runs, self._workers):
                folder.mkdir(parents=True, exist_ok=True)
            clear_old(self._runs)
            clear_left_behind(self._workers)
        except OSError as error:
            raise Transient(f"The flow runner cannot use its folder {home}: {error}.") from error
        self._pool = Pool(self._workers, python, max_workers, idle_s)
        self._lock = threading.Lock()
        self._active: dict[str, _Active] = {}

    def start(self, spec: RunSpec) -> RunOutcome:
        """Run the flow over all lines, or find (and wait for) the run of that name.

        Raises:
            BusinessFailure: the flow cannot be loaded, or its process ends again and again.
            Transient: the runner was closed, or its disk is full; the run can be started again.
        """
        target = place(self._runs, spec.name)
        with self._lock:
            active = self._active.get(spec.name)
            if active is None:
                ended = stored(target)
                if ended is not None:
                    return ended
                spool = self._spool()
                active = _Active(Drive(spec, self._pool, spool))
                self._active[spec.name] = active
                is_mine = True
            else:
                is_mine = False
        if is_mine:
            self._run(spec.name, active, spool, target)
        active.ended.result()
        ended = stored(target)
        assert ended is not None
        return ended

    def _spool(self) -> Spool:
        try:
            return Spool(self._runs)
        except OSError as error:
            raise _disk(self._runs, error) from error

    def _run(self, name: str, active: _Active, spool: Spool, target: Path) -> None:
        try:
            status, record = active.drive.run()
            spool.finish(target, status, record)
        except OSError as error:
            spool.discard()
            active.ended.set_exception(_disk(self._runs, error))
        except BaseException as error:
            spool.discard()
            active.ended.set_exception(error)
        else:
            active.ended.set_result(None)
        finally:
            with self._lock:
                del self._active[name]

    def look(self, name: str) -> RunOutcome:
        """Where the run is. Raises NotFound."""
        with self._lock:
            if name in self._active:
                return RunOutcome(RunStatus.RUNNING)
        ended = stored(place(self._runs, name))
        if ended is None:
            raise NotFound(f"There is no run {name!r}: it was never started, did not end, or ended over a day ago.")
        return ended

    def cancel(self, name: str) -> None:
        """Stop the run; lines that have ended keep their results."""
        with self._lock:
            active = self._active.get(name)
        if active is not None:
            active.drive.cancel()

    def close(self) -> None:
        """End all workers. Runs under way end as transient failures."""
        self._pool.close()


def _disk(folder: Path, error: OSError) -> Transient:
    return Transient(f"Results cannot be written to {folder}: {error}. Is the disk full?")
