"""Named assets with numbered versions, as Azure ML keeps data assets and models, in a workspace and in a registry alike.

What a version points to and its properties never change, its tags and description do; a list shows the newest first and
leaves archived versions out unless it is asked for them; a deleted version's number is never given again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route, now

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
TAGS, KEY, VALUE = 50, 100, 1000
"""https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity: tags, and characters of each."""


@dataclass
class Container:
    """The versions of one name, in the order of their creation."""

    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Every number that was ever taken."""


class VersionedAssets:
    """The assets of one kind: `data` or `models`, below a workspace or a registry."""

    def __init__(self, server: ManagementServer, kind: str, uri: str, check: Callable[[Request], None]) -> None:
        self._server = server
        self._kind = kind
        self._uri = uri
        self._check = check
        self.containers: dict[str, Container] = {}
        self.unlisted: set[tuple[str, str]] = set()
        """(name, version): those that lists do not show yet, since they lag behind what was written."""

    def routes(self, parent: str, put: Callable[[Request], Response] | None = None) -> Iterable[Route]:
        """`put` answers in place of `store`: where creation is a long-running operation."""
        kind = f"{parent}/{self._kind}"
        return (
            Route("GET", kind, self._names),
            Route("GET", kind + "/{name}", self._name),
            Route("GET", kind + "/{name}/versions", self._versions),
            Route("GET", kind + "/{name}/versions/{version}", self._version),
            Route("PUT", kind + "/{name}/versions/{version}", put or self._put),
            Route("DELETE", kind + "/{name}/versions/{version}", self._delete),
        )

    def tags(self, name: str, version: str) -> dict[str, str]:
        """Tags of a version, for tests."""
        return dict(self.containers[name].versions[version]["properties"]["tags"])

    def store(
        self, request: Request, body: dict[str, Any], *, long: Callable[[str], str]
    ) -> tuple[dict[str, Any], bool]:
        """Create or update the version that the request names, and whether it was created; `long` is a URI's long form."""
        name, version = request["name"], request["version"]
        if not NAME.fullmatch(name):
            raise Refused(400, "UserError", f"The name {name!r} does not match {NAME.pattern}.")
        properties = body["properties"]
        tags = properties.get("tags") or {}
        if len(tags) > TAGS or any(len(k) > KEY or len(v) > VALUE for k, v in tags.items()):
            raise Refused(400, "UserError", f"At most {TAGS} tags, keys of {KEY} and values of {VALUE} characters.")
        container = self.containers.setdefault(name, Container())
        former = container.versions.get(version)
        if former is None and version in container.used:
            raise Refused(409, "Conflict", f"The version {version} of {name!r} was deleted; its number cannot be used.")
        stored = {
            **properties,
            self._uri: long(properties[self._uri]),
            "tags": tags,
            "properties": properties.get("properties") or {},
            "isArchived": bool(properties.get("isArchived")),
            "provisioningState": "Succeeded",
        }
        if former is not None:
            before = former["properties"]
            if stored[self._uri] != before[self._uri]:
                raise Refused(400, "UserError", "Asset paths cannot be updated.")
            if any(stored["properties"].get(key) != value for key, value in before["properties"].items()):
                raise Refused(400, "UserError", "Properties of an asset cannot be changed or removed.")
        created_at = former["systemData"]["createdAt"] if former else now()
        container.versions[version] = {
            "id": request.path,
            "name": version,
            "type": f"Microsoft.MachineLearningServices/workspaces/{self._kind}/versions",
            "systemData": {"createdAt": created_at, "lastModifiedAt": now(), "createdBy": "stand-in"},
            "properties": stored,
        }
        container.used.add(version)
        return container.versions[version], former is None

    def _put(self, request: Request) -> Response:
        self._check(request)
        root = request.path.partition(f"/{self._kind}/")[0].replace("/resourceGroups/", "/resourcegroups/")
        workspace = re.sub("/providers/[^/]+/", "/", root).removeprefix("/")
        stored, created = self.store(
            request,
            request.json,
            long=lambda uri: re.sub("^azureml://datastores/", f"azureml://{workspace}/datastores/", uri),
        )
        return Response(stored, 201 if created else 200)

    def _names(self, request: Request) -> Response:
        self._check(request)
        return self._server.page(
            request, [self._container(request, n) for n, c in self.containers.items() if c.versions]
        )

    def _name(self, request: Request) -> Response:
        self._check(request)
        if request["name"] not in self.containers:
            raise Refused(404, "NotFound", f"There is no asset {request['name']!r}.")
        return Response(self._container(request, request["name"]))

    def _container(self, request: Request, name: str) -> dict[str, Any]:
        versions = self.containers[name].used
        numbers = [int(v) for v in versions if v.isdigit()]
        root = request.path.partition(f"/{self._kind}")[0]
        return {
            "id": f"{root}/{self._kind}/{name}",
            "name": name,
            "systemData": {"createdAt": now()},
            "properties": {
                "tags": {},
                "properties": {},
                "isArchived": False,
                "dataType": "uri_file",
                "latestVersion": next(reversed(self.containers[name].versions), None),
                "nextVersion": str(max(numbers, default=0) + 1),
            },
        }

    def _versions(self, request: Request) -> Response:
        self._check(request)
        container = self.containers.get(request["name"], Container())
        view = request.query.get("listViewType", "ActiveOnly").lower()
        shown = [
            version
            for version in reversed(container.versions.values())
            if (request["name"], version["name"]) not in self.unlisted
            if view == "all" or version["properties"]["isArchived"] == (view == "archivedonly")
        ]
        return self._server.page(request, shown)

    def _version(self, request: Request) -> Response:
        self._check(request)
        return Response(self._found(request))

    def _delete(self, request: Request) -> Response:
        self._check(request)
        self._found(request)
        del self.containers[request["name"]].versions[request["version"]]
        return Response()

    def _found(self, request: Request) -> dict[str, Any]:
        container = self.containers.get(request["name"], Container())
        if request["version"] not in container.versions:
            raise Refused(404, "NotFound", f"There is no version {request['version']} of {request['name']!r}.")
        return container.versions[request["version"]]
