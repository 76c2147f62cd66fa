"""The port Pipelines on Azure DevOps: one client, and the rooms that use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.adapters.azure_devops import pull_requests, runs, tasks
from shared.adapters.azure_devops.addresses import AllowList
from shared.adapters.azure_devops.client import Client
from shared.adapters.azure_devops.threads import Threads
from shared.ports.blobs import BlobStore
from shared.ports.clock import Clock
from shared.ports.pipelines import CheckState, PipelineRun, PipelineTask, PullRequest

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class AzureDevOpsPipelines:
    """Pipelines on the Azure DevOps organisations at `allowed`. Safe for use by several threads."""

    def __init__(
        self,
        allowed: Sequence[str],
        credential: TokenCredential,
        blobs: BlobStore,
        clock: Clock,
        *,
        retries: int = 2,
        timeout_s: float = 30.0,
    ) -> None:
        """Nothing is connected before the first call.

        Args:
            allowed: addresses of organisations: nothing is sent anywhere else.
            credential: the app's identity, for pull requests and runs.
            blobs: where it is remembered which thread is ours (container `threads`).
            clock: the time.
            retries: how often a connection is tried again.
            timeout_s: seconds that an answer may take.
        """
        self._allowed = AllowList(allowed)
        self._client = Client(self._allowed, credential, retries=retries, timeout_s=timeout_s)
        self._threads = Threads(self._client, blobs, clock)

    def refusal(self, address: str) -> str:
        """Why nothing is ever sent to this address, in one sentence that names the setting; empty where it may be."""
        return self._allowed.refusal(address)

    def tell(self, task: PipelineTask, lines: Sequence[str]) -> None:
        """Show lines in the waiting task's live log. See the port."""
        tasks.tell(self._client, task, lines)

    def finish(self, task: PipelineTask, *, succeeded: bool, log: str, summary: str) -> None:
        """Complete the task; NotFound where nobody waits for it any more. See the port."""
        tasks.finish(self._client, task, succeeded=succeeded, log=log, summary=summary)

    def comment(self, pull_request: PullRequest, thread: str, text: str, *, is_settled: bool) -> None:
        """Write the pull request's thread of this name. See the port."""
        self._threads.write(pull_request, thread, text, is_settled=is_settled)

    def set_status(self, pull_request: PullRequest, name: str, state: CheckState, description: str, link: str) -> None:
        """Set the pull request's status of this name. See the port."""
        pull_requests.set_status(self._client, pull_request, name, state, description, link)

    def tag(self, run: PipelineRun, tags: Sequence[str]) -> None:
        """Add tags to the run; those that it has stay."""
        runs.add_tags(self._client, run, tags)
