"""The flow runner learns of evaluators before the runs that they evaluate have ended, and only where there will be some."""

from __future__ import annotations

import json

import pytest

from shared.adapters.memory.runner import MemoryFlowRunner
from shared.chain.state import ChainStatus
from tests.memory_world import World, accuracy, exact, small_flow

QUESTIONS = "data/questions.jsonl"


class ForeseeingRunner(MemoryFlowRunner):
    """Notes in which order it is told of runs to come and of runs."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.told = []
        self.foreseen = []

    def prepare(self, spec):
        self.told.append(("to come", spec.flow.name))
        self.foreseen.append(spec)

    def start(self, spec):
        self.told.append(("start", spec.flow.name))
        return super().start(spec)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.runner = ForeseeingRunner({"small": small_flow, "evaluate": exact}, {"evaluate": accuracy}, clock=world.clock)
    world.ports = world._wired()
    return world


def rows(*numbers):
    return "".join(json.dumps({"question": f"q {number}", "answer": f"Q {number}"}) + "\n" for number in numbers)


def ended(world, request_id, **fields):
    world.clock.advance(100)
    chain = world.request("pr", request_id=request_id, variants="defaults", **fields)
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)
    return chain


def test_the_evaluator_is_foreseen_before_its_run_starts_as_it_will_be_run(world):
    ended(world, "a", bundle=world.publish_use_case({QUESTIONS: rows(1, 2)}))
    assert world.runner.told == [("to come", "evaluate"), ("start", "small"), ("start", "evaluate")]
    (foreseen,) = world.runner.foreseen
    (run,) = (spec for spec in world.runner.started if spec.flow.name == "evaluate")
    for held in ("flow", "flow_file", "flow_digest", "package", "root", "connections", "environment"):
        assert getattr(foreseen, held) == getattr(run, held)
    assert list(foreseen.lines) == []


def test_where_every_line_is_known_nothing_is_foreseen(world):
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2)})
    ended(world, "a", bundle=bundle)
    world.runner.told.clear()
    ended(world, "b", bundle=bundle)
    assert ("to come", "evaluate") not in world.runner.told
