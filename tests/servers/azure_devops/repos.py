"""Pull requests: their iterations, comment threads and statuses. Who writes a comment may edit it, and nobody else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers.azure_devops.server import AzureDevOpsServer, Refusal, as_json, checked, user_id
from tests.servers.management.messages import Request, Response

PULL_REQUEST = "/{project}/_apis/git/repositories/{repository}/pullRequests/{number}"
THREAD = PULL_REQUEST + "/threads/{thread}"
VERSION = "7.1"
THREAD_STATES = {"unknown", "active", "fixed", "wontFix", "closed", "byDesign", "pending"}
STATES = {"notSet", "pending", "succeeded", "failed", "error", "notApplicable"}
LONGEST_COMMENT = 150_000


@dataclass
class Thread:
    """A comment thread with its first comment."""

    id: int
    author: str
    text: str
    status: str
    properties: dict[str, Any]
    is_deleted: bool = False
    """Whether a person has deleted the comment, and with it the thread."""
    edits: int = 0

    @property
    def json(self) -> dict[str, Any]:
        """As the service shows it; of a deleted comment nothing but that it was one."""
        comment: dict[str, Any] = {"id": 1, "parentCommentId": 0, "author": {"id": self.author}, "commentType": "text"}
        comment |= {"isDeleted": True} if self.is_deleted else {"content": self.text}
        properties = {key: {"$type": "System.String", "$value": value} for key, value in self.properties.items()}
        return {
            "id": self.id,
            "comments": [comment],
            "status": self.status,
            "properties": properties,
            "isDeleted": self.is_deleted,
        }


@dataclass
class Page:
    """A pull request."""

    collection: str
    number: int
    commits: Sequence[str]
    """The head of the source branch at each iteration."""
    project: str = field(default_factory=lambda: str(uuid.uuid4()))
    repository: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "active"
    threads: list[Thread] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    """As they were posted, with their ids."""

    @property
    def shown(self) -> list[Thread]:
        """Threads that nobody has deleted."""
        return [thread for thread in self.threads if not thread.is_deleted]

    @property
    def open(self) -> list[Thread]:
        """Those that want somebody to look."""
        return [thread for thread in self.shown if thread.status == "active"]

    def newest(self, name: str) -> str | None:
        """The state that counts of the status `genaiops/<name>`."""
        found = [s["state"] for s in self.statuses if s["context"] == {"genre": "genaiops", "name": name}]
        return found[-1] if found else None

    def write(self, text: str, author: str = "a colleague", **properties: str) -> Thread:
        """A thread that somebody else writes."""
        number = 1 + max((thread.id for thread in self.threads), default=self.number * 1_000)
        self.threads.append(Thread(number, user_id(author), text, "active", dict(properties)))
        return self.threads[-1]


class Repos:
    def __init__(self, server: AzureDevOpsServer) -> None:
        self._server = server
        self.pages: dict[int, Page] = {}

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Request], Response]]]:
        return (
            ("GET", PULL_REQUEST, VERSION, self._get),
            ("GET", PULL_REQUEST + "/iterations", VERSION, self._iterations),
            ("GET", PULL_REQUEST + "/threads", VERSION, self._threads),
            ("POST", PULL_REQUEST + "/threads", VERSION, self._create_thread),
            ("GET", THREAD, VERSION, self._thread),
            ("PATCH", THREAD, VERSION, self._update_thread),
            ("PATCH", THREAD + "/comments/{comment}", VERSION, self._update_comment),
            ("GET", PULL_REQUEST + "/statuses", VERSION, self._statuses),
            ("POST", PULL_REQUEST + "/statuses", VERSION, self._create_status),
        )

    def add(self, commits: Sequence[str], number: int = 0) -> Page:
        number = number or 1 + max(self.pages, default=41)
        self.pages[number] = Page(self._server.collection, number, commits)
        return self.pages[number]

    def _page(self, request: Request) -> Page:
        page = self.pages.get(int(request["number"]))
        if page is None or (request["project"], request["repository"]) != (page.project, page.repository):
            raise Refusal(404, f"TF401180: The requested pull request was not found: {request['number']}.")
        return page

    def _read(self, request: Request) -> Page:
        self._server.user(request, "GenericRead")
        return self._page(request)

    def _get(self, request: Request) -> Response:
        page = self._read(request)
        return Response({"pullRequestId": page.number, "status": page.status, "title": "A better prompt"})

    def _iterations(self, request: Request) -> Response:
        found = enumerate(self._read(request).commits, 1)
        return _listed([{"id": n, "sourceRefCommit": {"commitId": commit}, "reason": "push"} for n, commit in found])

    def _threads(self, request: Request) -> Response:
        return _listed([thread.json for thread in self._read(request).threads])

    def _create_thread(self, request: Request) -> Response:
        author = self._server.user(request, "PullRequestContribute")
        page = self._page(request)
        body = checked(as_json(request), {"comments": list, "status": str}, {"properties": dict})
        if len(body["comments"]) != 1 or body["status"] not in THREAD_STATES:
            raise Refusal(400, "A new thread has one comment and a status.")
        comment = checked(body["comments"][0], {"content": str, "commentType": str, "parentCommentId": int})
        thread = page.write(_comment(comment["content"]), **body.get("properties", {}))
        thread.author, thread.status = author, body["status"]
        return Response(thread.json)

    def _found(self, request: Request, page: Page) -> Thread:
        thread = next((each for each in page.threads if str(each.id) == request["thread"]), None)
        if thread is None:
            raise Refusal(404, f"The thread {request['thread']} was not found.", "DiscussionThreadNotFoundException")
        return thread

    def _thread(self, request: Request) -> Response:
        return Response(self._found(request, self._read(request)).json)

    def _update_thread(self, request: Request) -> Response:
        self._server.user(request, "PullRequestContribute")
        thread = self._found(request, self._page(request))
        status = checked(as_json(request), {"status": str})["status"]
        if status not in THREAD_STATES:
            raise Refusal(400, f"{status!r} is no status of a thread.")
        thread.status = status
        return Response(thread.json)

    def _update_comment(self, request: Request) -> Response:
        user = self._server.user(request, "PullRequestContribute")
        thread = self._found(request, self._page(request))
        text = _comment(checked(as_json(request), {"content": str})["content"])
        if request["comment"] != "1" or thread.is_deleted:
            raise Refusal(404, f"The comment {request['comment']} was not found.", "DiscussionCommentNotFoundException")
        if thread.author != user:
            raise Refusal(403, "Only the author of a comment can edit it.", "CommentCannotBeUpdatedException")
        thread.text, thread.edits = text, thread.edits + 1
        return Response(thread.json["comments"][0])

    def _statuses(self, request: Request) -> Response:
        return _listed(self._read(request).statuses)

    def _create_status(self, request: Request) -> Response:
        self._server.user(request, "PullRequestContribute")
        page = self._page(request)
        optional = {"targetUrl": str, "iterationId": int}
        body = checked(as_json(request), {"state": str, "description": str, "context": dict}, optional)
        checked(body["context"], {"name": str, "genre": str})
        if body["state"] not in STATES or not 0 < body.get("iterationId", 1) <= max(1, len(page.commits)):
            raise Refusal(400, f"{body['state']!r}, iteration {body.get('iterationId')}: there is no such one.")
        page.statuses.append({"id": len(page.statuses) + 1, **body})
        return Response(page.statuses[-1])


def _comment(text: str) -> str:
    if not text or len(text) > LONGEST_COMMENT:
        raise Refusal(400, f"A comment has 1 to {LONGEST_COMMENT} characters.")
    return text


def _listed(items: list[Any]) -> Response:
    return Response({"count": len(items), "value": items})
