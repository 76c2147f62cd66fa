"""A loopback stand-in for Azure DevOps Services, so that what chains say to it is said over HTTPS, with tokens, and checked.

    def test_…(azure_devops):       # a fixture: one server a session, an empty organisation before each test
        azure_devops.collection     # https://127.0.0.1:<port>/contoso, as GENAIOPS_AZURE_DEVOPS names it
        task = azure_devops.waiting_task()
        task.properties             # the application properties that PublishToAzureServiceBus@2 sends with its message
        page = azure_devops.pull_request("0a1b2c3d…")     # its iterations' commits
        azure_devops.build(4711)                          # a run of a pipeline
        azure_devops.faults.add("POST", r"/events$", status=503, moment=Moment.AFTER)   # done, and the answer is lost
        azure_devops.faults.cut("PATCH", r"/comments/"); azure_devops.faults.add("GET", status=429, retry_after=7)
        ...
        assert (task.feed, task.results, task.log, task.summaries) == ([…], ["succeeded"], "…", {"GenAIOps": "…"})
        assert [thread.text for thread in page.shown] == ["…"]; page.statuses; azure_devops.builds[4711].tags
        assert azure_devops.unknown == [] and azure_devops.refused == []   # nothing asked that is not played, or wrongly

It is strict: an `api-version` that a resource does not have, a key that is missing or unknown, a wrong type are answered
with 400 and noted in `refused`. A status of 203 or 302 that a test asks for is the sign-in page.

| file | plays |
|---|---|
| `server.py` | what all have in common: HTTPS, faults, a log with headers, who calls, error bodies with `typeKey` |
| `distributed_task.py` | tasks that wait: events, live log, logs, timeline records, attachments; each by its job's token |
| `repos.py` | pull requests: iterations, comment threads, statuses |
| `builds.py` | tags of runs |

The REST reference is https://learn.microsoft.com/rest/api/azure/devops; the calls of tasks are those that
https://github.com/microsoft/azure-pipelines-extensions (ServerTaskHelper) makes. Not played: paging, rate limits by
themselves, projects and repositories (any name is one), branch policies.
"""

from __future__ import annotations

import ssl

from tests.servers.azure_devops.builds import Build, Builds
from tests.servers.azure_devops.distributed_task import DistributedTask, WaitingTask
from tests.servers.azure_devops.repos import Page, Repos, Thread
from tests.servers.azure_devops.server import RESOURCE, AzureDevOpsServer, Seen
from tests.servers.management.faults import Moment

__all__ = ["RESOURCE", "AzureDevOps", "Build", "Moment", "Page", "Seen", "Thread", "WaitingTask"]


class AzureDevOps(AzureDevOpsServer):
    """The stand-in with its one organisation."""

    def __init__(self, certificate: ssl.SSLContext) -> None:
        super().__init__(certificate)
        self.reset()

    def reset(self) -> None:
        """Begin anew: an empty organisation, no faults, no log. The address stays."""
        self.begin_anew()
        self._tasks, self._repos, self._builds = DistributedTask(self), Repos(self), Builds(self)
        for service in (self._tasks, self._repos, self._builds):
            self.use(service.routes())

    @property
    def tasks(self) -> dict[str, WaitingTask]:
        """Tasks by their instance."""
        return self._tasks.tasks

    @property
    def pull_requests(self) -> dict[int, Page]:
        """Pull requests by number."""
        return self._repos.pages

    @property
    def builds(self) -> dict[int, Build]:
        """Runs by number."""
        return self._builds.builds

    def waiting_task(self, name: str = "PublishToAzureServiceBus") -> WaitingTask:
        """A task that waits from now on."""
        return self._tasks.add(name)

    def pull_request(self, *commits: str, number: int = 0) -> Page:
        """An active pull request whose source branch was pushed to once for each of these commits."""
        return self._repos.add(commits, number)

    def build(self, number: int) -> Build:
        """A run of a pipeline."""
        return self._builds.add(number)
