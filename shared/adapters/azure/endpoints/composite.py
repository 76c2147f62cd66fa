"""The port Endpoints over all kinds of target: which platform serves an endpoint is in its record, see `records.py`.

    deploy ──record──▶ target.prepare (the image's context) ──▶ look, look, … ──target.advance──▶ READY or FAILED
    set_traffic ──record──▶ target.shift once all who get a share are ready ──▶ set_traffic again until it holds
    remove ──record──▶ target.delete, again while the platform cannot begin it

Wishes are conditional writes, so that of many callers one has made a deployment; what follows may be done twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from shared.adapters.azure.endpoints import wishes
from shared.adapters.azure.endpoints.asked_traffic import AskedTraffic
from shared.adapters.azure.endpoints.info import NOT_YET, deployment_info, endpoint_info, found_info, shown
from shared.adapters.azure.endpoints.records import EndpointRecord, EndpointRecords, WantedDeployment, WantedTraffic
from shared.adapters.azure.endpoints.target import CONTENT_TAG, CREATION_TAG, SeenDeployment, Target
from shared.adapters.traffic import check_traffic
from shared.errors import BusinessFailure, NotFound
from shared.names import checked
from shared.ports import DeploymentInfo, DeploymentSpec, DeploymentState, EndpointInfo, Invocation
from shared.use_case.model import DeploymentTarget
from shared.use_case.problems import one_of


class AzureEndpoints:
    """Endpoints of every kind in `targets` (kind → target); without a target in the spec, of the kind `default`."""

    def __init__(self, records: EndpointRecords, targets: Mapping[str, Target], *, default: str) -> None:
        self._records = records
        self._traffic = AskedTraffic(records)
        self._targets = targets
        self._default = default

    def deploy(self, spec: DeploymentSpec) -> DeploymentInfo:
        """Begin to create the deployment at 0 % traffic, or find it. See the port.

        Raises:
            BusinessFailure: the platform would refuse it, or something else is deployed under that name.
            InvalidName: of the endpoint or the deployment.
        """
        checked(spec.endpoint, "endpoint")
        checked(spec.name, "deployment")
        asked = spec.target or DeploymentTarget(self._default, {})
        missing = wishes.new_endpoint(spec, asked)
        target = self._target(missing)
        target.check(spec)
        record = self._read(spec.endpoint) or missing
        _check_kind(record, asked)
        record = self._adopted(target, record, spec, asked)
        present = record.deployments.get(spec.name)
        failed = None
        if present is not None and not present.removed:
            _check_content(spec, present.content)
            seen = self._step(target, record, present, spec)
            if seen.state is not DeploymentState.FAILED:
                return deployment_info(spec.endpoint, present, seen)
            failed = present.creation
        wanted = wishes.new_deployment(spec, asked, secrets.token_hex(6))
        observed = target.observe(record) if failed else None
        traffic = observed.traffic if observed is not None else {}
        record = self._records.update(
            spec.endpoint, lambda before: wishes.claim(before, wanted, failed, traffic), missing=missing
        )
        there = record.deployments[spec.name]
        if there.creation != wanted.creation:  # another caller came first, and is at work on it
            _check_content(spec, there.content)
            return deployment_info(spec.endpoint, there, NOT_YET)
        return deployment_info(spec.endpoint, wanted, self._step(target, record, wanted, spec), created=True)

    def look(self, endpoint: str, deployment: str) -> DeploymentInfo:
        """Look at a deployment, which also begins what comes next on its way. Raises NotFound."""
        record = self._record(endpoint)
        target = self._target(record)
        wanted = record.deployments.get(deployment)
        if wanted is None:
            found = shown(target.observe(record, counts=True), deployment)
            if found is None:
                raise _missing(endpoint, deployment)
            return found_info(endpoint, deployment, found)
        if wanted.removed:
            raise _missing(endpoint, deployment)
        seen = self._advance(target, record, wanted) if wanted.prepared is not None else NOT_YET
        return deployment_info(endpoint, wanted, seen)

    def describe(self, endpoint: str) -> EndpointInfo:
        """What is known of an endpoint. Raises NotFound."""
        record = self._record(endpoint)
        return endpoint_info(record, self._target(record).observe(record, counts=True))

    def list(self) -> list[EndpointInfo]:
        """Every endpoint that was ever deployed to, by name."""
        return [self.describe(name) for name in self._records.names()]

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """Ask for the split, or bring the one that was asked for on its way. See the port.

        Raises:
            BusinessFailure: the shares are wrong, name what is not deployed, or the platform has refused them.
            NotFound: there is no such endpoint.
        """
        record = self._record(endpoint)
        target = self._target(record)
        seen = target.observe(record)
        check_traffic(traffic, [each.name for each in endpoint_info(record, seen).deployments], endpoint)
        shares = {name: share for name, share in traffic.items() if share}
        if record.traffic is None or dict(record.traffic.split) != shares:
            is_so = dict(seen.traffic if seen is not None else {}) == shares
            asked = None if is_so and not (seen is not None and seen.is_changing) else WantedTraffic(split=shares)
            record = self._records.update(endpoint, lambda before: wishes.with_traffic(before, asked))
            self._traffic.drive(target, record, seen, may_fail=False)
        else:
            self._traffic.drive(target, record, seen, may_fail=True)

    def invoke(self, endpoint: str, payload: Mapping[str, object], deployment: str | None = None) -> Invocation:
        """Score one request, through the split or on the named deployment. See the port."""
        record = self._record(endpoint)
        target = self._target(record)
        if deployment is not None:
            wanted = record.deployments.get(deployment)
            is_gone = wanted.removed if wanted is not None else shown(target.observe(record), deployment) is None
            if is_gone:
                raise _missing(endpoint, deployment)
        return target.invoke(record, payload, deployment)

    def remove(self, endpoint: str, deployment: str) -> None:
        """Begin to delete the deployment, or bring its deletion on its way.

        Raises:
            BusinessFailure: it has traffic.
        """
        record = self._read(checked(endpoint, "endpoint"))
        if record is None:
            return
        target = self._target(record)
        seen = target.observe(record)
        share = endpoint_info(record, seen).traffic.get(deployment)
        if share:
            raise BusinessFailure(
                f"Deployment {deployment!r} of endpoint {endpoint!r} has {share} % of the traffic: give that to "
                "another deployment before you remove it."
            )
        wanted = record.deployments.get(deployment)
        if wanted is not None:
            gone = wanted.model_copy(update={"removed": True})
            record = self._records.update(endpoint, lambda before: wishes.replace(before, gone))
        has_begun = shown(seen, deployment) is None or target.delete(record, deployment)
        if wanted is not None and has_begun:
            self._records.update(endpoint, lambda before: wishes.drop(before, wanted))

    def _adopted(
        self, target: Target, record: EndpointRecord, spec: DeploymentSpec, asked: DeploymentTarget
    ) -> EndpointRecord:
        """The record, with the deployment if only the platform knows of it: its record is gone."""
        if spec.name in record.deployments:
            return record
        found = shown(target.observe(record), spec.name)
        if found is None:
            return record
        _check_content(spec, found.tags.get(CONTENT_TAG, ""))
        known = {"began": "found", "prepared": {}}
        wanted = wishes.new_deployment(spec, asked, found.tags.get(CREATION_TAG, "")).model_copy(update=known)
        return self._records.update(
            spec.endpoint, lambda before: wishes.claim(before, wanted, None, {}), missing=record
        )

    def _step(
        self, target: Target, record: EndpointRecord, wanted: WantedDeployment, spec: DeploymentSpec
    ) -> SeenDeployment:
        """Prepare the deployment if nobody has finished that, and take its next step.

        What the platform has lost counts as failed: it may be created anew.
        """
        if wanted.prepared is None:
            prepared = wanted.model_copy(update={"prepared": dict(target.prepare(record, wanted, spec))})
            record = self._records.update(spec.endpoint, lambda before: wishes.replace(before, prepared))
            wanted = prepared
        try:
            return self._advance(target, record, wanted)
        except NotFound:
            return SeenDeployment(DeploymentState.FAILED, "it was deleted on its platform")

    def _advance(self, target: Target, record: EndpointRecord, wanted: WantedDeployment) -> SeenDeployment:
        try:
            seen = target.advance(record, wanted)
        except NotFound:
            self._records.update(record.name, lambda before: wishes.drop(before, wanted))
            raise _missing(record.name, wanted.name) from None
        if seen.began and not wanted.began:
            begun = wanted.model_copy(update={"began": seen.began})
            self._records.update(record.name, lambda before: wishes.replace(before, begun))
        return seen

    def _target(self, record: EndpointRecord) -> Target:
        target = self._targets.get(record.kind)
        if target is None:
            raise BusinessFailure(
                f"The endpoint {record.name!r}: " + one_of(record.kind, self._targets, "kind of target")
            )
        return target

    def _record(self, endpoint: str) -> EndpointRecord:
        record = self._read(checked(endpoint, "endpoint"))
        if record is None:
            raise NotFound(f"There is no endpoint {endpoint!r}: deploy a flow to it first.")
        return record

    def _read(self, endpoint: str) -> EndpointRecord | None:
        try:
            return self._records.read(endpoint)
        except NotFound:
            return None


def _check_kind(record: EndpointRecord, asked: DeploymentTarget) -> None:
    if record.kind != asked.kind:
        raise BusinessFailure(
            f"The endpoint {record.name!r} is served by {record.kind}, and {asked.kind} is asked for: name another "
            "endpoint in experiment.yaml (deployment.endpoint)."
        )


def _check_content(spec: DeploymentSpec, content: str) -> None:
    if content != wishes.content_of(spec):
        raise BusinessFailure(
            f"Deployment {spec.name!r} of endpoint {spec.endpoint!r} exists, with another flow, other variants or "
            "other parameters: use another name, or remove it first."
        )


def _missing(endpoint: str, deployment: str) -> NotFound:
    return NotFound(f"Endpoint {endpoint!r} has no deployment {deployment!r}.")
