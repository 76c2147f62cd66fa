"""Long-running operations, as ARM answers them: 201 or 202 with `Azure-AsyncOperation` and `Location`, then a status to ask.

https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations. An operation ends after so many
*looks*: GETs of its status, or of the resource that it makes (`look`), so that a caller who looks at the resource alone,
much later, sees it done too. `seconds` makes it take that long on top.

    def put(self, request):
        resource = {...; "properties": {"provisioningState": "Creating"}}
        def ended(succeeded: bool) -> None:
            resource["properties"]["provisioningState"] = "Succeeded" if succeeded else "Failed"
        return self._operations.begin(request, resource, ended, key=request.path)     # 201, LRO headers

    def get(self, request):
        self._operations.look(request.path)     # counts as a look at the operation that makes it
        return Response(resource)
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.servers.management.server import Refused, Request, Response, Route

SUBSCRIPTION = "/subscriptions/{subscription}"
STATUS = SUBSCRIPTION + "/providers/Stand.In/locations/here/operationsStatus/{operation}"
RESULT = SUBSCRIPTION + "/providers/Stand.In/locations/here/operationResults/{operation}"


class StillRunning(Exception):
    """Raised by `ended`: it has not ended after all, and the next look asks again."""


@dataclass
class Operation:
    """One operation under way, or ended."""

    id: str
    key: str
    resource: Any
    ended: Callable[[bool], None] | None
    looks: int
    due: float
    failure: tuple[str, str] | None
    """Code and message with which it fails in the end."""
    status: str = "InProgress"


@dataclass
class Operations:
    """All operations. `looks` and `seconds` are the defaults of those that begin from now on."""

    looks: int = 0
    seconds: float = 0.0
    retry_after: float = 0.01
    """Seconds that the answers ask clients to wait between looks; the SDKs take 0 for their own default, 30 s."""
    _operations: dict[str, Operation] = field(default_factory=dict)
    _failures: list[tuple[str, str, str]] = field(default_factory=list)

    def routes(self) -> Iterable[Route]:
        return (Route("GET", STATUS, self._status), Route("GET", RESULT, self._result))

    def fail_next(self, key_part: str, code: str, message: str) -> None:
        """Let the next operation whose key has this text in it end as failed."""
        self._failures.append((key_part, code, message))

    def begin(
        self,
        request: Request,
        resource: Any,
        ended: Callable[[bool], None] | None = None,
        *,
        key: str | None = None,
        status: int = 201,
        looks: int | None = None,
        seconds: float | None = None,
    ) -> Response:
        """Begin one, and answer with the resource (with 202: with nothing) and the addresses at which to look."""
        name = (key or request.path).lower()
        failure = next((each for each in self._failures if each[0].lower() in name), None)
        if failure:
            self._failures.remove(failure)
        operation = Operation(
            id=str(uuid.uuid4()),
            key=name,
            resource=resource,
            ended=ended,
            looks=self.looks if looks is None else looks,
            due=time.monotonic() + (self.seconds if seconds is None else seconds),
            failure=failure[1:] if failure else None,
        )
        self._operations[operation.id] = operation
        self._advance(operation, by=0)
        return Response(resource if status != 202 else None, status, self._headers(request, operation))

    def look(self, key: str) -> None:
        """Someone looked at the resource of this key."""
        for operation in list(self._operations.values()):
            if operation.key == key.lower():
                self._advance(operation)

    def under_way(self, key: str) -> bool:
        """Whether an operation on this key has not ended."""
        return any(o.key == key.lower() and o.status == "InProgress" for o in self._operations.values())

    def _advance(self, operation: Operation, by: int = 1) -> None:
        if operation.status != "InProgress":
            return
        if operation.looks > 0:
            operation.looks -= by
            return
        if time.monotonic() < operation.due:
            return
        try:
            if operation.ended:
                operation.ended(operation.failure is None)
        except StillRunning:
            return
        except Refused as refused:  # what it was to do has failed
            error = refused.response.body["error"]
            operation.failure = (error["code"], error["message"])
        operation.status = "Failed" if operation.failure else "Succeeded"

    def _headers(self, request: Request, operation: Operation) -> Mapping[str, str]:
        subscription = request.parameters.get("subscription", "0")

        def address(template: str) -> str:
            return request.base_url + template.format(subscription=subscription, operation=operation.id)

        query = f"?api-version={request.query.get('api-version', '')}"
        return {
            "Azure-AsyncOperation": address(STATUS) + query,
            "Location": address(RESULT) + query,
            **self._pause(),
        }

    def _pause(self) -> dict[str, str]:
        """In whole seconds, as the standard has it, or in milliseconds, as azure-core reads it, too."""
        if self.retry_after >= 1:
            return {"Retry-After": f"{self.retry_after:.0f}"}
        return {"retry-after-ms": f"{self.retry_after * 1000:.0f}"}

    def _found(self, request: Request) -> Operation:
        operation = self._operations.get(request["operation"])
        if operation is None:
            raise Refused(404, "NotFound", "There is no such operation.")
        self._advance(operation)
        return operation

    def _status(self, request: Request) -> Response:
        operation = self._found(request)
        body: dict[str, Any] = {"id": request.path, "name": operation.id, "status": operation.status}
        if operation.status == "Failed" and operation.failure:
            code, message = operation.failure
            body["error"] = {"code": code, "message": message}
        return Response(body, headers=self._pause())

    def _result(self, request: Request) -> Response:
        operation = self._found(request)
        if operation.status == "InProgress":
            return Response(None, 202, self._headers(request, operation))
        if operation.failure:
            code, message = operation.failure
            raise Refused(409, code, message)
        return Response(operation.resource, 200 if operation.resource is not None else 204)
