"""A pull request in Azure Repos: whether it can still be written to; its statuses, which a branch policy can require.

https://learn.microsoft.com/rest/api/azure/devops/git/pull-request-statuses: a status belongs to a pull request, or to
one of its iterations (a push to its source branch); of those with the same context the newest counts.
"""

from __future__ import annotations

from typing import Any, Final

from shared.adapters.azure_devops.answers import app, part
from shared.adapters.azure_devops.client import Client
from shared.errors import NotFound
from shared.ports.pipelines import CheckState, PullRequest

VERSION: Final = "7.1"
GENRE: Final = "genaiops"
CAN_COMMENT: Final = "'Contribute to pull requests' on the repository"
LONGEST_DESCRIPTION: Final = 400
"""Characters, of which the page shows one line."""


def place(pull_request: PullRequest, *below: str | int) -> list[str | int]:
    """The path of the pull request in its collection, and below it."""
    at = [pull_request.project, "_apis", "git", "repositories", pull_request.repository]
    return [*at, "pullRequests", pull_request.number, *below]


def check_open(client: Client, pull_request: PullRequest) -> None:
    """Raise NotFound if nobody reads it any more: it was deleted with its repository, or abandoned."""
    found = client.request("GET", pull_request.collection, place(pull_request), VERSION, app(CAN_COMMENT))
    if part(found, "status") == "abandoned":
        raise NotFound(
            f"Pull request {pull_request.number} in {pull_request.project} was abandoned: nothing is written to it."
        )


def set_status(
    client: Client, pull_request: PullRequest, name: str, state: CheckState, description: str, link: str
) -> None:
    """Post the status for the commit's iteration, unless it is there already."""
    right = app(f"'Contribute to pull requests' on the repository, for the status {GENRE}/{name}")
    check_open(client, pull_request)
    status: dict[str, Any] = {
        "state": state.value,
        "description": " ".join(description.split())[:LONGEST_DESCRIPTION],
        "context": {"genre": GENRE, "name": name},
    }
    if link:
        status["targetUrl"] = link
    iteration = _iteration(client, pull_request)
    if iteration is not None:
        status["iterationId"] = iteration
    at = place(pull_request, "statuses")
    found = part(client.request("GET", pull_request.collection, at, VERSION, right), "value")
    same = [each for each in found if _context(each) == (GENRE, name) and each.get("iterationId") == iteration]
    newest = max(same, key=lambda each: int(each["id"]), default=None)
    # A repeated command finds what the first one posted, whether or not its answer came through.
    if newest is None or any(newest.get(key) != status.get(key) for key in ("state", "description", "targetUrl")):
        client.request("POST", pull_request.collection, at, VERSION, right, body=status)


def _iteration(client: Client, pull_request: PullRequest) -> int | None:
    """The newest iteration whose source branch was at the commit; None where there is none, or no commit is named."""
    commit = (pull_request.commit or "").lower()
    if not commit:
        return None
    at = place(pull_request, "iterations")
    found = part(client.request("GET", pull_request.collection, at, VERSION, app(CAN_COMMENT)), "value")
    heads = {int(each["id"]): str((each.get("sourceRefCommit") or {}).get("commitId", "")).lower() for each in found}
    return max((number for number, head in heads.items() if head.startswith(commit)), default=None)


def _context(status: dict[str, Any]) -> tuple[str | None, str | None]:
    context = status.get("context") or {}
    return context.get("genre"), context.get("name")
