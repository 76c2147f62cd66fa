"""Makes what is asked for true: one thread in the embedded host compares desired documents with running processes.

Start it with the host and stop it with the host; a file lock keeps it to one per home. It holds the router too, since
both share the fleet. Nothing is lost when the host is killed: the served processes die with it, the documents stay, and
the next host starts the deployments again, with their counts.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from pathlib import Path
from threading import Event, Thread
from typing import Final

from filelock import FileLock, Timeout

from shared.adapters.local.endpoints.attendant import Attendant, Care, FillIn, Resolve
from shared.adapters.local.endpoints.fleet import Fleet
from shared.adapters.local.endpoints.router import DEFAULT_MAX_BODY, EndpointRouter
from shared.adapters.local.endpoints.state import SERVED, DesiredDeployment
from shared.errors import GenAIOpsError
from shared.ports import BlobStore, DeploymentState

_log = logging.getLogger(__name__)

_TICK_S: Final = 0.1
_FLUSH_S: Final = 1.0
_LOCK_WAIT_S: Final = 5.0
_STARTING_AT_ONCE: Final = 2
_FORGOTTEN_AFTER_S: Final = 3600.0


class EndpointSupervisor:
    """Runs deployments and router between `start` and `stop`."""

    def __init__(
        self,
        blobs: BlobStore,
        home: Path,
        router_port: int,
        resolve: Resolve,
        *,
        fill_in: FillIn = dict,
        care: Care | None = None,
        max_body: int = DEFAULT_MAX_BODY,
    ) -> None:
        self._served = home / SERVED
        self._resolve = resolve
        self._fill_in = fill_in
        self._care = care or Care()
        self._max_body = max_body
        self._fleet = Fleet(blobs)
        self._router = EndpointRouter(self._fleet, router_port, max_body=max_body)
        self._lock = FileLock(self._served / ".lock")
        self._attendants: dict[tuple[str, str], Attendant] = {}
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="endpoint-supervisor", daemon=True)

    def start(self) -> None:
        """Begin to serve; deployments become ready in the background.

        Raises:
            GenAIOpsError: another host serves this home, or the router's port is taken.
        """
        self._served.mkdir(parents=True, exist_ok=True)
        try:
            # A host that was killed lets go of the lock when the kernel has taken it apart: a moment later.
            self._lock.acquire(timeout=_LOCK_WAIT_S)
        except Timeout:
            raise GenAIOpsError(
                f"Another host serves the endpoints of {self._served.parent}. Stop it, or set GENAIOPS_HOME to another "
                "folder."
            ) from None
        try:
            self._fleet.refresh()
            self._router.start()
        except BaseException:
            self._lock.release()
            raise
        self._thread.start()

    def stop(self) -> None:
        """Let running requests end (5 seconds at most), end all processes, write the counts."""
        self._stopping.set()
        self._thread.join()
        self._router.stop()
        for attendant in self._attendants.values():
            attendant.stop()
        with contextlib.suppress(OSError):
            self._fleet.flush()
        self._lock.release()

    def _run(self) -> None:
        self._forget_leftovers()
        flush_at = 0.0
        while not self._stopping.wait(_TICK_S):
            try:
                self._reconcile()
                if time.monotonic() >= flush_at:
                    flush_at = time.monotonic() + _FLUSH_S
                    self._fleet.flush()
                    # Writers announce what they change; this finds what a writer was killed before announcing.
                    self._fleet.refresh()
            except Exception:
                # A full disk, a document that somebody edited by hand: what runs goes on running.
                _log.exception("looking after the endpoints failed; trying again")
                self._stopping.wait(_FLUSH_S)

    def _reconcile(self) -> None:
        wanted = {(endpoint, d.creation): d for endpoint, d in self._fleet.deployments()}
        for key in self._attendants.keys() - wanted.keys():
            attendant = self._attendants.pop(key)
            attendant.stop()
            shutil.rmtree(attendant.folder, ignore_errors=True)
        for key, deployment in wanted.items():
            if key not in self._attendants:
                self._attendants[key] = self._attendant(key[0], deployment)
        starting = sum(attendant.starting for attendant in self._attendants.values())
        for key in wanted:  # in this order: a host that has just started brings the traffic back first
            attendant = self._attendants[key]
            before = attendant.starting
            attendant.step(may_start=starting < _STARTING_AT_ONCE)
            starting += attendant.starting - before

    def _attendant(self, endpoint: str, deployment: DesiredDeployment) -> Attendant:
        def report(state: DeploymentState, reason: str, port: int | None, pid: int | None) -> None:
            self._fleet.set_state(endpoint, deployment.creation, state, reason, port=port, pid=pid)

        return Attendant(
            deployment,
            self._served / deployment.folder,
            resolve=self._resolve,
            fill_in=self._fill_in,
            healthy=self._router.healthy,
            report=report,
            care=self._care,
            max_body=self._max_body,
        )

    def _forget_leftovers(self) -> None:
        """Delete folders that no document names: of a removal or a deploy that was cut short an hour ago."""
        named = {self._served / deployment.folder for _, deployment in self._fleet.deployments()}
        for folder in self._served.glob("*/*"):
            with contextlib.suppress(OSError):
                if folder not in named and time.time() - folder.stat().st_mtime > _FORGOTTEN_AFTER_S:
                    shutil.rmtree(folder)
