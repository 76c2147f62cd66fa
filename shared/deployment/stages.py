"""The stage of a registered flow: an environment's name is on the version that takes all of that environment's traffic.

It moves once a deployment with all the traffic has passed its tests, and moves back where it is rolled back after that.
While traffic is split, the stage stays where it is: two versions serve, and the former one is still the environment's.
"""

from __future__ import annotations

from shared.chain.state import Chain
from shared.errors import NotFound
from shared.ports import AssetKind, Ports, stages


def promote(ports: Ports, chain: Chain, endpoint: str) -> None:
    """Let the version that takes all the traffic of the endpoint have the stage of the chain's environment.

    Raises:
        Throttled: the registry copies the version into a shared one; ask again.
    """
    if chain.flow is None:
        return
    version = _serving(ports, endpoint)
    if version is not None:
        ports.registry.promote(AssetKind.MODEL, chain.flow.name, version, chain.request.environment)


def demote(ports: Ports, chain: Chain, endpoint: str) -> None:
    """Take the stage back from the chain's version, if it has it: to the version that serves again, or from all."""
    if chain.flow is None:
        return
    try:
        asset = ports.registry.get(AssetKind.MODEL, chain.flow.name, chain.flow.version)
    except NotFound:  # somebody deleted it, and the stage with it
        return
    stage = chain.request.environment
    serving = _serving(ports, endpoint)
    if stage in stages(asset.tags) and serving != asset.version:
        ports.registry.promote(AssetKind.MODEL, asset.name, serving, stage)


def _serving(ports: Ports, endpoint: str) -> str | None:
    """The version of the deployment with all the traffic; None while traffic is split, or goes nowhere."""
    described = ports.endpoints.describe(endpoint)
    for deployment in described.deployments:
        if described.traffic.get(deployment.name) == 100:
            return deployment.flow_version
    return None
