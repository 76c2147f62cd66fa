"""Plays the workspace's environments: versions that name an image, or the address of a build context; both never change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route, now
from tests.servers.management.workspace import WORKSPACE_PATH, Workspaces

VERSION = WORKSPACE_PATH + "/environments/{name}/versions/{version}"


class Environments:
    """Environments by name and version, as they were sent; tests may look into it."""

    def __init__(self, server: ManagementServer, workspace: Workspaces) -> None:
        self._server = server
        self._workspace = workspace
        self.versions: dict[tuple[str, str], dict[str, Any]] = {}

    def routes(self) -> Iterable[Route]:
        return (Route("GET", VERSION, self._get), Route("PUT", VERSION, self._put))

    def found(self, resource_id: str) -> dict[str, Any]:
        """The environment that a deployment names by its id."""
        parts = resource_id.rstrip("/").split("/")
        key = (parts[-3], parts[-1])
        if parts[-4:-3] != ["environments"] or key not in self.versions:
            raise Refused(400, "BadArgument", f"The environment {resource_id!r} does not exist.")
        return self.versions[key]

    def _get(self, request: Request) -> Response:
        self._workspace.check(request)
        key = (request["name"], request["version"])
        if key not in self.versions:
            raise Refused(404, "NotFound", f"There is no environment {key[0]}:{key[1]}.")
        return Response(self.versions[key])

    def _put(self, request: Request) -> Response:
        self._workspace.check(request)
        key = (request["name"], request["version"])
        properties = request.json["properties"]
        if not properties.get("image") and not (properties.get("build") or {}).get("contextUri"):
            raise Refused(400, "BadArgument", "An environment needs an image or a build context.")
        former = self.versions.get(key)
        for field in ("image", "build", "inferenceConfig"):
            if former is not None and former["properties"].get(field) != properties.get(field):
                raise Refused(400, "UserError", f"The field {field} of an environment cannot be changed.")
        self.versions[key] = {
            "id": request.path,
            "name": request["version"],
            "type": "Microsoft.MachineLearningServices/workspaces/environments/versions",
            "systemData": {"createdAt": now(), "createdBy": "stand-in", "lastModifiedAt": now()},
            "properties": {"isAnonymous": False, "osType": "Linux", **properties},
        }
        return Response(self.versions[key], 200 if former else 201)
