"""Chains on a platform that takes its time over splits and deletions, as Azure does: steps come back until it has them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.chain.state import ChainStatus
from shared.ports import EndpointInfo
from tests.memory_world import USE_CASES, World, small_flow

ASKED = 3
"""How often a split, or a deletion, has to be asked for until it is there."""


class SlowEndpoints(MemoryEndpoints):
    """A split holds when it was asked for three times, and so long requests go where they went; a deletion likewise."""

    def __init__(self) -> None:
        super().__init__({"small": small_flow})
        self.splits: list[dict[str, int]] = []
        self.removals: Counter[str] = Counter()
        self._wanted: dict[str, int] = {}

    def set_traffic(self, endpoint, traffic):
        self.splits.append(dict(traffic))
        self._wanted = dict(traffic)
        if self.splits[-ASKED:] == [dict(traffic)] * ASKED or super().describe(endpoint).traffic == dict(traffic):
            super().set_traffic(endpoint, traffic)

    def describe(self, endpoint) -> EndpointInfo:
        found = super().describe(endpoint)
        leaving = {name for name, count in self.removals.items() if 0 < count < ASKED}
        there = tuple(each for each in found.deployments if each.name not in leaving)
        wanted = self._wanted or dict(found.traffic)
        settled = wanted == dict(found.traffic)
        return replace(found, deployments=there, removing=tuple(sorted(leaving)), traffic=wanted, settled=settled)

    def remove(self, endpoint, deployment):
        self.removals[deployment] += 1
        if self.removals[deployment] >= ASKED:
            super().remove(endpoint, deployment)


def another(world: World, number: int) -> str:
    code = (USE_CASES / "small" / "flows" / "small" / "loud.py").read_text("utf-8") + f"# {number}\n"
    digest = world.publish_use_case({"flows/small/loud.py": code})
    return world.request(request_id=f"r{number}", bundle=digest, traffic=100)


def test_traffic_is_shifted_once_the_platform_has_the_split_and_then_tested(tmp_path):
    endpoints = SlowEndpoints()
    world = World(tmp_path, endpoints=endpoints)
    first = world.request()
    world.pump()
    assert world.chain(first).status is ChainStatus.SUCCEEDED, world.log(first)
    (deployment,) = (each.name for each in endpoints.describe("small").deployments)
    assert endpoints.splits == [{deployment: 100}] * ASKED


def test_what_is_no_longer_routed_is_asked_to_go_until_it_can(tmp_path):
    endpoints = SlowEndpoints()
    world = World(tmp_path, endpoints=endpoints)
    world.request()
    world.pump()
    (former,) = (each.name for each in endpoints.describe("small").deployments)
    second = another(world, 2)
    world.pump()
    assert world.chain(second).status is ChainStatus.SUCCEEDED, world.log(second)
    assert endpoints.removals == {former: ASKED}
    assert any(f"removed {former}" in line for line in world.log(second)), world.log(second)
    assert former not in {each.name for each in MemoryEndpoints.describe(endpoints, "small").deployments}


def test_a_rollback_ends_when_the_former_split_is_back_and_the_new_deployment_is_going(tmp_path):
    class FailingBehindTheSplit(SlowEndpoints):
        def invoke(self, endpoint, payload, deployment=None):
            answer = super().invoke(endpoint, payload, deployment)
            fails = deployment is None and answer.deployment.startswith("v2-")
            return replace(answer, status=500, body=b"boom") if fails else answer

    endpoints = FailingBehindTheSplit()
    world = World(tmp_path, endpoints=endpoints)
    world.request()
    world.pump()
    before = dict(endpoints.describe("small").traffic)
    second = another(world, 2)
    world.pump()
    assert world.chain(second).status is ChainStatus.FAILED
    assert "The integration test failed" in world.chain(second).reason
    described = MemoryEndpoints.describe(endpoints, "small")
    assert dict(described.traffic) == before
    assert [each.name for each in described.deployments] == list(before)
    assert set(endpoints.removals.values()) == {ASKED}
