"""What promptflow-azure is asked for: submitting a run, cancelling it, its log.

Importing it takes seconds, and its telemetry calls out from the moment of import: it is imported when the first run is
submitted, with a home of its own in which it is quiet.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.runs.history import explained_run_error
from shared.adapters.azure.machine_learning.runs.staging import Staged
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, NotFound, Transient

if TYPE_CHECKING:
    from promptflow.azure import PFClient

_QUIET: Final = "telemetry:\n  enabled: false\ntrace:\n  destination: none\n"
_CHECKED: Final = ("last_check_time", "last_hint_time")
_LATER: Final = "9000-01-01 00:00:00.0"
_AUTOMATIC: Final = ("", "automatic", "serverless")


@dataclass(frozen=True)
class Submission:
    """A run as it is submitted."""

    cloud: str
    display_name: str
    staged: Staged
    data: str
    """`azureml://datastores/…` of the lines."""
    environment: Mapping[str, str]
    tags: Mapping[str, str]
    lineage: str
    """Runs of one lineage share a compute session, which takes minutes to start."""
    instance_type: str | None
    runtime: str | None


class Submitter:
    """promptflow-azure over one workspace. Safe for threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = Lock()
        self._client: PFClient | None = None

    def submit(self, submission: Submission) -> None:
        """Submit the run.

        Raises:
            Conflict: there may be one of that name already.
            BusinessFailure, Throttled, Transient: as `shared/adapters/azure/errors.py` says.
        """
        client = self._made()
        from promptflow.entities import Run

        instance_type = submission.instance_type
        runtime = submission.runtime if (submission.runtime or "") not in _AUTOMATIC else None
        run = Run(
            flow=submission.staged.folder,
            name=submission.cloud,
            display_name=submission.display_name,
            data=submission.data,
            column_mapping=dict(submission.staged.column_mapping),
            tags=dict(submission.tags),
            environment_variables=dict(submission.environment),
            runtime=runtime,
            resources={"instance_type": instance_type} if instance_type and runtime is None else None,
        )
        # Prompt flow makes it of the flow's path, which differs for every run: each would start a session of its own.
        run._lineage_id = submission.lineage  # noqa: SLF001  # there is no argument for it
        try:
            client.runs.create_or_update(run)
        except Exception as error:
            raise self._explained(error) from error

    def cancel(self, cloud: str) -> None:
        """Stop a run; one that has ended or is not there is no error. Raises as `submit`."""
        client = self._made()
        try:
            client.runs.cancel(cloud)
        except Exception as error:
            explained = self._explained(error)
            if not isinstance(explained, Conflict | NotFound):
                raise explained from error

    def log(self, cloud: str) -> str:
        """What the run printed. Raises as `submit`."""
        client = self._made()
        try:
            return str(client.runs._get_log(cloud))  # noqa: SLF001  # public only as a stream to the console
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Exception:
        explained = explained_run_error(error, self._workspace.title)
        if isinstance(explained, GenAIOpsError):
            return explained
        from promptflow.exceptions import UserErrorException

        if isinstance(error, UserErrorException):
            return BusinessFailure(f"Prompt flow refused the run: {error}")
        return Transient(f"{self._workspace.title}: {type(error).__name__}: {error}")

    def _made(self) -> PFClient:
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    def _make(self) -> PFClient:
        be_quiet()
        from promptflow.azure import PFClient

        logging.getLogger("promptflow").setLevel(logging.ERROR)

        try:
            client = PFClient(ml_client=self._workspace.client())
        except Exception as error:
            raise self._explained(error) from error
        # Its policy tries a busy service again ten times, with pauses of minutes: here the command comes back later.
        policy: Any = client.runs._service_caller.caller._config.retry_policy  # noqa: SLF001
        policy.total_retries, policy.status_retries = 3, 0
        return client


def be_quiet() -> None:
    """Give prompt flow, before it is imported, a home in which it neither calls out nor starts a service."""
    os.environ.setdefault("APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED", "true")
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of its uploads would fill the log
    if "PF_HOME_DIRECTORY" not in os.environ:
        home = Path(tempfile.mkdtemp(prefix="genaiops-promptflow-"))
        (home / "pf.yaml").write_text(_QUIET, encoding="utf-8")
        # It asks for its newest version now and then, unless it has just done so.
        (home / "pf_version_check.json").write_text(json.dumps(dict.fromkeys(_CHECKED, _LATER)), encoding="utf-8")
        os.environ["PF_HOME_DIRECTORY"] = str(home)
