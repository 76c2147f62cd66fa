"""The workspace as Azure Resource Manager knows it, its datastores, and the addresses that clients ask for first.

Plays `Microsoft.MachineLearningServices/workspaces` (get, and its discovery address) and `…/datastores` (default, by name,
secrets), and ARM's public list of clouds, by which the SDK finds the host of registries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route

SUBSCRIPTION_ID: Final = "11111111-2222-3333-4444-555555555555"
GROUP: Final = "genaiops"
WORKSPACE: Final = "genaiops-ml"
WORKSPACE_ID: Final = "99999999-8888-7777-6666-555555555555"
LOCATION: Final = "westeurope"

RESOURCE_GROUP: Final = "/subscriptions/{subscription}/resourceGroups/{group}"
ML: Final = RESOURCE_GROUP + "/providers/Microsoft.MachineLearningServices"
WORKSPACE_PATH: Final = ML + "/workspaces/{workspace}"
"""Templates of routes: what stands below a workspace starts with it."""


@dataclass(frozen=True)
class Datastore:
    """A blob datastore. Without an account key it is identity-based, as in workspaces without keys."""

    name: str
    account: str
    container: str
    endpoint: str = "core.windows.net"
    protocol: str = "https"
    account_key: str | None = None
    default: bool = False


class Workspaces:
    """One workspace. Tests may replace `datastores`."""

    def __init__(self, server: ManagementServer) -> None:
        self._server = server
        self.name = WORKSPACE
        self.location = LOCATION
        self.datastores = [
            Datastore("workspaceblobstore", "genaiopsstorage", "azureml-blobstore", default=True),
            Datastore("workspaceartifactstore", "genaiopsstorage", "azureml"),
        ]

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/metadata/endpoints", self._clouds, public=True),
            Route("GET", "/discovery", self._discovery, public=True),
            Route("GET", "/discovery/workspaces/{id}", self._discovery, public=True),
            Route("GET", WORKSPACE_PATH, self._workspace),
            Route("GET", WORKSPACE_PATH + "/datastores", self._datastores),
            Route("GET", WORKSPACE_PATH + "/datastores/{name}", self._datastore),
            Route("PUT", WORKSPACE_PATH + "/datastores/{name}", self._create_datastore),
            Route("POST", WORKSPACE_PATH + "/datastores/{name}/listSecrets", self._secrets),
        )

    def check(self, request: Request) -> None:
        """Refuse requests for a workspace that does not exist."""
        if request["workspace"] != self.name:
            raise Refused(404, "ResourceNotFound", f"The workspace {request['workspace']!r} was not found.")

    def _workspace(self, request: Request) -> Response:
        self.check(request)
        group = f"/subscriptions/{request['subscription']}/resourceGroups/{request['group']}/providers"
        return Response(
            {
                "id": request.path,
                "name": self.name,
                "type": "Microsoft.MachineLearningServices/workspaces",
                "location": self.location,
                "kind": "Default",
                "tags": {},
                "identity": {"type": "SystemAssigned"},
                "properties": {
                    "friendlyName": self.name,
                    "workspaceId": WORKSPACE_ID,
                    "provisioningState": "Succeeded",
                    "discoveryUrl": f"{request.base_url}/discovery",
                    "mlFlowTrackingUri": request.url.replace("https:", "azureml:"),
                    "storageAccount": f"{group}/Microsoft.Storage/storageAccounts/genaiopsstorage",
                    "keyVault": f"{group}/Microsoft.KeyVault/vaults/genaiops-vault",
                    "applicationInsights": f"{group}/Microsoft.Insights/components/genaiops-insights",
                    "hbiWorkspace": False,
                    "publicNetworkAccess": "Enabled",
                },
            }
        )

    def _datastores(self, request: Request) -> Response:
        self.check(request)
        only_default = request.query.get("isDefault", "").lower() == "true"
        found = [d for d in self.datastores if d.default or not only_default]
        return self._server.page(request, [self._shown(request, d) for d in found])

    def _datastore(self, request: Request) -> Response:
        return Response(self._shown(request, self._found(request)))

    def _create_datastore(self, request: Request) -> Response:
        self.check(request)
        asked = request.json["properties"]
        if not re.fullmatch(r"\w{1,255}", request["name"], re.ASCII):
            raise Refused(400, "UserError", f"The name {request['name']!r} has more than letters, digits and _.")
        made = Datastore(
            request["name"], asked["accountName"], asked["containerName"], asked["endpoint"], asked["protocol"]
        )
        self.datastores = [*(d for d in self.datastores if d.name != made.name), made]
        return Response(self._shown(request, made), 201)

    def _secrets(self, request: Request) -> Response:
        datastore = self._found(request)
        if datastore.account_key is None:
            raise Refused(400, "UserError", f"The datastore {datastore.name!r} has no secrets.")
        return Response({"secretsType": "AccountKey", "key": datastore.account_key})

    def _found(self, request: Request) -> Datastore:
        self.check(request)
        for datastore in self.datastores:
            if datastore.name == request["name"]:
                return datastore
        raise Refused(404, "ResourceNotFound", f"The datastore {request['name']!r} was not found.")

    def _shown(self, request: Request, datastore: Datastore) -> dict[str, Any]:
        root = request.path.partition("/datastores")[0]
        return {
            "id": f"{root}/datastores/{datastore.name}",
            "name": datastore.name,
            "type": "Microsoft.MachineLearningServices/workspaces/datastores",
            "properties": {
                "datastoreType": "AzureBlob",
                "isDefault": datastore.default,
                "accountName": datastore.account,
                "containerName": datastore.container,
                "endpoint": datastore.endpoint,
                "protocol": datastore.protocol,
                "serviceDataAccessAuthIdentity": "None",
                "credentials": {"credentialsType": "AccountKey" if datastore.account_key else "None"},
                "tags": {},
                "properties": {},
            },
        }

    def _discovery(self, request: Request) -> Response:
        """https://<region>.api.azureml.ms/discovery: every service of the workspace has the same host."""
        services = (
            "api",
            "catalog",
            "experimentation",
            "gallery",
            "history",
            "hyperdrive",
            "labeling",
            "modelmanagement",
        )
        return Response(dict.fromkeys((*services, "modelregistry", "pipelines", "studio"), request.base_url))

    def _clouds(self, request: Request) -> Response:
        """https://management.azure.com/metadata/endpoints?api-version=2022-09-01: this stand-in is a cloud of its own."""
        return Response(
            [
                {
                    "name": "StandIn",
                    "portal": "https://portal.azure.test/",
                    "resourceManager": f"{request.base_url}/",
                    "authentication": {
                        "loginEndpoint": f"{request.base_url}/",
                        "audiences": [request.base_url],
                        "tenant": "common",
                        "identityProvider": "AAD",
                    },
                    "suffixes": {"storage": "core.windows.net", "acrLoginServer": "azurecr.io"},
                }
            ]
        )
