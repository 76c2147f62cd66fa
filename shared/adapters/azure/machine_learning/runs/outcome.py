"""An ended run → its outcome: lines and record, or in one sentence why there are none."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shared.adapters.azure.machine_learning.runs.artifacts import WorkspaceStorage, by_line
from shared.adapters.azure.machine_learning.runs.delta import read_rows
from shared.adapters.azure.machine_learning.runs.history import History
from shared.adapters.azure.machine_learning.runs.lines import message_of, records
from shared.adapters.azure.machine_learning.runs.notes import RunNote
from shared.adapters.azure.machine_learning.runs.submission import Submitter
from shared.adapters.local.flow_runner.summary import Summary
from shared.errors import BusinessFailure
from shared.ports import RunOutcome, RunSpec
from shared.results import LineRecord

_DATA: Final = "genaiops/{cloud}/{digest}/lines.jsonl"
"""Where a run's lines lie in the workspace's datastore. By content: where a crash came before the submission, the next
start may find other lines known, and must neither take the former file for its own nor change it under another's run.
"""
_FAILED: Final = "genaiops_aggregation_failed"
_MARK: Final = re.compile(r"genaiops-aggregation-failed: (\"(?:[^\"\\]|\\.)*\")")
_OUTPUTS: Final = ("debug_info", "flow_outputs")
_QUOTA: Final = re.compile(r"(?i)quota|capacity|insufficient.*cores|AmlComputeQuota|SkuNotAvailable")
_IMAGE: Final = re.compile(r"(?i)image build|build.*image|docker|pip.*(fail|error)|requirements|environment.*fail")
_CONNECTION: Final = re.compile(
    r"(?i)connection\b.{0,120}\b(not (found|exist)|not be found|cannot find|can't find|missing)"
)
_RATE: Final = re.compile(r"(?i)rate ?limit|too many requests|\b429\b")


class Outcomes:
    """Makes outcomes of what a run left in the workspace."""

    def __init__(self, history: History, storage: WorkspaceStorage, submitter: Submitter) -> None:
        self._history = history
        self._storage = storage
        self._submitter = submitter

    def completed(self, cloud: str, note: RunNote, run: Mapping[str, Any]) -> RunOutcome:
        """Of a run that Azure ML calls completed: lines may have failed all the same.

        Raises:
            Throttled, Transient, BusinessFailure: a service refuses.
        """
        summary = Summary(_as_summed(note))
        summary.engine = _engine(run)
        summary.models = note.models
        root = self._root(run)
        lines = Spooled(_counted(self._records(note, root), summary))
        metrics, error = _finite(self._history.metrics(cloud))
        if metrics.pop(_FAILED, 0.0):
            error = _told(self._submitter.log(cloud)) or "its log does not say why"
        summary.add_metrics(
            {
                "metrics": metrics,
                "error": self._node_errors(root, note) or error,
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "retries": 0,
                "model_calls": 0,
            }
        )
        status, record = summary.close(_time(run, "startTimeUtc", "createdUtc"), cancelled=False)
        record = record.model_copy(update={"ended_at": _time(run, "endTimeUtc", "startTimeUtc", "createdUtc")})
        return RunOutcome(status, record, lines)

    def _records(self, note: RunNote, root: str) -> Iterator[LineRecord]:
        rows = read_rows(self._storage.lines(note.data), is_dag=note.is_dag)
        names = (name for name in self._storage.names(f"{root}/flow_artifacts/") if name.endswith(".jsonl"))
        artifacts = by_line((_parsed(line) for line in self._storage.lines(name) if line.strip()) for name in names)
        return records(rows, artifacts, note.refused)

    def _root(self, run: Mapping[str, Any]) -> str:
        outputs = run.get("outputs") or {}
        for name in _OUTPUTS:
            asset = (outputs.get(name) or {}).get("assetId")
            if asset:
                return self._history.path(asset).removesuffix("/flow_outputs")
        raise BusinessFailure(f"The run {run.get('runId')} completed and has no outputs: look at it in the studio.")

    def _node_errors(self, root: str, note: RunNote) -> str:
        errors = []
        for node in note.aggregations:
            line = self._storage.first_line(f"{root}/node_artifacts/{node}/000000000.jsonl")
            info = _parsed(line).get("run_info") or {} if line else {}
            if info.get("status") == "Failed":
                errors.append(f"{node}: {message_of(info.get('error'))}")
        return "; ".join(errors)


def data_name(cloud: str, file: Path) -> str:
    """Where the lines of this file lie in the workspace's datastore."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return _DATA.format(cloud=cloud, digest=digest[:16])


