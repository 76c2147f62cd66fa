"""App Service: `Microsoft.Web/serverfarms`, `sites`, their slots, configuration and routing rules, and what runs in them.

Each site and each slot has a host of its own, an HTTPS server on a free port, whose address is its `defaultHostName`. A
slot's container is something that the test gives (`running.py`), started with the slot's settings once its image is
there; references to Key Vault are resolved from `secrets`. The site's host shares requests out by `rampUpRules`, exactly
and not by chance; what they leave gets the platform's page.
https://learn.microsoft.com/azure/app-service/deploy-staging-slots
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tests.servers.management.container_registry import ContainerRegistries
from tests.servers.management.operations import Operations
from tests.servers.management.running import CannotStart, Running, Serve, Start, nothing
from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route, now
from tests.servers.management.transport import Https
from tests.servers.management.workspace import RESOURCE_GROUP

PLAN = "apps-plan"
IDENTITY = "served-flows"
CLIENT_ID = "5b3c8a5e-6f2d-4a55-9a43-0c1d2e3f4a5b"
SITE = RESOURCE_GROUP + "/providers/Microsoft.Web/sites/{site}"
SLOT = SITE + "/slots/{slot}"
REFERENCE = re.compile(r"@Microsoft\.KeyVault\(VaultName=([^;)]+);SecretName=([^;)]+)\)")
DEPLOYMENT_HEADER = "azureml-model-deployment"
PAGE = b"<html>Your app is running.</html>"


class WebApps:
    """One plan and one identity; `sites` by name, each with its `slots`."""

    def __init__(
        self,
        server: ManagementServer,
        operations: Operations,
        registries: ContainerRegistries,
        certificate: ssl.SSLContext,
    ) -> None:
        self._server = server
        self._operations = operations
        self._registries = registries
        self._certificate = certificate
        self.tier = "PremiumV3"
        self.most_slots = 20
        self.serve: Serve = nothing
        self.secrets: dict[tuple[str, str], str] = {}
        """(vault, name) → value."""
        self.sites: dict[str, Place] = {}
        self.slots: dict[tuple[str, str], Place] = {}
        self.started: list[Start] = []

    def routes(self) -> Iterable[Route]:
        yield Route("GET", RESOURCE_GROUP + "/providers/Microsoft.Web/serverfarms/{plan}", self._plan)
        identities = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}"
        yield Route("GET", RESOURCE_GROUP + identities, self._identity)
        yield Route("GET", SITE, self._get_site)
        yield Route("PUT", SITE, self._put_site)
        yield Route("GET", SITE + "/config/web", self._configuration)
        yield Route("PATCH", SITE + "/config/web", self._change)
        yield Route("GET", SITE + "/slots", self._list)
        yield Route("GET", SLOT, self._get_slot)
        yield Route("PUT", SLOT, self._put_slot)
        yield Route("DELETE", SLOT, self._delete_slot)
        yield Route("POST", SLOT + "/containerlogs", self._log)
        yield Route("GET", SLOT + "/providers/Microsoft.Insights/metrics", self._metrics)

    def close(self) -> None:
        """End all hosts and containers."""
        for place in (*self.sites.values(), *self.slots.values()):
            place.close()
        self.sites.clear()
        self.slots.clear()

    def _plan(self, request: Request) -> Response:
        if request["plan"] != PLAN:
            raise Refused(404, "ResourceNotFound", f"The plan {request['plan']!r} was not found.")
        sku = {"name": "P0v3", "tier": self.tier, "capacity": 1}
        return Response({"id": request.path, "name": PLAN, "location": "westeurope", "kind": "linux", "sku": sku})

    def _identity(self, request: Request) -> Response:
        if request["identity"] != IDENTITY:
            raise Refused(404, "ResourceNotFound", f"The identity {request['identity']!r} was not found.")
        return Response({"id": request.path, "name": IDENTITY, "properties": {"clientId": CLIENT_ID}})

    def _get_site(self, request: Request) -> Response:
        return Response(self._site(request).shown)

    def _put_site(self, request: Request) -> Response:
        asked = request.json
        if not asked["properties"].get("serverFarmId", "").endswith(f"/serverfarms/{PLAN}"):
            raise Refused(400, "BadRequest", "The site names no plan.")
        if request["site"] not in self.sites:
            name = request["site"]
            place = Place(request, name, asked, self._certificate, lambda asked: self._routed(name, asked))
            self.sites[name] = place
        return self._operations.begin(request, self.sites[request["site"]].shown, status=200)

    def _configuration(self, request: Request) -> Response:
        return Response(self._configured(self._site(request)))

    def _change(self, request: Request) -> Response:
        site = self._site(request)
        asked = request.json["properties"]
        rules = asked["experiments"]["rampUpRules"]
        hosts = {slot.host for (name, _), slot in self.slots.items() if name == request["site"]}
        if sum(rule["reroutePercentage"] for rule in rules) > 100:
            raise Refused(400, "BadRequest", "The percentages of all rules must not exceed 100.")
        if not {rule["actionHostName"] for rule in rules} <= hosts:
            raise Refused(400, "BadRequest", "A rule names a host that is no slot.")
        site.config["experiments"] = {"rampUpRules": rules}
        site.turn = {}
        return Response(self._configured(site))

    def _list(self, request: Request) -> Response:
        self._site(request)
        found = [slot.shown for (site, _), slot in sorted(self.slots.items()) if site == request["site"]]
        return self._server.page(request, found)

    def _get_slot(self, request: Request) -> Response:
        slot = self._slot(request)
        self._operations.look(request.path)
        return Response(slot.shown)

    def _put_slot(self, request: Request) -> Response:
        site = self._site(request)
        key = (request["site"], request["slot"])
        asked = request.json
        if key in self.slots:
            raise Refused(409, "Conflict", "The slot exists.")
        if sum(name == request["site"] for name, _ in self.slots) >= self.most_slots:
            raise Refused(
                409,
                "Conflict",
                "Cannot complete the operation because the site will exceed the limit of slots of this Sku.",
            )
        slot = Place(request, f"{request['site']}/{request['slot']}", asked, self._certificate, None)
        slot.properties.setdefault("serverFarmId", site.properties["serverFarmId"])
        self.slots[key] = slot

        def ended(_: bool) -> None:
            self._start(request, slot)

        return self._operations.begin(request, slot.shown, ended, status=200)

    def _delete_slot(self, request: Request) -> Response:
        slot = self.slots.pop((request["site"], request["slot"]), None)
        if slot is None:
            return Response(None, 204)
        slot.close()
        rules = self._site(request).config.get("experiments", {})
        rules["rampUpRules"] = [r for r in rules.get("rampUpRules", []) if r["actionHostName"] != slot.host]
        return Response(None, 200)

    def _log(self, request: Request) -> Response:
        slot = self._slot(request)
        if not slot.log:
            return Response(None, 204)
        return Response(slot.log.encode(), 200, {"Content-Type": "application/octet-stream"})

    def _metrics(self, request: Request) -> Response:
        slot = self._slot(request)
        counted = {"Requests": slot.requests, "Http4xx": slot.refused, "Http5xx": slot.errors}
        return Response(
            {
                "value": [
                    {"name": {"value": name}, "timeseries": [{"data": [{"timeStamp": now(), "total": counted[name]}]}]}
                    for name in request.query["metricnames"].split(",")
                ]
            }
        )

    def _site(self, request: Request) -> Place:
        if request["site"] not in self.sites:
            raise Refused(404, "ResourceNotFound", f"The web app {request['site']!r} was not found.")
        return self.sites[request["site"]]

    def _slot(self, request: Request) -> Place:
        key = (request["site"], request["slot"])
        if key not in self.slots:
            raise Refused(404, "ResourceNotFound", f"The slot {request['slot']!r} was not found.")
        return self.slots[key]

    @staticmethod
    def _configured(site: Place) -> dict[str, Any]:
        return {"id": f"{site.shown['id']}/config/web", "name": "web", "properties": site.config}

    def _start(self, request: Request, slot: Place) -> None:
        """Pull the image and start the container, as far as the slot's settings let that be."""
        config = slot.asked["siteConfig"]
        image = config["linuxFxVersion"].removeprefix("DOCKER|")
        name = image.partition("/")[2]
        if not config.get("acrUseManagedIdentityCreds") or config.get("acrUserManagedIdentityID") != CLIENT_ID:
            slot.log = f"DockerApiException: pull access denied for {image}, unauthorized"
            return
        if name not in self._registries.images:
            slot.log = f"DockerApiException: manifest for {image} not found"
            return
        settings = {each["name"]: self._resolved(each["value"]) for each in config["appSettings"]}
        slot.deployment = settings.get("GENAIOPS_DEPLOYMENT", "")
        start = Start(request["site"], request["slot"], name, "", settings)
        self.started.append(start)
        try:
            slot.container = self.serve(start)
        except CannotStart as error:
            slot.cannot = str(error)

    def _resolved(self, value: str) -> str:
        found = REFERENCE.fullmatch(value)
        return self.secrets.get((found[1], found[2]), value) if found else value

    def _routed(self, name: str, request: Request) -> Response:
        """The site's own host: to a slot by the rules, or to the platform's page."""
        site = self.sites[name]
        rules = site.config.get("experiments", {}).get("rampUpRules", [])
        weights = {rule["actionHostName"]: int(rule["reroutePercentage"]) for rule in rules}
        weights["self"] = 100 - sum(weights.values())
        with site.lock:
            for host, weight in weights.items():
                site.turn[host] = site.turn.get(host, 0) + weight
            chosen = max(weights, key=lambda host: site.turn[host])
            site.turn[chosen] -= 100
        slot = next((slot for slot in list(self.slots.values()) if slot.host == chosen), None)
        if slot is None:
            return Response(PAGE, 405 if request.method == "POST" else 200, {"Content-Type": "text/html"})
        return slot.answer(request)


