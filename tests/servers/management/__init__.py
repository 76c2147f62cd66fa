"""A loopback stand-in for Azure's management APIs, so that Microsoft's SDKs run whole in tests: TLS, tokens, pages, polls.

    def test_…(management):       # a fixture: one server a session, empty before each test; or `with Management(context)`
        management.environment    # what points azure-ai-ml here; it is set. Others take settings.azure.management_url:
        management.url            # https://127.0.0.1:<port>
        management.faults.add("PUT", r"/models/", status=429, retry_after=2)
        management.operations.looks = 2                        # long-running operations end at the third look
        ...
        assert management.unknown == []                        # nobody asked for what the stand-in does not play
        assert management.seen("PUT", r"/models/.*/versions/") # LoggedRequest(method, path, api_version, bearer, status)

`server.py` is the core (routes, log, pages) over `transport.py` (HTTPS) and `messages.py` (requests, responses, conditions),
`faults.py` what goes wrong at will, `operations.py` long-running operations; then one file per service, which keeps that service's resources in plain dictionaries:

| file | plays |
|---|---|
| `workspace.py` | the Azure ML workspace, its datastores, discovery, the list of clouds |
| `prompt_flow.py`, `compute.py` | runs of prompt flow, which really run; run history, metrics, outputs, events |
| `storage.py` | the workspace's own storage account, under its real name through `tests/servers/proxy.py` |
| `data_assets.py`, `models.py` | its data assets and models, by `versioned_assets.py`, which they share |
| `environments.py` | its environments |
| `online_endpoints.py` | its online endpoints and their scoring addresses; `running.py`: what runs behind them |
| `monitor.py` | Azure Monitor: metrics of online endpoints, autoscale settings |
| `registries.py` | a shared registry: discovery, import from the workspace, what was imported |
| `container_registry.py` | a container registry's tasks: uploads of contexts, runs, logs |
| `web_apps.py` | App Service: web apps, slots, routing rules, and the hosts of both |

To add a service, write a file with a class of this shape, and give it a line in `Management` and in the table above:

    class WebApps:
        def __init__(self, server: ManagementServer, operations: Operations) -> None:
            self._server, self._operations = server, operations
            self.apps: dict[str, dict[str, Any]] = {}          # public: tests look into it and change it

        def routes(self) -> Iterable[Route]:
            return (Route("GET", APP, self._get), Route("PUT", APP, self._put), Route("GET", APPS, self._list))

        def _get(self, request: Request) -> Response:          # runs under the server's lock
            if request["name"] not in self.apps:               # {name} of the template
                raise Refused(404, "ResourceNotFound", "…")    # any error, as ARM words it
            self._operations.look(request.path)                # a GET is a look at the operation that makes it
            return Response(self.apps[request["name"]])        # or Response(body, status, headers)

        def _put(self, request: Request) -> Response:
            app = request.json                                  # .query, .headers (lower case), .body, .url
            return self._operations.begin(request, app, ended)  # 201 with Azure-AsyncOperation and Location

        def _list(self, request: Request) -> Response:
            return self._server.page(request, list(self.apps.values()))   # value, nextLink

Templates of paths are matched in any case, as ARM does; `{rest*}` takes the rest of a path. Routes with `public=True`
need no bearer token; a scoring address is one whose handler checks `request.headers["authorization"]` itself.
"""

from __future__ import annotations

import ssl
from contextlib import ExitStack

from tests.servers.management.compute import Compute
from tests.servers.management.container_registry import ContainerRegistries
from tests.servers.management.data_assets import DataAssets
from tests.servers.management.environments import Environments
from tests.servers.management.faults import Moment
from tests.servers.management.models import Models
from tests.servers.management.monitor import Monitor
from tests.servers.management.online_endpoints import OnlineEndpoints
from tests.servers.management.operations import Operations
from tests.servers.management.prompt_flow import PromptFlow
from tests.servers.management.registries import Registries
from tests.servers.management.server import LoggedRequest, ManagementServer
from tests.servers.management.storage import WorkspaceBlobs
from tests.servers.management.web_apps import WebApps
from tests.servers.management.workspace import WORKSPACE_PATH, Workspaces

__all__ = ["LoggedRequest", "Management", "Moment"]


class Management(ManagementServer):
    """The stand-in with all its services."""

    def __init__(self, certificate: ssl.SSLContext, *, port: int = 0, page_size: int = 100) -> None:
        super().__init__(certificate, port=port, page_size=page_size)
        self.compute = Compute()
        self._certificate = certificate
        self._hosts = ExitStack()
        self.reset()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.compute.close()
        self._hosts.close()

    def reset(self) -> None:
        """Begin anew: nothing registered, no faults, no log; for the next test. The address stays."""
        self.begin_anew()
        self.operations = Operations()
        self.workspace = Workspaces(self)
        self.data_assets = DataAssets(self, self.workspace)
        self.models = Models(self, self.workspace)
        self.registries = Registries(self, self.operations, self.data_assets, self.models)
        for service in (self.operations, self.workspace, self.registries):
            self.use(service.routes())
        self.use(self.data_assets.routes(WORKSPACE_PATH))
        self.use(self.models.routes(WORKSPACE_PATH))
        self.environments = Environments(self, self.workspace)
        self.online_endpoints = OnlineEndpoints(self, self.operations, self.workspace, self.environments)
        self.container_registry = ContainerRegistries(self)
        self.use(self.container_registry.routes())
        self._hosts.close()
        self.web_apps = WebApps(self, self.operations, self.container_registry, self._certificate)
        self._hosts.callback(self.web_apps.close)
        self.use(self.web_apps.routes())
        self.monitor = Monitor(self.online_endpoints.counted)
        self.use(self.environments.routes())
        self.use(self.online_endpoints.routes())
        self.use(self.monitor.routes())
        self.storage = WorkspaceBlobs(self.workspace)
        self.prompt_flow = PromptFlow(self, self.storage, self.compute)
        self.use(self.prompt_flow.routes())
        self.use(self.storage.routes())  # last: a container's name is a path of its own
