"""The target `webapp_endpoint`: App Service, where each deployment is a slot of the endpoint's web app.

    prepare: the image's build begins ──▶ advance: built? ──▶ the web app, if it is missing ──▶ a slot with the image
    ──▶ its /ready answers ──▶ READY; shift: the rules that route to slots change

Slots are named as deployments and never swapped: a swap would move the image to the production slot, under another name
and with other settings than were tested. The rules may give one slot everything, so the production slot serves nobody;
in a web app that is made here it holds a page of the platform's. What a web app served before, it serves until the
first shift, and again when all rules are taken away. A plan has 5 slots (Standard) or 20 (Premium); all of them share
its instances, which makes two deployments at a time the sensible number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from shared.adapters.azure.endpoints import web_app_options
from shared.adapters.azure.endpoints.container_registry import RegistryImages
from shared.adapters.azure.endpoints.exchange import score
from shared.adapters.azure.endpoints.images import for_platform
from shared.adapters.azure.endpoints.records import EndpointRecord, WantedDeployment
from shared.adapters.azure.endpoints.target import CREATION_TAG, SeenDeployment, SeenEndpoint, tags_of
from shared.adapters.azure.endpoints.web_app_options import SLOT, WebAppOptions
from shared.adapters.azure.endpoints.web_app_probe import probed, refusal
from shared.adapters.azure.endpoints.web_app_site import Json, Sites
from shared.adapters.azure.endpoints.web_app_slot import new_site, new_slot, settings_of
from shared.adapters.serving.front import DEPLOYMENT_HEADER
from shared.azure_settings import AzureSettings
from shared.errors import BusinessFailure, Conflict, NotFound, Transient
from shared.ports import DeploymentSpec, DeploymentState, Invocation
from shared.secret_shapes import masked

ENDPOINT_TAG: Final = "genaiops_endpoint"
"""Of a web app: the endpoint that it serves."""
BEGUN_TAG: Final = "genaiops_begun"
"""Of a slot: when its creation began, in seconds since 1970."""
START_LIMIT_S: Final = 20 * 60.0
"""A container that has not answered by then has failed: an image of this size is pulled and started in two minutes."""
_TRY_AGAIN: Final = "App Service is at work on the web app; it is asked again"


class WebAppTarget:
    """Serves endpoints by web apps."""

    def __init__(
        self,
        settings: AzureSettings,
        sites: Sites,
        images: RegistryImages,
        *,
        now: Callable[[], float] = time.time,
        timeout_s: float = 230.0,
    ) -> None:
        """`timeout_s`: of a scoring request; App Service's own is 230 seconds."""
        self._settings = settings
        self._sites = sites
        self._images = images
        self._now = now
        self._timeout_s = timeout_s

    def check(self, spec: DeploymentSpec) -> None:
        """Raise BusinessFailure for names, options or variables that App Service would refuse."""
        options = spec.target.options if spec.target else {}
        self._options(options, spec.endpoint)
        self._images.check(options)
        if not SLOT.fullmatch(spec.name):
            raise BusinessFailure(f"App Service takes no slot of the name {spec.name!r}: use A-Z a-z 0-9 and -.")
        settings_of(for_platform(spec).connection_specs, spec.environment, self._settings.key_vault)

    def prepare(self, record: EndpointRecord, wanted: WantedDeployment, spec: DeploymentSpec) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's
        """Begin to build the image."""
        return self._images.begin(for_platform(spec), wanted.options)

    def advance(self, record: EndpointRecord, wanted: WantedDeployment) -> SeenDeployment:
        """Begin what comes next. See the protocol."""
        options = self._options(record.options, record.name)
        slot = self._sites.slot(options, wanted.name)
        if slot is None:
            if wanted.began:
                raise NotFound(f"The web app {options.site!r} has no slot {wanted.name!r} any more.")
            return self._create(record, wanted, options)
        creation = (slot.get("tags") or {}).get(CREATION_TAG)
        if creation is None:
            raise BusinessFailure(
                f"The web app {options.site!r} has a slot {wanted.name!r} that this product did not make: rename or "
                "delete it, or choose another endpoint."
            )
        if creation != wanted.creation:
            self._delete(options, wanted.name)
            return SeenDeployment(DeploymentState.CREATING, "a former deployment of this name is being deleted")
        return self._seen(options, slot, counts=True)

    def observe(self, record: EndpointRecord, *, counts: bool = False) -> SeenEndpoint | None:
        """Look, and change nothing."""
        options = self._options(record.options, record.name)
        site = self._sites.site(options)
        if site is None:
            return None
        slots = {_name(slot): slot for slot in self._sites.slots(options) if CREATION_TAG in (slot.get("tags") or {})}
        return SeenEndpoint(
            url=f"https://{_host(site)}/score",
            traffic=_traffic(self._sites.configuration(options), slots),
            deployments={name: self._seen(options, slot, counts=counts) for name, slot in slots.items()},
        )

    def shift(self, record: EndpointRecord, split: Mapping[str, int]) -> bool:
        """Replace the rules; False while another operation runs on the web app."""
        options = self._options(record.options, record.name)
        slots = {_name(slot): slot for slot in self._sites.slots(options)}
        if not slots.keys() >= split.keys():
            return False
        rules = [
            {"name": name, "actionHostName": _host(slots[name]), "reroutePercentage": share}
            for name, share in split.items()
            if share
        ]
        try:
            self._sites.route(options, rules)
        except Conflict:
            return False
        return True

    def invoke(
        self, record: EndpointRecord, payload: Mapping[str, object], deployment: str | None = None
    ) -> Invocation:
        """Score one request: of a named deployment at its slot's own address, else at the web app's."""
        options = self._options(record.options, record.name)
        place = self._sites.slot(options, deployment) if deployment is not None else self._sites.site(options)
        if place is None:
            raise Transient(f"The web app {options.site!r} of endpoint {record.name!r} is not there yet.")
        url = f"https://{_host(place)}/score"
        answer = score(url, payload, self._timeout_s)
        who = answer.headers.get(DEPLOYMENT_HEADER.lower(), "")
        if not who or refusal(answer) is not None:
            # The platform's own word, or of a container that is not ready: no deployment has scored.
            raise Transient(f"No deployment answered at {url} ({answer.status}).")
        return Invocation(answer.status, answer.body, answer.latency_ms, who)

    def delete(self, record: EndpointRecord, deployment: str) -> bool:
        """Delete the deployment's slot; one that somebody else made stays."""
        options = self._options(record.options, record.name)
        slot = self._sites.slot(options, deployment)
        if slot is None or CREATION_TAG not in (slot.get("tags") or {}):
            return True
        if self._is_routed(options, slot):  # rules without it are on their way: until then, users are sent there
            return False
        return self._delete(options, deployment)

    def _create(self, record: EndpointRecord, wanted: WantedDeployment, options: WebAppOptions) -> SeenDeployment:
        tags = tags_of(wanted)
        state, text = self._images.look(wanted.prepared or {})
        if state is not DeploymentState.READY:
            return SeenDeployment(state, text, tags)
        variables = settings_of(wanted.connections, wanted.environment, self._settings.key_vault)
        plan = self._sites.plan(options)
        web_app_options.check_tier(options.plan, str((plan.get("sku") or {}).get("tier", "")))
        identity = self._sites.identity(options)
        site = self._sites.site(options)
        try:
            if site is None:
                self._sites.create_site(options, new_site(plan, identity, {ENDPOINT_TAG: record.name}))
                return SeenDeployment(DeploymentState.CREATING, "its web app is being created", tags)
            if "functionapp" in str(site.get("kind", "")).lower():
                raise BusinessFailure(
                    f"{options.site!r} is a function app, whose requests are not a served flow's: name a web app in "
                    "configs/deployment_config.json (WEB_APP_NAME)."
                )
            served = (site.get("tags") or {}).get(ENDPOINT_TAG, record.name)
            if served != record.name:
                raise BusinessFailure(
                    f"The web app {options.site!r} serves the endpoint {served!r}: name another one in "
                    "configs/deployment_config.json (WEB_APP_NAME)."
                )
            marked = {**tags, BEGUN_TAG: str(int(self._now()))}
            slot = new_slot(
                site,
                self._sites.configuration(options),
                identity,
                text,
                {**variables, "GENAIOPS_DEPLOYMENT": wanted.name},
            )
            self._sites.create_slot(options, wanted.name, {**slot, "tags": marked})
        except Conflict as error:
            if "exceed" in str(error) or "limit" in str(error).lower():
                raise BusinessFailure(
                    f"The plan {options.plan!r} has no room for another slot: remove deployments without traffic, or "
                    f"take a larger plan. {error}"
                ) from error
            return SeenDeployment(DeploymentState.CREATING, _TRY_AGAIN, tags)
        except NotFound as error:  # the web app was just made, or is just being deleted: not every part tells so yet
            raise Transient(str(error)) from error
        return SeenDeployment(DeploymentState.CREATING, "its slot is being created", tags, began="slot")

    def _delete(self, options: WebAppOptions, name: str) -> bool:
        try:
            self._sites.delete_slot(options, name)
        except Conflict:
            return False
        return True

    def _seen(self, options: WebAppOptions, slot: Json, *, counts: bool) -> SeenDeployment:
        tags = dict(slot.get("tags") or {})
        begun = tags.pop(BEGUN_TAG, "")
        state, reason = probed(_host(slot))
        is_late = begun.isdigit() and self._now() - int(begun) > START_LIMIT_S
        if state is DeploymentState.CREATING and is_late and not self._is_routed(options, slot):
            log = self._sites.log_end(options, _name(slot))
            ends = f"; its log ends: {log}" if log else ""
            state = DeploymentState.FAILED
            reason = masked(
                f"no container was ready within {START_LIMIT_S / 60:.0f} minutes ({reason}): see that the identity "
                f"{options.identity!r} has the role AcrPull on the registry{ends}"
            )
        requests, errors = self._sites.counts(slot) if counts else (0, 0)
        return SeenDeployment(state, reason, tags, requests=requests, errors=errors)

    def _is_routed(self, options: WebAppOptions, slot: Json) -> bool:
        """Whether it has traffic, so that it was ready once: then it is on its way up again."""
        name = _name(slot)
        return name in _traffic(self._sites.configuration(options), {name: slot})

    def _options(self, options: Mapping[str, object], endpoint: str) -> WebAppOptions:
        return web_app_options.read(options, endpoint, self._settings.resource_group)


def _host(place: Json) -> str:
    return str((place.get("properties") or {}).get("defaultHostName") or "")


def _name(slot: Json) -> str:
    """`<web app>/<slot>` is how a slot is named."""
    return str(slot["name"]).rpartition("/")[2]


def _traffic(configuration: Json, slots: Mapping[str, Json]) -> dict[str, int]:
    """Slot → percent, of those that have a rule; they are known by their addresses, as the platform routes."""
    by_host = {_host(slot): name for name, slot in slots.items()}
    experiments = (configuration.get("properties") or {}).get("experiments") or {}
    shares = {
        by_host.get(str(rule.get("actionHostName", "")), ""): round(float(rule.get("reroutePercentage") or 0))
        for rule in experiments.get("rampUpRules") or []
    }
    return {name: share for name, share in shares.items() if name and share}
