"""The stage of a registered flow follows the traffic: whole chains through the real handlers, in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.chain.messages import CancelRequested, Queue
from shared.chain.state import ChainStatus
from shared.errors import Throttled
from shared.ports import AssetKind, stages
from tests.memory_world import USE_CASES, World, small_flow

PROD = "deployment: {endpoint: small-prod, after_ci: true, sample_request: request.json, test_calls: 1}"


def deploy(world: World, number: int, traffic: int = 100, **more) -> str:
    """Register and deploy a new version; returns the chain's id."""
    code = (USE_CASES / "small" / "flows" / "small" / "loud.py").read_text("utf-8") + f"# {number}\n"
    digest = world.publish_use_case({"flows/small/loud.py": code, "experiment.prod.yaml": PROD})
    chain = world.request(request_id=f"r{number}", bundle=digest, traffic=traffic, **more)
    world.pump()
    return chain


def staged(world: World, stage: str = "dev") -> list[str]:
    return [asset.version for asset in world.registry.list(AssetKind.MODEL) if stage in stages(asset.tags)]


@pytest.mark.parametrize("duplicates", [False, True])
def test_the_stage_is_on_the_version_that_takes_all_the_traffic(tmp_path, duplicates):
    world = World(tmp_path, duplicates=duplicates)
    deploy(world, 1)
    assert staged(world) == ["1"]
    deploy(world, 2, traffic=10)
    assert staged(world) == ["1"], "while traffic is split, the former one is still the environment's"
    deploy(world, 3)
    assert staged(world) == ["3"]


def test_a_release_of_an_earlier_version_takes_the_stage_back(tmp_path):
    world = World(tmp_path)
    deploy(world, 1)
    deploy(world, 2)
    assert staged(world) == ["2"]
    world.request("cd", request_id="back", flow_version="1", traffic=100)
    world.pump()
    assert staged(world) == ["1"]


def test_each_environment_has_its_own_stage(tmp_path):
    world = World(tmp_path)
    deploy(world, 1)
    deploy(world, 2, environment="prod")
    assert (staged(world, "dev"), staged(world, "prod")) == (["1"], ["2"])
    world.request("cd", request_id="on", flow_version="1", environment="prod", traffic=100)
    world.pump()
    (first, _) = world.registry.list(AssetKind.MODEL)
    assert first.tags["stage"] == "dev,prod"


class FailingBehindTheSplit(MemoryEndpoints):
    def invoke(self, endpoint, payload, deployment=None):
        answer = super().invoke(endpoint, payload, deployment)
        fails = deployment is None and answer.deployment.startswith("v2-")
        return replace(answer, status=500, body=b"boom") if fails else answer


def test_a_version_that_fails_its_tests_never_has_the_stage(tmp_path):
    world = World(tmp_path, endpoints=FailingBehindTheSplit({"small": small_flow}))
    deploy(world, 1)
    second = deploy(world, 2)
    assert world.chain(second).status is ChainStatus.FAILED
    assert staged(world) == ["1"]


@pytest.mark.parametrize("before", [[], [1]])
def test_a_chain_that_is_cancelled_during_its_last_test_gives_the_stage_back(tmp_path, before):
    class Cancelling(MemoryEndpoints):
        chain = None

        def invoke(self, endpoint, payload, deployment=None):
            if self.chain and deployment is None:
                cancel = CancelRequested(id=f"{self.chain}/cancel", chain=self.chain, at=world.clock.now(), by="ada")
                world.publish(Queue.CHAIN_EVENTS, cancel.model_dump_json().encode(), cancel.id, session=self.chain)
                self.chain = None
            return super().invoke(endpoint, payload, deployment)

    endpoints = Cancelling({"small": small_flow})
    world = World(tmp_path, endpoints=endpoints)
    for number in before:
        deploy(world, number)
    code = (USE_CASES / "small" / "flows" / "small" / "loud.py").read_text("utf-8") + "# last\n"
    digest = world.publish_use_case({"flows/small/loud.py": code})
    endpoints.chain = chain = world.request(request_id="last", bundle=digest, traffic=100)
    world.pump()
    assert world.chain(chain).status is ChainStatus.CANCELLED, world.log(chain)
    assert len(world.registry.list(AssetKind.MODEL)) == len(before) + 1
    assert staged(world) == [str(number) for number in before]


def test_a_copy_into_a_shared_registry_that_takes_its_time_is_looked_at_again(tmp_path):
    world = World(tmp_path)
    real = world.ports.registry
    asked = []

    class Sharing:
        def __getattr__(self, name):
            return getattr(real, name)

        def promote(self, *args):
            real.promote(*args)
            asked.append(args)
            if len(asked) < 3:
                raise Throttled("The version is being copied.", 20)

    world.ports = replace(world.ports, registry=Sharing())
    chain = deploy(world, 1)
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)
    assert len(asked) == 3
    assert staged(world) == ["1"]
