"""Prompt flow on Azure ML: runs are submitted, really run, and leave history, metrics, artifacts, logs and events.

Plays the calls of promptflow-azure 1.18 (`FlowServiceCaller`, `RunOperations`, `AsyncRunDownloader`): submit, cancel, log;
run history, metrics, and the address of an output. A run takes what was uploaded and nothing else (`compute_process.py`).

    management.prompt_flow.connections["aoai"] = Connection(...)       # the workspace's connections
    management.prompt_flow.on_run_event = receive                      # Event Grid events, as they would be sent
    management.prompt_flow.fail_next("UserError", "…")                 # the next run fails as a whole
    management.prompt_flow.hold()                                      # runs stay in preparation until release()
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.adapters.local.engines.connections import engine_form
from shared.connections import Connection
from tests.servers.management.compute import Compute
from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route, now
from tests.servers.management.storage import Blob, WorkspaceBlobs
from tests.servers.management.workspace import WORKSPACE_ID, WORKSPACE_PATH

FLOW = "/flow/api" + WORKSPACE_PATH
CONTAINER = "azureml-blobstore"
ARTIFACTS = "promptflow/PromptFlowArtifacts"
EXPERIMENT_ID = "5f0a2f30-6c3a-4f0e-9d6b-0f1e2d3c4b5a"
ENDED = ("Completed", "Failed", "Canceled")

Event = dict[str, Any]


@dataclass
class CloudRun:
    """One run: what was submitted, and where it is."""

    body: dict[str, Any]
    status: str = "NotStarted"
    created: str = field(default_factory=now)
    started: str | None = None
    ended: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    log: str = ""

    @property
    def id(self) -> str:
        return str(self.body["runId"])

    @property
    def data(self) -> str:
        """The blob of its lines."""
        return str(self.body["batchDataInput"]["dataUri"]).partition("/paths/")[2]

    def submitted_rows(self, storage: WorkspaceBlobs) -> list[dict[str, Any]]:
        """The lines that it was given."""
        return [json.loads(line) for line in storage.of(CONTAINER)[self.data].content.splitlines()]


class PromptFlow:
    """All runs of the workspace, by name."""

    def __init__(self, server: ManagementServer, storage: WorkspaceBlobs, compute: Compute) -> None:
        self._server = server
        self._storage = storage
        self.runs: dict[str, CloudRun] = {}
        self.connections: dict[str, Connection] = {}
        self.on_run_event: Callable[[Event], None] = lambda event: None
        self._held = False
        self._waiting: list[CloudRun] = []
        self._failures: list[dict[str, Any]] = []
        self._compute = compute
        compute.ended = self._ended

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", FLOW + "/BulkRuns/submit", self._submit),
            Route("POST", FLOW + "/BulkRuns/{run}/cancel", self._cancel),
            Route("GET", FLOW + "/BulkRuns/{run}/logContent", self._log),
            Route("GET", FLOW + "/BulkRuns/{run}", self._info),
            Route("GET", FLOW + "/TraceSessions", self._traces),
            Route("POST", "/history/v1.0" + WORKSPACE_PATH + "/rundata", self._history),
            Route("POST", "/metric/v2.0" + WORKSPACE_PATH + "/runs/{run}/lastvalues", self._metrics),
            Route("POST", "/data/v1.0" + WORKSPACE_PATH + "/dataversion/getByAssetId", self._asset),
            Route("GET", "/compute/connections/{name}", self._connection, public=True),
        )

    def hold(self) -> None:
        """Keep runs that are submitted from now on in preparation."""
        self._held = True

    def release(self) -> None:
        """Let them run."""
        with self._server.lock:
            self._held = False
            waiting, self._waiting = self._waiting, []
            for run in waiting:
                self._begin(run)

    def fail_next(self, code: str, message: str) -> None:
        """Let the next run that is submitted fail as a whole, before any line."""
        self._failures.append({"error": {"code": code, "message": message, "innerError": {"code": code}}})

    # --------------------------------------------------------------------------------------------------- the flow API

    def _submit(self, request: Request) -> Response:
        body = request.json
        if body["runId"] in self.runs:
            raise Refused(409, "UserError", f"The run {body['runId']!r} exists already.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", body["runId"]):
            raise Refused(400, "UserError", f"{body['runId']!r} is no name of a run.")
        self._base_url = request.base_url
        run = self.runs[body["runId"]] = CloudRun(body)
        self._move(run, "Preparing")
        if self._failures:
            run.error = self._failures.pop(0)
            self._move(run, "Failed")
        elif self._held:
            self._waiting.append(run)
        else:
            self._begin(run)
        return Response(body["runId"])

    def _cancel(self, request: Request) -> Response:
        run = self._found(request)
        if run.status not in ENDED:
            self._waiting = [each for each in self._waiting if each is not run]
            self._move(run, "Canceled")
            self._compute.send({"cancel": run.id})
        return Response("Accepted")

    def _log(self, request: Request) -> Response:
        return Response(self._found(request).log)

    def _info(self, request: Request) -> Response:
        return Response({"flowRunId": self._found(request).id, "flowRunResourceId": request.path})

    def _traces(self, request: Request) -> Response:
        return Response({"traceCosmosConfiguration": "Disabled", "traceCosmosStatus": "NotInitialized"})

    def _connection(self, request: Request) -> Response:
        if request["name"] not in self.connections:
            raise Refused(404, "UserError", f"The workspace has no connection {request['name']!r}.")
        return Response(engine_form(self.connections[request["name"]]))

    # ------------------------------------------------------------------------------- history, metrics and data services

    def _history(self, request: Request) -> Response:
        run = self.runs.get(request.json["runId"])
        if run is None:
            raise Refused(404, "UserError", f"Run {request.json['runId']} was not found.")
        outputs = {}
        if run.status == "Completed":
            for name, folder in (("debug_info", ""), ("flow_outputs", "/flow_outputs")):
                asset = f"azureml://locations/here/workspaces/{WORKSPACE_ID}/data/{run.id}{folder}/versions/1"
                outputs[name] = {"assetId": asset, "type": "UriFolder"}
        metadata = {
            "runId": run.id,
            "runType": "azureml.promptflow.FlowRun",
            "createdUtc": run.created,
            "startTimeUtc": run.started,
            "endTimeUtc": run.ended,
            "duration": None,
            "status": run.status,
            "displayName": run.body["runDisplayName"],
            "description": "",
            "tags": run.body.get("tags") or {},
            "properties": self._properties(run),
            "error": run.error,
            "createdBy": {"userName": "genaiops"},
            "outputs": outputs,
        }
        return Response({"runMetadata": metadata})

    def _properties(self, run: CloudRun) -> dict[str, str]:
        return {
            "azureml.promptflow.flow_name": str(run.body.get("runExperimentName")),
            "azureml.promptflow.input_data": str((run.body.get("batchDataInput") or {}).get("dataUri")),
            "azureml.promptflow.runtime_name": str(run.body.get("runtimeName")),
            "azureml.promptflow.snapshot_id": str(uuid.uuid5(uuid.NAMESPACE_URL, run.id)),
        }

    def _metrics(self, request: Request) -> Response:
        metrics = self._found(request).metrics
        return Response({"value": [{"name": name, "value": [{"data": {name: v}}]} for name, v in metrics.items()]})

    def _asset(self, request: Request) -> Response:
        found = re.search(r"/data/([^/]+)((?:/flow_outputs)?)/versions/", request.json["value"])
        if found is None or found[1] not in self.runs:
            raise Refused(404, "UserError", "There is no such asset.")
        store = f"azureml://subscriptions/s/resourcegroups/g/workspaces/{WORKSPACE_ID}/datastores/workspaceblobstore"
        return Response({"dataVersion": {"dataUri": f"{store}/paths/{ARTIFACTS}/{found[1]}{found[2]}"}})

    def _found(self, request: Request) -> CloudRun:
        run = self.runs.get(request["run"])
        if run is None:
            raise Refused(404, "UserError", f"The run {request['run']!r} was not found.")
        return run

    # -------------------------------------------------------------------------------------------------- running the run

    def _begin(self, run: CloudRun) -> None:
        folder = self._compute.folder / run.id
        shutil.rmtree(folder, ignore_errors=True)
        snapshot, output = folder / "snapshot", folder / "output"
        output.mkdir(parents=True)
        flow_path = str(run.body["flowDefinitionBlobPath"])
        root = flow_path.rpartition("/")[0]
        blobs = self._storage.of(CONTAINER)
        for name, blob in blobs.items():
            if name.startswith(f"{root}/"):
                place = snapshot / name.removeprefix(f"{root}/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(blob.content)
        data = folder / "lines.jsonl"
        data.write_bytes(blobs[run.data].content)
        variables = run.body.get("environmentVariables") or {}
        run.started = now()
        self._move(run, "Running")
        self._compute.send(
            {
                "run": run.id,
                "snapshot": str(snapshot),
                "flow_file": flow_path.rpartition("/")[2],
                "data": str(data),
                "mapping": run.body.get("inputsMapping") or {},
                "environment": {
                    **{name: self._resolved(value) for name, value in variables.items()},
                    "PF_HTTP_CONNECTION_PROVIDER_ENDPOINT": f"{self._base_url}/compute",
                },
                "connections": {name: engine_form(each) for name, each in self.connections.items()},
                "output": str(output),
            }
        )

    def _resolved(self, value: str) -> str:
        """`${connection.key}` in a variable is that key: the service resolves it when the run begins."""
        found = re.fullmatch(r"\$\{([^.}]+)\.([^}]+)\}", value)
        if found is None or found[1] not in self.connections:
            return value
        return str(engine_form(self.connections[found[1]])["value"].get(found[2], value))

    def _ended(self, name: str, code: int) -> None:
        with self._server.lock:
            run = self.runs.get(name)
            if run is None:
                return
            output = self._compute.folder / name / "output"
            run.log = (output / "run.log").read_text(errors="replace")
            if run.status in ENDED:
                return
            for path in output.rglob("*"):
                if path.is_file() and path.name not in ("result.json", "run.log"):
                    blob = f"{ARTIFACTS}/{name}/{path.relative_to(output).as_posix()}"
                    self._storage.of(CONTAINER)[blob] = Blob(path.read_bytes())
            try:
                result = json.loads((output / "result.json").read_text())
            except FileNotFoundError:
                message = f"The process of the flow ended unexpectedly with exit code {code}."
                result = {"status": "Failed", "error": {"error": {"code": "SystemError", "message": message}}}
            run.error = result.get("error")
            run.metrics = {**result.get("system_metrics", {}), **result.get("metrics", {})}
            run.ended = now()
            self._move(run, result["status"])

    def _move(self, run: CloudRun, status: str) -> None:
        run.status = status
        self.on_run_event(self._event(run, "RunStatusChanged", runStatus=status))
        if status == "Completed":
            self.on_run_event(self._event(run, "RunCompleted"))

    def _event(self, run: CloudRun, kind: str, **more: str) -> Event:
        """https://learn.microsoft.com/azure/event-grid/event-schema-machine-learning"""
        topic = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/genaiops-ml"
        experiment = str(run.body.get("runExperimentName"))
        return {
            "topic": topic,
            "subject": f"experiments/{EXPERIMENT_ID}/runs/{run.id}",
            "eventType": f"Microsoft.MachineLearningServices.{kind}",
            "eventTime": now(),
            "id": str(uuid.uuid4()),
            "data": {
                "experimentId": EXPERIMENT_ID,
                "experimentName": experiment,
                "runId": run.id,
                "runType": "azureml.promptflow.FlowRun",
                "runTags": run.body.get("tags") or {},
                "runProperties": self._properties(run),
                **more,
            },
            "dataVersion": "1.0",
            "metadataVersion": "1",
        }
