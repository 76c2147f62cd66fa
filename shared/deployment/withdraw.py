"""Taking back what a chain deployed, and removing what is no longer routed: steps of their own, which can be repeated.

A deletion that the platform has begun is left to it; one that it could not begin is asked for again later.
"""

from __future__ import annotations

from shared import chain_store
from shared.answers import LookAgain, answer_to
from shared.chain.messages import IdleRemoved, RemoveIdle, RollBack, RolledBack
from shared.chain.state import Chain
from shared.deployment import stages
from shared.deployment.registered import CHAIN_TAG, deployed, deployment_name, holds, look, registered, settings_of
from shared.deployment.traffic import returned
from shared.errors import NotFound
from shared.ports import Ports


def roll_back(ports: Ports, chain: Chain, command: RollBack) -> RolledBack | LookAgain:
    """Take the deployment's share back to what it was, and remove the deployment if this chain created it."""
    record = chain.deployment
    if record is None:  # the deployment did not get ready: nothing was routed to it, but it may be there
        asset, use_case = registered(ports, chain)
        endpoint, name = settings_of(use_case).endpoint, deployment_name(asset)
        info = look(ports, endpoint, name)
        if info is None:
            return _rolled_back(ports, command, endpoint, name)
        traffic = ports.endpoints.describe(endpoint).traffic
        if info.tags.get(CHAIN_TAG) == chain.id and not traffic.get(name):
            ports.endpoints.remove(endpoint, name)
        return _rolled_back(ports, command, endpoint, name)
    endpoint, name = record.endpoint, record.deployment
    if look(ports, endpoint, name) is None:  # an earlier delivery has done it
        return _rolled_back(ports, command, endpoint, name)
    described = ports.endpoints.describe(endpoint)
    there = {deployment.name for deployment in described.deployments}
    before = record.traffic_before if there.issuperset(record.traffic_before) else {}
    if not holds(ports, endpoint, returned(described.traffic, name, before)):
        return LookAgain(ports.settings.look_seconds)
    stages.demote(ports, chain, endpoint)  # before the removal, after which a repetition does not come here any more
    if record.created:
        ports.endpoints.remove(endpoint, name)
    return _rolled_back(ports, command, endpoint, name)


def _rolled_back(ports: Ports, command: RollBack, endpoint: str, name: str) -> RolledBack | LookAgain:
    """The answer, once the platform is at work on what was to be removed."""
    try:
        described = ports.endpoints.describe(endpoint)
    except NotFound:
        return RolledBack(**answer_to(ports, command), traffic={})
    if name in described.removing:
        ports.endpoints.remove(endpoint, name)
        if name in ports.endpoints.describe(endpoint).removing:
            return LookAgain(ports.settings.look_seconds)
    return RolledBack(**answer_to(ports, command), traffic=dict(described.traffic))


def remove_idle(ports: Ports, chain: Chain, command: RemoveIdle) -> IdleRemoved | LookAgain:
    """Remove what has no traffic, unless the chain that created it is still at work on it."""
    record, _, _ = deployed(ports, chain)
    described = ports.endpoints.describe(record.endpoint)
    if not described.settled:
        return LookAgain(ports.settings.look_seconds)
    removed = set(described.removing)
    for deployment in described.deployments:
        if described.traffic.get(deployment.name) or deployment.name == record.deployment:
            continue
        if _at_work(ports, deployment.tags.get(CHAIN_TAG)):
            continue
        removed.add(deployment.name)
    for name in sorted(removed):
        ports.endpoints.remove(record.endpoint, name)
    if removed and ports.endpoints.describe(record.endpoint).removing:
        return LookAgain(ports.settings.look_seconds)
    return IdleRemoved(**answer_to(ports, command), removed=tuple(sorted(removed)))


def _at_work(ports: Ports, chain_id: str | None) -> bool:
    if chain_id is None:
        return False
    try:
        return not chain_store.load(ports.blobs, chain_id)[0].status.is_final
    except NotFound:
        return False
