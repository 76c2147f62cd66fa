"""The port FlowRunner on Azure ML: a run is submitted once and looked at; nothing here waits for one.

`start` writes the lines into a file, stages the flow, puts the lines into the workspace's storage, writes a note down
and submits. After a crash anywhere in between the same start does the rest: the name is the same, and so is what it
finds.
"""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.runs import staging
from shared.adapters.azure.machine_learning.runs.artifacts import WorkspaceStorage
from shared.adapters.azure.machine_learning.runs.delta import nothing_to_run, write_delta
from shared.adapters.azure.machine_learning.runs.environment import environment_of
from shared.adapters.azure.machine_learning.runs.history import History
from shared.adapters.azure.machine_learning.runs.names import cloud_name
from shared.adapters.azure.machine_learning.runs.notes import RunNote, RunNotes
from shared.adapters.azure.machine_learning.runs.outcome import Outcomes, data_name, failure, unsubmitted
from shared.adapters.azure.machine_learning.runs.starting import StartingRuns
from shared.adapters.azure.machine_learning.runs.submission import Submission, Submitter
from shared.adapters.local.flow_runner.known import may_aggregate
from shared.errors import Conflict, NotFound, Transient
from shared.ports import BlobStore, RunOutcome, RunSpec, RunStatus

log = logging.getLogger("genaiops.azure_runs")

_COMPLETED: Final = "Completed"
_FAILED: Final = "Failed"
_CANCELLED: Final = frozenset({"Canceled", "CancelRequested", "Cancelled"})
_ASKED: Final = 64
"""Open runs whose status one sweep asks for."""
_SUBMITTED_BY_THEN: Final = timedelta(hours=1)
"""After this time, nobody is still submitting a run that was noted: no function runs as long."""
_WATCHED: Final = 256
"""Runs whose progress is told by the process that started them."""


