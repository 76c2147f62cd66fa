"""What the steps of a deployment share: what is deployed, under which name, and what its platform says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.chain.state import Chain, DeploymentRecord
from shared.errors import BusinessFailure, NotFound
from shared.ports import Asset, AssetKind, DeploymentInfo, Ports
from shared.use_case.model import Deployment, UseCase
from shared.use_case.opened import open_use_case

CHAIN_TAG: Final = "chain"


def deployment_name(asset: Asset) -> str:
    """`v<version>-<first 8 of the content hash>`: 3 to 32 characters, as Azure ML asks for."""
    return f"v{asset.version}-{asset.content_hash[:8]}"


def registered(ports: Ports, chain: Chain) -> tuple[Asset, UseCase]:
    """The registered flow that the chain deploys, and its use case. Raises BusinessFailure where there is none."""
    if chain.flow is None:
        raise BusinessFailure("There is no registered flow to deploy.")
    asset = ports.registry.get(AssetKind.MODEL, chain.flow.name, chain.flow.version)
    if chain.bundle is None:
        raise BusinessFailure("The chain was not prepared.")
    use_case = open_use_case(ports, chain.bundle, chain.request.use_case, chain.request.environment)
    return asset, use_case


def deployed(ports: Ports, chain: Chain) -> tuple[DeploymentRecord, Deployment, UseCase]:
    """What the chain has deployed. Raises BusinessFailure where it has not."""
    if chain.deployment is None:
        raise BusinessFailure("Nothing was deployed by this chain.")
    _, use_case = registered(ports, chain)
    return chain.deployment, settings_of(use_case), use_case


def settings_of(use_case: UseCase) -> Deployment:
    """Where and how the use case is deployed. Raises BusinessFailure where it does not say."""
    if use_case.deployment is None:
        raise BusinessFailure("experiment.yaml has no block `deployment`: it names the endpoint and how it is tested.")
    return use_case.deployment


def look(ports: Ports, endpoint: str, name: str) -> DeploymentInfo | None:
    """The deployment as its platform sees it; None: there is none."""
    try:
        return ports.endpoints.look(endpoint, name)
    except NotFound:
        return None


def holds(ports: Ports, endpoint: str, traffic: Mapping[str, int]) -> bool:
    """Ask for the split; whether requests are split so already."""
    ports.endpoints.set_traffic(endpoint, traffic)
    return ports.endpoints.describe(endpoint).settled
