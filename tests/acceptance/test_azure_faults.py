"""A chain under the azure profile with its servers failing in the middle: it ends right each time, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.chain.state import Chain, ChainStatus
from shared.ports import AssetKind
from tests.acceptance.azure_world import AzureWorld, azure_world
from tests.acceptance.conftest import FOLDER, USE_CASE
from tests.servers.certificates import Authority
from tests.servers.identity import IdentityEndpoint

pytestmark = [pytest.mark.azurite, pytest.mark.xdist_group("azure-faults"), pytest.mark.timeout(900)]

CUT_OFF_S = 20.0


def in_the_middle(world: AzureWorld, chain: str) -> None:
    """Until runs are under way and evaluations have not ended."""

    def is_at_work() -> bool:
        found = world.host.find(chain)
        return found is not None and found.progress.runs_completed >= 1 and bool(found.awaiting)

    world.host.until(is_at_work, "the first run has ended")


def whole_chain(world: AzureWorld, disturb: Callable[[str], None]) -> Chain:
    """A `ci` chain from its request to a tested deployment, disturbed in the middle of its runs."""
    host = world.host
    chain = host.request(
        USE_CASE, "build-1", folder=FOLDER, commit="a" * 40, branch="main", variants="classify.defined"
    )
    in_the_middle(world, chain)
    disturb(chain)
    assert host.approve(host.until_waiting(chain)) == 303
    return host.until_ended(chain)


def check_it_ended_right_and_once(world: AzureWorld, chain: Chain) -> None:
    host = world.host
    assert chain.status is ChainStatus.SUCCEEDED, host.log(chain.id)
    progress = chain.progress
    assert (progress.runs_completed, progress.runs_failed) == (2, 0)
    assert (progress.evaluations_completed, progress.evaluations_failed) == (4, 0)
    runs = world.management.prompt_flow.runs
    assert len(runs) == 6
    commands = Counter(run.body["tags"]["genaiops_command"] for run in runs.values())
    assert set(commands.values()) == {1}, "each command has started one run"
    registry = host.ports.registry
    assert {asset.version for kind in AssetKind for asset in registry.list(kind)} == {"1"}
    (endpoint,) = host.ports.endpoints.list()
    assert list(endpoint.traffic.values()) == [100]
    assert len(endpoint.deployments) == 1
    lines = host.log(chain.id).splitlines()
    assert len(lines) == len(set(lines)), "nothing was said, or done, twice"
    assert host.dead_letters() == []


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "world"


def test_the_broker_is_cut_off_for_twenty_seconds(
    place: Path, authority: Authority, identity: IdentityEndpoint
) -> None:
    with azure_world(place, authority, identity) as world:
        ended = whole_chain(world, lambda chain: world.broker.cut_off(CUT_OFF_S))
        check_it_ended_right_and_once(world, ended)
        assert world.broker.counters.connections > 2, "it was cut off"


def test_the_blob_service_is_restarted(place: Path, authority: Authority, identity: IdentityEndpoint) -> None:
    with azure_world(place, authority, identity) as world:
        ended = whole_chain(world, lambda chain: world.azurite.restart())
        check_it_ended_right_and_once(world, ended)


def test_every_message_is_delivered_twice(place: Path, authority: Authority, identity: IdentityEndpoint) -> None:
    with azure_world(place, authority, identity) as world:
        world.broker.faults.duplicate_deliveries = True
        ended = whole_chain(world, lambda chain: None)
        check_it_ended_right_and_once(world, ended)
        assert world.broker.counters.repeated > 20, "messages came twice"


def test_all_run_events_are_lost_and_nobody_looks_for_an_hour_but_the_timer(
    place: Path, authority: Authority, identity: IdentityEndpoint
) -> None:
    # A `pr` chain: a deployment is looked at by scheduled messages alone, which this test has put far away.
    with azure_world(place, authority, identity, GENAIOPS_LOOK_SECONDS="3600") as world:
        world.lose_run_events = True
        chain = world.host.request(USE_CASE, "pr-1", kind="pr", folder=FOLDER, variants="classify.defined")
        ended = world.host.until_ended(chain)
        assert ended.status is ChainStatus.SUCCEEDED, world.host.log(chain)
        assert (ended.progress.runs_completed, ended.progress.evaluations_completed) == (2, 4)
        assert len(world.management.prompt_flow.runs) == 6
        assert world.run_events == 0