class AzureFlowRunner:
    """Runs flows on Azure ML. Safe for threads.

    Args:
        workspace: where they run.
        blobs: where notes of runs are kept.
        retries: how often a request whose connection failed is sent again.
        timeout_s: seconds without an answer after which a request counts as failed.
    """

    def __init__(self, workspace: Workspace, blobs: BlobStore, *, retries: int = 3, timeout_s: float = 30.0) -> None:
        self._workspace = workspace
        self._notes = RunNotes(blobs)
        self._history = History(workspace, retries=retries, timeout_s=timeout_s)
        self._storage = WorkspaceStorage(workspace, retries=retries, timeout_s=timeout_s)
        self._submitter = Submitter(workspace)
        self._outcomes = Outcomes(self._history, self._storage, self._submitter)
        self._starting = StartingRuns()
        self._sweeps = count(random.randrange(1_000))  # noqa: S311  # so that processes begin at different runs
        self._watching: dict[str, Callable[[int], None]] = {}

    def prepare(self, spec: RunSpec) -> None:
        """Nothing: a run's snapshot is uploaded when it is submitted, and the same one only once."""

    def start(self, spec: RunSpec) -> RunOutcome:
        """Submit the run, or find the one of that name.

        Raises:
            BusinessFailure: the flow cannot be run at all, or its run failed as a whole.
            Throttled, Transient: try again.
            Anything that reading the lines raises.
        """
        cloud = cloud_name(spec.name)
        with self._starting.held(cloud):
            if self._notes.known(cloud) is not None:
                try:
                    return self.look(spec.name)
                except NotFound:
                    log.info("%s was noted and never submitted: submitting it", spec.name)
            with tempfile.TemporaryDirectory(prefix="genaiops-run-") as scratch:
                return self._begin(spec, cloud, Path(scratch))

    def look(self, name: str) -> RunOutcome:
        """Where the run is.

        Raises:
            NotFound: no run of that name was started, or Azure ML does not know it. Start it.
            BusinessFailure: it failed as a whole.
            Throttled, Transient: look again.
        """
        cloud = cloud_name(name)
        note = self._notes.known(cloud)
        if note is None:
            raise NotFound(f"There is no run {name!r}: it was never started here.")
        run = self._run(name, cloud)
        status = str(run.get("status"))
        if status == _COMPLETED:
            outcome = self._outcomes.completed(cloud, note, run)
            self._closed(cloud, note)
            return outcome
        if status == _FAILED:
            self._closed(cloud, note)
            raise failure(run)
        if status in _CANCELLED:
            self._closed(cloud, note)
            return RunOutcome(RunStatus.CANCELLED)
        return RunOutcome(RunStatus.RUNNING)

    def cancel(self, name: str) -> None:
        """Stop the run; one that has ended or does not exist is no error. Raises Throttled, Transient.

        Nobody wants its outcome: it is open no more, so that no timer asks for it again and again.
        """
        cloud = cloud_name(name)
        opened = self._notes.opened(cloud)
        if opened is None:
            return
        try:
            run = self._run(name, cloud)
        except NotFound:
            # Whoever noted it may be submitting it at this moment: then its look, which comes stale, is here again.
            if datetime.now(UTC) - opened > _SUBMITTED_BY_THEN:
                self._closed(cloud)
            return
        if str(run.get("status")) not in (_COMPLETED, _FAILED, *_CANCELLED):
            self._submitter.cancel(cloud)
        self._closed(cloud)

    def ended_unnoticed(self) -> Iterable[Mapping[str, str]]:
        """Tags of runs that have ended and whose outcome nobody has fetched: their event was lost, or is late.

        Where many runs are open, each call asks for others of them. Raises as `look`.
        """
        names = list(self._notes.still_open())
        first = next(self._sweeps) * _ASKED % len(names) if len(names) > _ASKED else 0
        for cloud in (names + names)[first : first + min(len(names), _ASKED)]:
            note = self._notes.known(cloud)
            if note is None:
                continue
            try:
                status = str(self._history.run(cloud).get("status"))
            except NotFound:
                status = ""  # noted and never submitted: a look finds it lost, and starts it
            if status in ("", _COMPLETED, _FAILED, *_CANCELLED):
                yield dict(note.tags)

    def _run(self, name: str, cloud: str) -> Mapping[str, Any]:
        try:
            return self._history.run(cloud)
        except NotFound as error:
            raise NotFound(f"The run {name!r} is not in {self._workspace.title}: {error}") from error

    def _begin(self, spec: RunSpec, cloud: str, scratch: Path) -> RunOutcome:
        is_dag = staging.is_dag(spec)
        environment = environment_of(spec)
        delta = write_delta(
            scratch / "lines.jsonl",
            spec.numbered_lines(),
            is_dag=is_dag,
            defaults=staging.defaults(spec) if is_dag else {},
        )
        if not delta.lines and not self._only_aggregates(spec):
            self._tell(spec, len(delta.refused))
            return unsubmitted(spec, delta.refused)
        if not delta.lines:
            nothing_to_run(delta.file, is_dag=is_dag)
        staged = staging.stage(spec, scratch / (spec.flow.name or "flow"), delta, environment=environment)
        data = data_name(cloud, delta.file)
        note = RunNote(
            name=spec.name,
            data=data,
            lines=delta.lines + len(delta.refused),
            known_lines=spec.known_count,
            tolerated_failures=spec.tolerated_failures,
            is_dag=is_dag,
            aggregations=staged.aggregations,
            models=staged.models,
            refused=delta.refused,
            tags=dict(spec.tags),
        )
        submission = Submission(
            cloud=cloud,
            display_name=spec.name,
            staged=staged,
            data=self._storage.upload(delta.file, data),
            environment=environment,
            tags=spec.tags,
            lineage=spec.flow_digest[:40],
            instance_type=self._workspace.azure.instance_type,
            runtime=spec.runtime,
        )
        former = self._notes.known(cloud)
        self._notes.write(cloud, note)
        if spec.on_progress is not None:
            self._watch(cloud, spec.on_progress)
        try:
            self._submitter.submit(submission)
        except Conflict as conflict:
            self._found_or(conflict, spec.name, cloud)
            if former is not None and former != note:  # it is the run of whoever noted it before
                self._notes.write(cloud, former)
        return RunOutcome(RunStatus.RUNNING)

    def _found_or(self, conflict: Conflict, name: str, cloud: str) -> None:
        """Another submission may have been faster, or it was the snapshot that two of them uploaded at once."""
        try:
            self._run(name, cloud)
        except NotFound:
            raise Transient(str(conflict)) from conflict

    def _only_aggregates(self, spec: RunSpec) -> bool:
        return bool(spec.known_count) and spec.aggregate and may_aggregate(spec.flow, spec.flow_file)

    def _closed(self, cloud: str, note: RunNote | None = None) -> None:
        self._notes.close(cloud)
        watching = self._watching.pop(cloud, None)
        if watching is not None and note is not None:
            watching(note.lines)

    def _watch(self, cloud: str, on_progress: Callable[[int], None]) -> None:
        """Tell of the run's end, if this process is the one that learns of it: most runs end in another's sight."""
        while len(self._watching) >= _WATCHED:
            self._watching.pop(next(iter(self._watching), ""), None)
        self._watching[cloud] = on_progress

    def _tell(self, spec: RunSpec, lines: int) -> None:
        if spec.on_progress is not None:
            spec.on_progress(lines)