class Place:
    """A site or a slot, with its host."""

    def __init__(
        self,
        request: Request,
        name: str,
        asked: dict[str, Any],
        certificate: ssl.SSLContext,
        routed: Callable[[Request], Response] | None,
    ) -> None:
        self.lock = threading.Lock()
        self.asked: dict[str, Any] = asked["properties"]
        self.config: dict[str, Any] = dict(self.asked.get("siteConfig", {}))
        self.turn: dict[str, int] = {}
        self.container: Running | None = None
        self.cannot = ""
        self.deployment = ""
        self.log = ""
        self.requests = self.refused = self.errors = 0
        self._host = Https(("127.0.0.1", 0), routed or self.answer, certificate)
        self.host = f"127.0.0.1:{self._host.server_address[1]}"
        threading.Thread(target=self._host.serve_forever, args=(0.02,), daemon=True).start()
        kept = {key: value for key, value in self.asked.items() if key != "siteConfig"}
        self.properties: dict[str, Any] = {**kept, "defaultHostName": self.host, "state": "Running"}
        self.shown: dict[str, Any] = {
            "id": request.path,
            "name": name,
            "type": "Microsoft.Web/sites",
            "location": asked["location"],
            "kind": asked.get("kind", "app"),
            "tags": asked.get("tags", {}),
            "identity": asked.get("identity"),
            "properties": self.properties,
        }

    def answer(self, request: Request) -> Response:
        """The container's answer, or the platform's where there is none."""
        header = {DEPLOYMENT_HEADER: self.deployment} if self.deployment else {}
        if self.cannot:
            return Response(_error("CannotServe", self.cannot), 503, header)
        if self.container is None:
            return Response(b"<html>Application Error</html>", 503, {"Content-Type": "text/html"})
        match request.method, request.path:
            case "GET", "/ready":
                try:
                    if self.container.is_ready():
                        return Response({"status": "Ready"}, 200, header)
                except CannotStart as error:
                    self.cannot = str(error)
                    return Response(_error("CannotServe", self.cannot), 503, header)
                return Response(_error("NotReady", "the flow is being loaded"), 503, header)
            case "POST", "/score":
                status, content = self.container.score(request.body)
                with self.lock:
                    self.requests += 1
                    self.refused += 400 <= status < 500
                    self.errors += status >= 500
                return Response(content, status, header)
            case _:
                return Response(_error("NotFound", "use POST /score"), 404, header)

    def close(self) -> None:
        self._host.shutdown()
        self._host.server_close()
        if self.container is not None:
            self.container.stop()


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
