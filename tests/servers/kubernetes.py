"""A loopback stand-in for a Kubernetes cluster: its API server, what its controllers do, and a gateway.

It plays server-side apply of whole objects, resource versions and generations, label selectors, lists by page and
deletion; Deployments become available at a later look, as their image's stand-in says; a gateway takes up routes at a
later look and sends requests by header or by weight. Built on the core of the management stand-in: tokens, TLS, faults.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route, error

Answer = Callable[[Mapping[str, Any]], tuple[int, bytes]]
"""What a container answers to the body of a request."""
Start = Callable[[str, Mapping[str, str]], Answer]
"""From an image and its variables to the container; raises where it cannot start."""

_HEADER = "azureml-model-deployment"
_KINDS = {
    "deployments": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "httproutes": "/apis/gateway.networking.k8s.io/v1",
    "services": "/api/v1",
    "pods": "/api/v1",
}
Key = tuple[str, str, str]
"""Plural, namespace, name."""


class Cluster(ManagementServer):
    """One cluster. `looks`: how often a Deployment, or a changed route, is read before it is as it is asked for."""

    def __init__(self, certificate: ssl.SSLContext, start: Start, *, looks: int = 1) -> None:
        super().__init__(certificate)
        self.looks = looks
        self.objects: dict[Key, dict[str, Any]] = {}
        self.managers: set[str] = set()
        """Field managers that have applied something."""
        self._start = start
        self._containers: dict[Key, Answer | Exception] = {}
        self._looks_left: dict[Key, int] = {}
        self._versions = 0
        self._credit: dict[str, dict[str, int]] = {}
        for plural, group in _KINDS.items():
            base = f"{group}/namespaces/{{namespace}}/{plural}"
            self.use(
                (
                    Route("GET", base, self._list(plural)),
                    Route("GET", base + "/{name}", self._get(plural)),
                    Route("PATCH", base + "/{name}", self._apply(plural)),
                    Route("DELETE", base + "/{name}", self._delete(plural)),
                )
            )
        self.use((Route("POST", "/gateway/{endpoint}/{path*}", self._score, public=True),))

    @property
    def public_url(self) -> str:
        """Of the gateway."""
        return f"{self.url}/gateway"

    # ----------------------------------------------------------------------------------------------------- API server

    def _apply(self, plural: str) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            if request.headers.get("content-type") != "application/apply-patch+yaml":
                raise Refused(415, "UnsupportedMediaType", "only server-side apply is played")
            self.managers.add(request.query["fieldManager"])
            applied = request.json
            key = (plural, request["namespace"], request["name"])
            if applied["metadata"]["name"] != request["name"]:
                return _status(400, "the name of the object does not match the name on the URL")
            there = self.objects.get(key)
            asked = applied["metadata"].get("resourceVersion")
            if asked and (there is None or there["metadata"]["resourceVersion"] != asked):
                return _status(409, "the object has been modified; please apply your changes to the latest version")
            self._versions += 1
            generation = 1 if there is None else there["metadata"]["generation"]
            if there is not None and there["spec"] != applied["spec"]:
                generation += 1
            metadata = {
                **applied["metadata"],
                "resourceVersion": str(self._versions),
                "generation": generation,
                "uid": there["metadata"]["uid"] if there else f"uid-{self._versions}",
            }
            written = {**applied, "metadata": metadata, "status": (there or {}).get("status", {})}
            self.objects[key] = written
            if there is None or generation > there["metadata"]["generation"]:
                self._looks_left[key] = self.looks
                self._begin(key, written)
            return Response(written, 201 if there is None else 200)

        return handler

    def _get(self, plural: str) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            key = (plural, request["namespace"], request["name"])
            if key not in self.objects:
                return _status(404, f'{plural} "{request["name"]}" not found')
            self._control(key)
            return Response(self.objects[key])

        return handler

    def _list(self, plural: str) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            wanted = dict(part.split("=") for part in request.query.get("labelSelector", "").split(",") if part)
            keys = [k for k in sorted(self.objects) if k[0] == plural and k[1] == request["namespace"]]
            items = self._pods(request["namespace"]) if plural == "pods" else [self.objects[key] for key in keys]
            found = [i for i in items if wanted.items() <= i["metadata"].get("labels", {}).items()]
            start = int(request.query.get("continue") or 0)
            limit = min(int(request.query.get("limit") or 500), self.page_size)
            page = found[start : start + limit]
            more = {"continue": str(start + limit)} if start + limit < len(found) else {}
            return Response({"items": page, "metadata": more})

        return handler

    def _delete(self, plural: str) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            key = (plural, request["namespace"], request["name"])
            if self.objects.pop(key, None) is None:
                return _status(404, f'{plural} "{request["name"]}" not found')
            self._containers.pop(key, None)
            return Response({"kind": "Status", "status": "Success"})

        return handler

    # ---------------------------------------------------------------------------------------------------- controllers

    def _begin(self, key: Key, written: Mapping[str, Any]) -> None:
        if key[0] != "deployments":
            return
        container = written["spec"]["template"]["spec"]["containers"][0]
        variables = {each["name"]: each["value"] for each in container["env"]}
        try:
            self._containers[key] = self._start(container["image"], variables)
        except Exception as failure:
            self._containers[key] = failure

    def _control(self, key: Key) -> None:
        """What controllers have done by the time of this look."""
        left = self._looks_left.get(key, 0)
        self._looks_left[key] = left - 1
        if left > 0:
            return
        there = self.objects[key]
        generation = there["metadata"]["generation"]
        if key[0] == "deployments":
            failed = isinstance(self._containers[key], Exception)
            conditions = [
                {"type": "Available", "status": "False" if failed else "True"},
                {
                    "type": "Progressing",
                    "status": "False" if failed else "True",
                    "reason": "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable",
                    "message": f'ReplicaSet "{key[2]}" has timed out progressing.' if failed else "",
                },
            ]
            there["status"] = {"observedGeneration": generation, "updatedReplicas": 1, "conditions": conditions}
        if key[0] == "httproutes":
            conditions = [
                {"type": kind, "status": "True", "observedGeneration": generation}
                for kind in ("Accepted", "ResolvedRefs")
            ]
            there["status"] = {"parents": [{"conditions": conditions}]}

    def _pods(self, namespace: str) -> list[dict[str, Any]]:
        pods = []
        for key, container in self._containers.items():
            if key[1] != namespace or not isinstance(container, Exception):
                continue
            waiting = {"reason": "CrashLoopBackOff", "message": str(container)}
            pods.append(
                {
                    "metadata": {"name": f"{key[2]}-x", "labels": self.objects[key]["metadata"]["labels"]},
                    "status": {"containerStatuses": [{"state": {"waiting": waiting}}]},
                }
            )
        return pods

    # -------------------------------------------------------------------------------------------------------- gateway

    def _score(self, request: Request) -> Response:
        """The route as it is written counts; what a gateway takes its time over is told by the route's status."""
        found = [key for key in self.objects if key[0] == "httproutes" and key[2] == request["endpoint"]]
        if not found:
            return Response(b"no route", 404, {"Content-Type": "text/plain"})
        rules = self.objects[found[0]]["spec"]["rules"]
        asked = request.headers.get(_HEADER)
        backend = self._backend(request["endpoint"], rules, asked)
        key = ("deployments", found[0][1], backend)
        container = self._containers.get(key)
        if container is None or isinstance(container, Exception) or "status" not in self.objects.get(key, {}):
            return Response(b"no healthy upstream", 503, {"Content-Type": "text/plain"})
        variables = self.objects[key]["spec"]["template"]["spec"]["containers"][0]["env"]
        deployment = next(each["value"] for each in variables if each["name"] == "GENAIOPS_DEPLOYMENT")
        status, body = container(request.json)
        return Response(body, status, {_HEADER: deployment})

    def _backend(self, endpoint: str, rules: list[dict[str, Any]], asked: str | None) -> str:
        for rule in rules:
            headers = [header["value"] for match in rule["matches"] for header in match.get("headers", [])]
            if asked in headers:
                return str(rule["backendRefs"][0]["name"])
        weights = {each["name"]: each["weight"] for rule in rules[-1:] for each in rule["backendRefs"]}
        if not any(weights.values()):
            return ""
        # Weighted round robin, so that of 10 calls at 90 and 10 one goes to the second.
        credit = self._credit.setdefault(endpoint, {})
        for name, weight in weights.items():
            credit[name] = credit.get(name, 0) + weight
        chosen: str = max(weights, key=lambda name: credit[name])
        credit[chosen] -= sum(weights.values())
        return chosen


def _status(code: int, message: str) -> Response:
    """A `Status` object, which is how an API server words errors."""
    body = error(code, "", message).body
    return Response({"kind": "Status", "status": "Failure", "message": message, "code": code, **body}, code)


def answering(status: int, body: Mapping[str, Any]) -> tuple[int, bytes]:
    """A container's answer as JSON."""
    return status, json.dumps(body).encode()
