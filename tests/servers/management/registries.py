"""A shared Azure ML registry: its discovery (the host of registries is another than ARM's), its assets, and the import
of a workspace's version, which copies it deeply and takes its time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from tests.servers.management.operations import Operations
from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route
from tests.servers.management.versioned_assets import Container, VersionedAssets
from tests.servers.management.workspace import LOCATION, SUBSCRIPTION_ID, WORKSPACE_ID

NAME: Final = "genaiops-shared"
GROUP: Final = "registries"
REGISTRY_PATH: Final = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/registries/{registry}"
)
SOURCE: Final = re.compile(rf"azureml://locations/{LOCATION}/workspaces/{WORKSPACE_ID}/(\w+)/([^/]+)/versions/([^/]+)")


class Registries:
    """One registry. `data` and `models` are what was shared into it."""

    def __init__(
        self, server: ManagementServer, operations: Operations, data: VersionedAssets, models: VersionedAssets
    ) -> None:
        self._operations = operations
        self._sources = {"data": data, "models": models}
        self.data = VersionedAssets(server, "data", "dataUri", self._check)
        self.models = VersionedAssets(server, "models", "modelUri", self._check)

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/registrymanagement/v1.0/registries/{registry}/discovery", self._discovery),
            Route("POST", REGISTRY_PATH + "/import", self._import),
            *self.data.routes(REGISTRY_PATH),
            *self.models.routes(REGISTRY_PATH),
        )

    def _check(self, request: Request) -> None:
        if request["registry"] != NAME:
            raise Refused(404, "NotFound", f"There is no registry {request['registry']!r}.")

    def _discovery(self, request: Request) -> Response:
        self._check(request)
        return Response(
            {
                "registryName": NAME,
                "tenantId": "tenant",
                "primaryRegion": LOCATION,
                "regions": [LOCATION],
                "registryFqdns": {LOCATION: {"dns": request.base_url}},
                "subscriptionId": SUBSCRIPTION_ID,
                "resourceGroup": GROUP,
                "workspaceName": NAME,
                "primaryRegionResourceProviderUri": f"{request.base_url}/",
            }
        )

    def _import(self, request: Request) -> Response:
        self._check(request)
        asked = request.json["properties"]
        found = SOURCE.fullmatch(asked["sourceAssetId"])
        if found is None:
            raise Refused(400, "UserError", f"{asked['sourceAssetId']!r} is no asset of this region's workspace.")
        kind, source, number = found.groups()
        original = self._sources[kind].containers.get(source, Container()).versions.get(number)
        if original is None:
            raise Refused(404, "NotFound", f"There is no {asked['sourceAssetId']}.")
        target = self.data if kind == "data" else self.models
        name, version = asked["destinationName"], asked["destinationVersion"]
        if version in target.containers.get(name, Container()).versions:
            raise Refused(409, "Conflict", f"{name} version {version} is in the registry already.")

        def ended(succeeded: bool) -> None:
            if succeeded:
                made: dict[str, Any] = {
                    **original,
                    "id": f"azureml://registries/{NAME}/{kind}/{name}/versions/{version}",
                }
                container = target.containers.setdefault(name, Container())
                container.versions[version] = made
                container.used.add(version)

        return self._operations.begin(request, None, ended, status=202)
