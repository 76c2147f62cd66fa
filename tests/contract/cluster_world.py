"""Endpoints over the stand-in of a cluster: images that are never built, containers that are Python functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from azure.identity import ManagedIdentityCredential

from shared.adapters.azure.endpoints.cluster.api import ClusterApi
from shared.adapters.azure.endpoints.cluster.options import KIND
from shared.adapters.azure.endpoints.cluster.target import ClusterTarget
from shared.adapters.azure.endpoints.composite import AzureEndpoints
from shared.adapters.azure.endpoints.records import EndpointRecords
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.azure_settings import AzureSettings
from shared.ports import BlobStore, DeploymentSpec, DeploymentState
from shared.use_case.model import DeploymentTarget
from tests.servers.certificates import Authority
from tests.servers.identity import IdentityEndpoint
from tests.servers.kubernetes import Answer, Cluster, answering


@dataclass
class FakeImages:
    """Gives every flow an image at once; remembers what is in it."""

    specs: dict[str, DeploymentSpec] = field(default_factory=dict)

    def begin(self, spec: DeploymentSpec, options: Mapping[str, object]) -> Mapping[str, str]:
        content = json.dumps([spec.flow_digest, dict(spec.variants), dict(spec.parameters)])
        image = f"images.example/flow:{abs(hash(content)):x}"
        self.specs[image] = spec
        return {"image": image}

    def look(self, prepared: Mapping[str, str]) -> tuple[DeploymentState, str]:
        return DeploymentState.READY, prepared["image"]

    def start(self, image: str, variables: Mapping[str, str]) -> Answer:
        """What the container of an image answers: as the flow `echo` of the contract's suite does."""
        spec = self.specs[image]
        if spec.flow.name == "broken":
            raise RuntimeError("No module named 'a_package_that_is_not_installed'")

        def answer(payload: Mapping[str, Any]) -> tuple[int, bytes]:
            text = str(payload["text"])
            if text == "raise":
                return answering(500, {"error": {"message": "this text cannot be answered"}})
            loud = spec.variants.get("style") == "loud"
            prefix = spec.parameters.get("answer.prefix", "")
            said = f"{prefix}{text.upper() if loud else text}"
            return answering(200, {"answer": said, "style": "loud" if loud else "plain"})

        return answer


@dataclass
class ClusterWorld:
    """The stand-in, and endpoints that are served by it."""

    cluster: Cluster
    endpoints: AzureEndpoints
    blobs: BlobStore
    target: DeploymentTarget

    def spec(self, endpoint: str, deployment: str, **more: Any) -> DeploymentSpec:
        from tests.contract.test_endpoints_contract import FLOWS

        flow = more.pop("flow", "echo")
        return DeploymentSpec(endpoint, deployment, FLOWS / flow, f"digest-of-{flow}", "3", target=self.target, **more)


@contextmanager
def cluster_world(authority: Authority, identity: IdentityEndpoint, **options: Any) -> Iterator[ClusterWorld]:
    """A cluster of one's own; further options are those of its entry in `configs/deployment_config.json`."""
    images = FakeImages()
    certificate = authority.certificate().server_context()
    with Cluster(certificate, images.start) as cluster:
        entry = {"CLUSTER_URL": cluster.url, "GATEWAY_NAME": "web", "PUBLIC_URL": cluster.public_url, **options}
        credential = ManagedIdentityCredential()
        clusters = [cluster.url]
        target = ClusterTarget(
            images, lambda read: ClusterApi(read, credential, AzureSettings.cluster_scope, timeout_s=5), clusters
        )
        blobs = MemoryBlobStore()
        endpoints = AzureEndpoints(EndpointRecords(blobs), {KIND: target}, default=KIND)
        yield ClusterWorld(cluster, endpoints, blobs, DeploymentTarget(KIND, entry))
