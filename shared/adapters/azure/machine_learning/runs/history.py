"""What the workspace's services know of a run: its status and errors, its metrics, where its outputs lie.

The requests are those of promptflow-azure (`RunOperations`, `AsyncRunDownloader`), which sends them without a limit of
time and loses what a busy service says of when to come back; so they are sent here, through azure-core.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.errors import explained
from shared.adapters.azure.machine_learning.client import ROLE, Workspace
from shared.errors import Transient

if TYPE_CHECKING:
    from azure.core import PipelineClient

_JSON: Final = {"Content-Type": "application/json"}


class History:
    """The services of one workspace. Safe for threads."""

    def __init__(self, workspace: Workspace, *, retries: int, timeout_s: float) -> None:
        self._workspace = workspace
        self._retries = retries
        self._timeout_s = timeout_s

    def run(self, cloud: str) -> Mapping[str, Any]:
        """The run's metadata.

        Raises:
            NotFound: the workspace has no such run.
            Throttled, Transient, BusinessFailure: as `shared/adapters/azure/errors.py` says.
        """
        body = {
            "runId": cloud,
            "selectRunMetadata": True,
            "selectRunDefinition": False,
            "selectJobSpecification": False,
        }
        metadata: Mapping[str, Any] = self._post("history/v1.0", "rundata", body)["runMetadata"]
        return metadata

    def metrics(self, cloud: str) -> dict[str, object]:
        """The last value of each metric that the flow logged; prompt flow's own are left out. Raises as `run`."""
        answer = self._post("metric/v2.0", f"runs/{cloud}/lastvalues", {})
        found: dict[str, object] = {}
        for metric in answer.get("value") or ():
            name = str(metric["name"])
            # What a flow logs past prompt flow, a table or an image, has its values under other names, or none.
            values = metric.get("value") or [{}]
            data = values[0].get("data") or {}
            if not name.startswith("__pf__") and name in data:
                found[name] = data[name]
        return found

    def path(self, asset: str) -> str:
        """Where an output lies in its datastore. Raises as `run`."""
        answer = self._post("data/v1.0", "dataversion/getByAssetId", {"value": asset})
        return str(answer["dataVersion"]["dataUri"]).partition("/paths/")[2].rstrip("/")

    def _post(self, service: str, what: str, body: Mapping[str, Any]) -> Any:
        from azure.core.exceptions import HttpResponseError, map_error
        from azure.core.rest import HttpRequest

        request = HttpRequest("POST", f"{self._endpoint}{service}{self._scope}/{what}", json=body, headers=_JSON)
        with self._workspace.errors():
            response = self._client.send_request(request)
            if response.status_code != 200:
                map_error(response.status_code, response, {})
                raise HttpResponseError(response=response)
            return response.json()

    @property
    def _scope(self) -> str:
        azure = self._workspace.azure
        return (
            f"/subscriptions/{azure.subscription_id}/resourceGroups/{azure.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{azure.workspace}"
        )

    @cached_property
    def _endpoint(self) -> str:
        """Of the region, or of the workspace where it is in a network of its own."""
        with self._workspace.errors():
            found = self._workspace.client().workspaces.get(self._workspace.azure.workspace)
        address = str(getattr(found, "discovery_url", "") or "")
        if not address.startswith("https://"):  # nor would a token be sent in clear
            raise Transient(f"{self._workspace.title} does not say where its services are.")
        return address.partition("discovery")[0]

    @cached_property
    def _client(self) -> PipelineClient[Any, Any]:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy, UserAgentPolicy

        return PipelineClient(
            self._endpoint,
            policies=[
                UserAgentPolicy("genaiops"),
                RetryPolicy(
                    retry_total=self._retries,
                    retry_status=0,
                    retry_backoff_factor=0.4,
                    method_whitelist=frozenset({"POST"}),  # all of them only read
                ),
                BearerTokenCredentialPolicy(
                    self._workspace.credential, f"{self._workspace.azure.management_url}/.default"
                ),
            ],
            connection_timeout=10.0,
            read_timeout=self._timeout_s,
        )


def explained_run_error(error: Exception, title: str) -> Exception:
    """What promptflow-azure raises, as an error of the families: it wraps azure-core's."""
    from azure.core.exceptions import AzureError

    links: list[BaseException | None] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if isinstance(link, AzureError):
            return explained(link, title, ROLE)
        if isinstance(link, ConnectionError | TimeoutError):
            return Transient(f"{title} cannot be reached: {link}")
        links += [getattr(link, "inner_exception", None), link.__cause__, link.__context__]
    return error
