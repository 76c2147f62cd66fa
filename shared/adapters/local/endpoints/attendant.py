"""Keeps one deployment running: starts its process, checks its health, starts it again, and gives up in the end.

CREATING ──port and health──▶ READY ──crash, or no health──▶ CREATING (after a pause that doubles)
CREATING ──the flow does not load, or too many quick crashes──▶ FAILED, until it is deployed again or the host restarts
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from shared.adapters.local.endpoints.process import ServedProcess, ServeOrders
from shared.adapters.local.endpoints.state import DesiredDeployment
from shared.adapters.local.engines.dag import materialised_dag
from shared.adapters.local.engines.environment import declared_environment
from shared.adapters.local.engines.kinds import kind_of
from shared.connections import Connection
from shared.ports import DeploymentState
from shared.redaction import secrets_of
from shared.use_case.flow_model import FlowKind
from shared.use_case.model import ConnectionSpec

_log = logging.getLogger(__name__)

Resolve = Callable[[Sequence[ConnectionSpec]], Mapping[str, Connection]]
"""Descriptions of connections → connections, asked again at every start of a process."""
FillIn = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Variables as they are written → with values for `${NAME}`, asked again at every start of a process."""


@dataclass(frozen=True)
class Care:
    """How deployments are looked after. Times are in seconds."""

    start_timeout_s: float = 120.0
    quick_crash_s: float = 10.0
    """A process that ends sooner than so long after it was ready has crashed quickly."""
    quick_crashes: int = 5
    """After so many in a row the deployment has failed."""
    first_pause_s: float = 0.2
    longest_pause_s: float = 30.0
    health_interval_s: float = 5.0
    health_failures: int = 12
    """After so many in a row it is started again: many, for /health must wait for a thread while all of them score."""
    threads: int = 32
    """Requests that a deployment works on at once."""


class Attendant:
    """Of one deployment. `step` is called again and again by one thread, and never waits."""

    def __init__(
        self,
        deployment: DesiredDeployment,
        folder: Path,
        *,
        resolve: Resolve,
        fill_in: FillIn,
        healthy: Callable[[int], Future[bool]],
        report: Callable[[DeploymentState, str, int | None, int | None], None],
        care: Care,
        max_body: int,
    ) -> None:
        self.folder = folder
        self._deployment = deployment
        self._resolve = resolve
        self._fill_in = fill_in
        self._healthy = healthy
        self._report = report
        self._care = care
        self._max_body = max_body
        self._process: ServedProcess | None = None
        self._failed = False
        self._started_at = 0.0
        self._ready_at: float | None = None
        self._start_again_at = 0.0
        self._crashes = 0
        self._why = ""
        """What ended the last process, until its successor is ready."""
        self._unhealthy = 0
        self._check: Future[bool] | None = None
        self._check_at = 0.0

    @property
    def starting(self) -> bool:
        """Whether its process is on its way up, which takes a whole core."""
        return self._process is not None and self._ready_at is None

    def step(self, *, may_start: bool) -> None:
        """Look once, and do what is due."""
        now = time.monotonic()
        if self._failed:
            return
        if self._process is None:
            if may_start and now >= self._start_again_at:
                self._start(now)
            return
        if (how := self._process.ended()) is not None:
            self._crashed(self._process, now, how)
        elif self._ready_at is None and now - self._started_at > self._care.start_timeout_s:
            self._crashed(
                self._process, now, f"It was not ready within {self._care.start_timeout_s:g} s; {self._process.tail()}"
            )
        elif self._process.port is not None:
            self._look_after(self._process, self._process.port, now)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _start(self, now: float) -> None:
        wanted = self._deployment
        try:
            flow = self.folder / wanted.flow
            connections = self._resolve(wanted.connections)
            # What the flow asks this host for is hidden in its errors as what it is given.
            asked = declared_environment(flow, wanted.flow_file)
            environment = {**asked, **self._fill_in(wanted.environment)}
            orders = ServeOrders(
                flow=flow,
                flow_file=wanted.flow_file,
                package=wanted.package,
                root=self.folder / wanted.root if wanted.root else None,
                dag=_applied_dag(flow, wanted),
                variants=wanted.variants,
                parameters=wanted.parameters,
                scratch=self.folder / "promptflow-home",
                connections=connections,
                environment=environment,
                secrets=secrets_of(connections.values(), environment),
                threads=self._care.threads,
                max_body=self._max_body,
            )
            self._process = ServedProcess(orders)
        except OSError as error:
            # A full disk, no more processes: that may pass.
            self._pause(now, f"It cannot be started: {error}")
            return
        except Exception as error:
            _log.warning("deployment %s cannot be started", wanted.name, exc_info=True)
            self._give_up(str(error) or type(error).__name__)
            return
        self._started_at = now
        self._ready_at = None
        self._check_at = 0.0
        self._check = None
        self._report(DeploymentState.CREATING, self._why or "its process starts", None, None)

    def _look_after(self, process: ServedProcess, port: int, now: float) -> None:
        if self._ready_at is not None and now - self._ready_at > self._care.quick_crash_s:
            self._crashes = 0
        if self._check is None:
            if now >= self._check_at:
                self._check = self._healthy(port)
            return
        if not self._check.done():
            return
        healthy, self._check = self._check.result(), None
        self._check_at = now + (self._care.health_interval_s if self._ready_at is not None else 0.1)
        if healthy:
            self._unhealthy = 0
            if self._ready_at is None:
                self._ready_at = now
                self._why = ""
                _log.info("deployment %s is ready after %.1f s", self._deployment.name, now - self._started_at)
                self._report(DeploymentState.READY, "", port, process.pid)
        elif self._ready_at is not None:
            self._unhealthy += 1
            if self._unhealthy >= self._care.health_failures:
                self._crashed(process, now, f"Its /health did not answer {self._unhealthy} times in a row")

    def _crashed(self, process: ServedProcess, now: float, how: str) -> None:
        process.stop()
        self._process = None
        if process.failure is not None:
            # The same flow would fail in the same way again.
            self._give_up(f"The flow cannot be served: {how}")
            return
        quick = self._ready_at is None or now - self._ready_at < self._care.quick_crash_s
        self._crashes = self._crashes + 1 if quick else 1
        self._ready_at = None
        self._unhealthy = 0
        if self._crashes >= self._care.quick_crashes:
            self._give_up(f"It crashed {self._crashes} times in a row. {how}")
        else:
            self._pause(now, how)

    def _pause(self, now: float, why: str) -> None:
        pause = min(self._care.first_pause_s * 2 ** max(0, self._crashes - 1), self._care.longest_pause_s)
        self._start_again_at = now + pause
        self._why = f"it is started again: {why}"
        _log.warning("deployment %s is started again in %.1f s: %s", self._deployment.name, pause, why)
        self._report(DeploymentState.CREATING, self._why, None, None)

    def _give_up(self, reason: str) -> None:
        self._failed = True
        _log.error("deployment %s has failed: %s", self._deployment.name, reason)
        self._report(DeploymentState.FAILED, reason, None, None)


def _applied_dag(flow: Path, wanted: DesiredDeployment) -> Path | None:
    """A DAG with variants and parameters applied; None for a flow of another kind, which needs no file for them."""
    if kind_of(flow, wanted.flow_file) is not FlowKind.DAG:
        return None
    # Beside the flow's own file, which stays as it was deployed: variants can then be applied at every start.
    dag = flow / "served.dag.yaml"
    content = materialised_dag(flow, wanted.variants, wanted.parameters, wanted.flow_file)
    dag.write_text(json.dumps(content), encoding="utf-8")
    return dag
