"""Plays Azure ML's online endpoints, managed and on Kubernetes: endpoints, deployments, traffic, keys, logs, and scoring.

As the service does, it refuses traffic to what is not ready or does not sum to 0 or 100, and a further operation while one is
running (409); deleting what has traffic fails. Operations take as long as `Operations` says. A deployment runs what `serve`
makes of its image or context (`running.py`); the scoring address is the stand-in's own, with the headers of the service:
https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.servers.management.environments import Environments
from tests.servers.management.monitor import Series
from tests.servers.management.operations import Operations, StillRunning
from tests.servers.management.running import CannotStart, Running, Serve, Start, nothing
from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route
from tests.servers.management.workspace import WORKSPACE_PATH, Workspaces

ENDPOINTS = WORKSPACE_PATH + "/onlineEndpoints"
ENDPOINT = ENDPOINTS + "/{endpoint}"
DEPLOYMENTS = ENDPOINT + "/deployments"
DEPLOYMENT = DEPLOYMENTS + "/{deployment}"
SCORE = "/inference/{endpoint}/score"
HEADER = "azureml-model-deployment"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_TYPE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"


class OnlineEndpoints:
    """Endpoints and deployments by their paths in lower case, as resources; tests may look into them."""

    def __init__(
        self, server: ManagementServer, operations: Operations, workspace: Workspaces, environments: Environments
    ) -> None:
        self._server, self._operations, self._workspace = server, operations, workspace
        self._environments = environments
        self.serve: Serve = nothing
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.deployments: dict[str, dict[str, Any]] = {}
        self.running: dict[str, Running] = {}
        self.logs: dict[str, str] = {}
        self.scored: Counter[tuple[str, str]] = Counter()
        """(path of the deployment, class of the status) → requests."""
        self._latencies: dict[str, list[float]] = defaultdict(list)
        self._credit: Counter[str] = Counter()

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", ENDPOINTS, self._list),
            Route("GET", ENDPOINT, self._get),
            Route("PUT", ENDPOINT, self._put),
            Route("DELETE", ENDPOINT, self._delete),
            Route("POST", ENDPOINT + "/listKeys", self._keys),
            Route("POST", ENDPOINT + "/token", self._token),
            Route("GET", DEPLOYMENTS, self._list_deployments),
            Route("GET", DEPLOYMENT, self._get_deployment),
            Route("PUT", DEPLOYMENT, self._put_deployment),
            Route("DELETE", DEPLOYMENT, self._delete_deployment),
            Route("POST", DEPLOYMENT + "/getLogs", self._logs),
            Route("POST", SCORE, self._score, public=True),
        )

    def counted(self, resource: str, metric: str) -> list[Series]:
        """For the monitor: what was scored, by deployment."""
        found: list[Series] = []
        for key, deployment in self.deployments.items():
            if not key.startswith(f"{resource.lower()}/deployments/"):
                continue
            name = deployment["name"]
            if metric == "RequestsPerMinute":
                found += [
                    ({"deployment": name, "statusCodeClass": status}, [float(count)])
                    for (scored, status), count in self.scored.items()
                    if scored == key
                ]
            elif latencies := sorted(self._latencies[key]):
                rank = {"RequestLatency_P50": 0.5, "RequestLatency_P95": 0.95}[metric]
                found.append(({"deployment": name}, [latencies[min(len(latencies) - 1, int(rank * len(latencies)))]]))
        return found

    def close(self) -> None:
        """End everything that runs."""
        for running in self.running.values():
            running.stop()
        self.running.clear()

    # ------------------------------------------------------------------------------------------------------ endpoints

    def _list(self, request: Request) -> Response:
        self._workspace.check(request)
        return self._server.page(request, list(self.endpoints.values()))

    def _get(self, request: Request) -> Response:
        self._workspace.check(request)
        self._operations.look(request.path)
        return Response(self._endpoint(request))

    def _put(self, request: Request) -> Response:
        self._workspace.check(request)
        body, key, name = request.json, request.path.lower(), request["endpoint"]
        if not _NAME.fullmatch(name):
            raise Refused(400, "BadArgument", f"The name {name!r} of an endpoint must match {_NAME.pattern}.")
        asked = body["properties"]
        former = self.endpoints.get(key)
        traffic = {deployment: share for deployment, share in (asked.get("traffic") or {}).items() if share}
        if former is None:
            if traffic:
                raise Refused(400, "BadArgument", "A new endpoint has no deployments to give traffic to.")
            compute = asked.get("compute")
            if compute and not re.search(r"/computes/[^/]+$", compute):
                raise Refused(400, "BadArgument", f"{compute!r} is no id of an attached compute.")
            if compute and asked["authMode"] == "AADToken":
                raise Refused(400, "BadArgument", "Kubernetes endpoints take keys and tokens of Azure ML, AMLToken.")
            endpoint: dict[str, Any] = {
                "id": request.path,
                "name": name,
                "type": _TYPE,
                "kind": "K8S" if compute else "Managed",
            }
            self.endpoints[key] = endpoint
        else:
            self._refuse_if_busy(key, f"The endpoint {name!r}")
            self._check_traffic(key, traffic)
            endpoint = former
        before = endpoint.get("properties", {}).get("traffic", {})
        endpoint |= {"location": body["location"], "tags": body.get("tags") or {}, "identity": body.get("identity")}
        endpoint["properties"] = {
            "properties": {},
            **asked,
            "traffic": before,
            "scoringUri": f"{request.base_url}{SCORE.format(endpoint=name)}",
            "provisioningState": "Updating" if former else "Creating",
        }

        def ended(succeeded: bool) -> None:
            endpoint["properties"]["provisioningState"] = "Succeeded" if succeeded else "Failed"
            if succeeded:
                endpoint["properties"]["traffic"] = traffic
                self._credit.clear()
            elif former is None:
                endpoint["properties"].pop("scoringUri")

        return self._operations.begin(request, endpoint, ended, status=200 if former else 201)

    def _delete(self, request: Request) -> Response:
        key = request.path.lower()
        if key not in self.endpoints:
            return Response(None, 204)
        self._refuse_if_busy(key, "The endpoint")
        self.endpoints[key]["properties"]["provisioningState"] = "Deleting"

        def ended(succeeded: bool) -> None:
            for deployment in [each for each in self.deployments if each.startswith(f"{key}/")]:
                self._end(deployment)
            self.endpoints.pop(key, None)

        return self._operations.begin(request, None, ended, status=202)

    def _keys(self, request: Request) -> Response:
        endpoint = self._endpoint(request)
        if endpoint["properties"]["authMode"] != "Key":
            raise Refused(400, "BadArgument", "The endpoint does not use keys.")
        return Response({"primaryKey": f"key-of-{endpoint['name']}", "secondaryKey": "another"})

    def _token(self, request: Request) -> Response:
        endpoint = self._endpoint(request)
        if endpoint["properties"]["authMode"] != "AMLToken":
            raise Refused(400, "BadArgument", "The endpoint does not use tokens of its own.")
        until = int(time.time()) + 3_600
        answer = {"accessToken": f"token-of-{endpoint['name']}", "tokenType": "Bearer"}
        return Response({**answer, "expiryTimeUtc": until, "refreshAfterTimeUtc": until})

    def _endpoint(self, request: Request) -> dict[str, Any]:
        key = request.path.lower().partition("/onlineendpoints/")
        found = self.endpoints.get(f"{key[0]}/onlineendpoints/{request['endpoint'].lower()}")
        if found is None:
            raise Refused(404, "ResourceNotFound", f"There is no endpoint {request['endpoint']!r}.")
        return found

    def _check_traffic(self, endpoint: str, traffic: dict[str, int]) -> None:
        if sum(traffic.values()) not in (0, 100):
            raise Refused(400, "BadArgument", "Traffic must sum to 0 or 100.")
        for name in traffic:
            deployment = self.deployments.get(f"{endpoint}/deployments/{name.lower()}")
            if deployment is None or deployment["properties"]["provisioningState"] != "Succeeded":
                raise Refused(400, "BadArgument", f"The deployment {name!r} cannot be given traffic: it is not ready.")

    def _refuse_if_busy(self, key: str, what: str) -> None:
        if self._operations.under_way(key):
            raise Refused(409, "Conflict", f"{what} has an operation that has not ended.")

    # ---------------------------------------------------------------------------------------------------- deployments

    def _list_deployments(self, request: Request) -> Response:
        self._endpoint(request)
        key = f"{request.path.lower()}/"
        found = [name for name in self.deployments if name.startswith(key)]
        for name in found:
            self._operations.look(name)
        return self._server.page(request, [self.deployments[name] for name in found if name in self.deployments])

    def _get_deployment(self, request: Request) -> Response:
        self._operations.look(request.path)
        return Response(self._deployment(request))

    def _put_deployment(self, request: Request) -> Response:
        endpoint = self._endpoint(request)
        body, key, name = request.json, request.path.lower(), request["deployment"]
        if not _NAME.fullmatch(name):
            raise Refused(400, "BadArgument", f"The name {name!r} of a deployment must match {_NAME.pattern}.")
        if endpoint["properties"]["provisioningState"] not in ("Succeeded", "Failed"):
            raise Refused(409, "Conflict", "The endpoint has an operation that has not ended.")
        self._refuse_if_busy(key, f"The deployment {name!r}")
        asked = body["properties"]
        environment = self._environments.found(asked["environmentId"])["properties"]
        former = self.deployments.get(key)
        deployment = {
            "id": request.path,
            "name": name,
            "type": f"{_TYPE}/deployments",
            "location": body["location"],
            "tags": body.get("tags") or {},
            "sku": body.get("sku"),
            "properties": {"properties": {}, **asked, "provisioningState": "Updating" if former else "Creating"},
        }
        self.deployments[key] = deployment
        start = Start(
            endpoint=endpoint["name"],
            deployment=name,
            image=environment.get("image") or "",
            context=(environment.get("build") or {}).get("contextUri", ""),
            variables=asked.get("environmentVariables") or {},
        )

        def ended(succeeded: bool) -> None:
            properties = deployment["properties"]
            try:
                if succeeded and key not in self.running:
                    self.running[key] = self.serve(start)
                if succeeded and not self.running[key].is_ready():
                    raise StillRunning
            except CannotStart as reason:
                properties["provisioningState"] = "Failed"
                self.logs[key] = f"Traceback of the container:\n{reason}"
                raise Refused(400, "ResourceNotReady", f"The user container has crashed: {reason}") from reason
            properties["provisioningState"] = "Succeeded" if succeeded else "Failed"

        return self._operations.begin(request, deployment, ended)

    def _delete_deployment(self, request: Request) -> Response:
        endpoint = self._endpoint(request)
        key, name = request.path.lower(), request["deployment"]
        if key not in self.deployments:
            return Response(None, 204)
        self._refuse_if_busy(key, f"The deployment {name!r}")
        if endpoint["properties"]["traffic"].get(name):
            raise Refused(400, "BadArgument", f"The deployment {name!r} has traffic.")
        self.deployments[key]["properties"]["provisioningState"] = "Deleting"
        return self._operations.begin(request, None, lambda succeeded: self._end(key), status=202)

    def _logs(self, request: Request) -> Response:
        key = request.path.lower().removesuffix("/getlogs")
        if key not in self.logs:
            raise Refused(404, "NotFound", "The deployment has no container.")
        return Response({"content": self.logs[key]})

    def _deployment(self, request: Request) -> dict[str, Any]:
        found = self.deployments.get(request.path.lower())
        if found is None:
            raise Refused(404, "ResourceNotFound", f"There is no deployment {request['deployment']!r}.")
        return found

    def _end(self, key: str) -> None:
        self.deployments.pop(key, None)
        running = self.running.pop(key, None)
        if running is not None:
            running.stop()
        for counted in [each for each in self.scored if each[0] == key]:
            del self.scored[counted]
        self._latencies.pop(key, None)

    # --------------------------------------------------------------------------------------------------------- scoring

    def _score(self, request: Request) -> Response:
        key = next((each for each in self.endpoints if each.endswith(f"/{request['endpoint'].lower()}")), None)
        if key is None:
            raise Refused(404, "NotFound", "There is no such endpoint.")
        endpoint = self.endpoints[key]
        self._check_authorization(request, endpoint)
        named = request.headers.get(HEADER)
        name = named if named is not None else self._routed(endpoint["properties"]["traffic"])
        path = f"{key}/deployments/{name}".lower()
        if name is None or path not in self.running or not self._is_ready(path):
            raise Refused(404, "NotFound", "No valid deployments to route to.")
        start = time.perf_counter()
        status, body = self.running[path].score(request.body)
        self._latencies[path].append(max(0.01, (time.perf_counter() - start) * 1000))
        self.scored[path, "2xx" if status == 200 else "4xx"] += 1
        headers = {HEADER: self.deployments[path]["name"]}
        if status != 200:
            return Response(body, 424, {**headers, "ms-azureml-model-error-statuscode": str(status)})
        return Response(body, 200, headers)

    def _is_ready(self, path: str) -> bool:
        return bool(self.deployments[path]["properties"]["provisioningState"] == "Succeeded")

    def _check_authorization(self, request: Request, endpoint: dict[str, Any]) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if endpoint["properties"]["authMode"] == "Key":
            allowed = bearer == f"key-of-{endpoint['name']}"
        elif endpoint["properties"]["authMode"] == "AMLToken":
            allowed = bearer == f"token-of-{endpoint['name']}"
        else:
            allowed = _audience(bearer).rstrip("/") == "https://ml.azure.com"
        if not allowed:
            raise Refused(401, "Unauthorized", "The key or the token is not valid here.")

    def _routed(self, traffic: dict[str, int]) -> str | None:
        """Smooth weighted round robin, where the service splits by chance: of ten at 90/10, one goes to the second."""
        if not traffic:
            return None
        for name, share in traffic.items():
            self._credit[name] += share
        chosen = max(traffic, key=lambda name: self._credit[name])
        self._credit[chosen] -= 100
        return chosen


def _audience(token: str) -> str:
    try:
        part = token.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["aud"])
    except (IndexError, ValueError, KeyError):
        return ""