def failure(run: Mapping[str, Any]) -> BusinessFailure:
    """Why a run failed as a whole, with what to do about it."""
    error = (run.get("error") or {}).get("error") or {}
    text = " ".join(str(error.get("message") or error.get("code") or "the service gives no reason").split())[:2_000]
    innermost = error
    while isinstance(innermost.get("innerError"), Mapping):
        innermost = innermost["innerError"]
    code = " ".join(str(part) for part in (error.get("code"), innermost.get("code"), text))
    if _QUOTA.search(code):
        advice = "Ask for more quota of the instance type, or name a smaller one in GENAIOPS_ML_INSTANCE_TYPE."
    elif _CONNECTION.search(code):
        advice = "Create it in the workspace (studio, Manage, Connections) under the name that experiment.yaml lists."
    elif _IMAGE.search(code):
        advice = "The image of the compute session was not built: check the flow's requirements.txt and `environment`."
    elif _RATE.search(code):
        advice = "The model's deployment was asked for too much: lower the use case's concurrency, or raise its rate."
    elif str(error.get("code")) == "UserError":
        advice = "It is the flow's own: run it on a laptop with the same lines, or look at the run's log in the studio."
    else:
        advice = "Start the chain again; if it comes back, look at the run in the studio."
    return BusinessFailure(f"The run {run.get('runId')} failed on Azure ML: {text.rstrip('.')}. {advice}")


class Spooled:
    """Records on disk, in order, to be read again and again for as long as anybody holds this."""

    def __init__(self, records: Iterable[LineRecord]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="genaiops-lines-")
        self._file = Path(self._folder.name) / "lines.jsonl"
        with self._file.open("wb") as stream:
            stream.writelines(record.model_dump_json().encode() + b"\n" for record in records)

    def __iter__(self) -> Iterator[LineRecord]:
        with self._file.open("rb") as stream:
            for line in stream:
                yield LineRecord.model_validate_json(line)


def unsubmitted(spec: RunSpec, refused: Mapping[int, str]) -> RunOutcome:
    """Of a run with nothing to run."""
    summary = Summary(spec)
    now = datetime.now(UTC)
    lines = Spooled(_counted(records((), (), refused), summary))
    status, record = summary.close(now, cancelled=False)
    return RunOutcome(status, record, lines)


def _as_summed(note: RunNote) -> RunSpec:
    return RunSpec(
        name=note.name,
        flow=Path(),
        flow_digest="",
        lines=(),
        tolerated_failures=note.tolerated_failures,
        known_count=note.known_lines,
    )


def _counted(lines: Iterable[LineRecord], summary: Summary) -> Iterator[LineRecord]:
    for line in lines:
        summary.add(line)
        yield line


def _parsed(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line, parse_constant=lambda _: None)  # NaN, which JSON lacks
    return found


def _finite(metrics: Mapping[str, object]) -> tuple[dict[str, float], str]:
    """The metrics that are numbers, and what is wrong with the first that is not finite."""
    found: dict[str, float] = {}
    error = ""
    for name, value in metrics.items():
        try:
            number = float(value)  # type: ignore[arg-type]  # whatever the service keeps
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found[name] = number
        else:
            error = error or f"The metric {name!r} is {number}: a metric must be a finite number."
    return found, error


def _told(log: str) -> str:
    found = _MARK.search(log)
    return str(json.loads(found[1])) if found is not None else ""


def _engine(run: Mapping[str, Any]) -> str:
    version = (run.get("properties") or {}).get("azureml.promptflow.runtime_version")
    return f"promptflow on Azure ML, runtime {version}" if version else "promptflow on Azure ML"


def _time(run: Mapping[str, Any], *keys: str) -> datetime:
    for key in keys:
        if run.get(key):
            found = datetime.fromisoformat(str(run[key]))
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return datetime.now(UTC)
