"""The pull request's comment thread: one per name, its first comment edited in place on every new commit.

Read the record → edit that thread → or claim the record, look for a thread of ours, create one, keep its id. A lost
answer leaves a thread that the next look finds by its property and its author. People may delete it: a new one is made.

https://learn.microsoft.com/rest/api/azure/devops/git/pull-request-threads.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from shared.adapters.azure_devops.answers import NoAnswer, app, part
from shared.adapters.azure_devops.client import Client
from shared.adapters.azure_devops.pull_requests import CAN_COMMENT, VERSION, check_open, place
from shared.adapters.azure_devops.thread_records import Record, ThreadRecords
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, NotFound, Transient
from shared.ports.blobs import BlobStore
from shared.ports.clock import Clock
from shared.ports.pipelines import PullRequest

CONNECTION_VERSION: Final = "7.1-preview.1"
PROPERTY: Final = "GenAIOps.Thread"
"""The thread's property that holds its name among ours."""
LONGEST: Final = 150_000
"""Characters of a comment that the service takes."""
CUT: Final = "\n\n… This comment was cut: Azure DevOps takes no longer one. The report has it all."


class _PerhapsCreated(Exception):
    """A creation failed in such a way that the thread may still come into being: the next look comes a little later."""

    def __init__(self, error: GenAIOpsError) -> None:
        super().__init__(str(error))
        self.error = error


class Threads:
    """Comment threads of pull requests, written as the app's identity."""

    def __init__(self, client: Client, blobs: BlobStore, clock: Clock) -> None:
        self._client = client
        self._records = ThreadRecords(blobs, clock)
        self._authors: dict[str, str] = {}
        """Collection → the id that the app's identity has there."""

    def write(self, pull_request: PullRequest, name: str, text: str, *, is_settled: bool) -> None:
        """Edit the thread of this name, or create it. See the port."""
        content = text if len(text) <= LONGEST else text[: LONGEST - len(CUT)] + CUT
        status = "closed" if is_settled else "active"
        check_open(self._client, pull_request)
        record = self._records.read(pull_request, name)
        if record.thread is not None and self._edited(pull_request, record.thread, content, status):
            return
        claimed = self._records.claim(record)
        try:
            thread = self._found_or_created(pull_request, name, content, status)
        except _PerhapsCreated as perhaps:
            self._released(claimed, unsure=True)
            raise perhaps.error from perhaps
        except BaseException:
            self._released(claimed, unsure=False)
            raise
        with contextlib.suppress(Conflict):  # the claim has ended meanwhile; whoever took it finds this thread
            self._records.keep(claimed, thread)

    def _released(self, claimed: Record, *, unsure: bool) -> None:
        with contextlib.suppress(Conflict):
            self._records.release(claimed, unsure=unsure)

    def _found_or_created(self, pull_request: PullRequest, name: str, content: str, status: str) -> int:
        found = self._find_and_edit(pull_request, name, content, status)
        if found is not None:
            return found
        body = {
            "comments": [{"parentCommentId": 0, "content": content, "commentType": "text"}],
            "status": status,
            "properties": {PROPERTY: name},
        }
        try:
            return int(part(self._send("POST", pull_request, "threads", body=body), "id"))
        except Transient as error:
            # Perhaps it was created, and only the answer was lost.
            try:
                found = self._find_and_edit(pull_request, name, content, status)
            except GenAIOpsError as second:
                raise _PerhapsCreated(second) from error
            if found is not None:
                return found
            if isinstance(error, NoAnswer):
                raise _PerhapsCreated(error) from error
            raise

    def _find_and_edit(self, pull_request: PullRequest, name: str, content: str, status: str) -> int | None:
        """The first thread of ours that is there and can be edited; now it says this."""
        there = part(self._send("GET", pull_request, "threads"), "value")
        ours = [thread for thread in there if _name(thread) == name]
        for thread in sorted(ours, key=lambda each: int(each["id"])):
            # Anybody can write a thread with our property: only what we have written ourselves is ours.
            if _author(thread) == self._author(pull_request) and self._edited(
                pull_request, int(thread["id"]), content, status
            ):
                return int(thread["id"])
        return None

    def _edited(self, pull_request: PullRequest, thread_id: int, content: str, status: str) -> bool:
        """Whether the thread now says this; False where it was deleted, or is somebody else's."""
        try:
            thread: dict[str, Any] = self._send("GET", pull_request, "threads", thread_id)
        except NotFound:
            return False
        comment = _first(thread) if part(thread, "id") else None
        if thread.get("isDeleted") or comment is None or comment.get("isDeleted"):
            return False
        try:
            if comment.get("content") != content:
                at = ("threads", thread_id, "comments", int(comment["id"]))
                self._send("PATCH", pull_request, *at, body={"content": content})
            if thread.get("status") != status:
                self._send("PATCH", pull_request, "threads", thread_id, body={"status": status})
        except NotFound:
            return False
        except BusinessFailure:
            # Nobody may edit another's comment: that of an identity which the app had before, say.
            if _author(thread) != self._author(pull_request):
                return False
            raise
        return True

    def _author(self, pull_request: PullRequest) -> str:
        """The id of the app's identity in the organisation, asked for once."""
        collection = pull_request.collection
        if collection not in self._authors:
            at = ["_apis", "connectionData"]
            found = self._client.request("GET", collection, at, CONNECTION_VERSION, app(CAN_COMMENT))
            self._authors[collection] = str(part(part(found, "authenticatedUser"), "id")).lower()
        return self._authors[collection]

    def _send(self, method: str, pull_request: PullRequest, *below: str | int, body: object = None) -> Any:
        at = place(pull_request, *below)
        return self._client.request(method, pull_request.collection, at, VERSION, app(CAN_COMMENT), body=body)


def _first(thread: dict[str, Any]) -> dict[str, Any] | None:
    comments = thread.get("comments") or []
    return min(comments, key=lambda comment: int(comment["id"]), default=None)


def _author(thread: dict[str, Any]) -> str:
    return str(((_first(thread) or {}).get("author") or {}).get("id", "")).lower()


def _name(thread: dict[str, Any]) -> str | None:
    """The value of our property: the service writes `{"$type": …, "$value": …}` where it was given a string."""
    value = (thread.get("properties") or {}).get(PROPERTY)
    return value.get("$value") if isinstance(value, dict) else value
