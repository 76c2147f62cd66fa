"""Azure ML's events make the command that started the run look again; they may come twice, late, or about others' runs."""

from __future__ import annotations

import json
import re

import pytest

from shared import chain_store, run_tags
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.chain.messages import Queue
from shared.chain.state import ChainStatus
from shared.delivery import Delivery
from shared.housekeeping import sweep
from shared.run_events import run_changed
from tests.memory_world import World, accuracy, exact, small_flow
from tests.samples import sample_chain
from tests.triggers.recorded import decoded

KIND = "Microsoft.MachineLearningServices.RunCompleted"


def event(schema: str, **tags: str) -> dict[str, object]:
    data = {"experimentId": "e", "experimentName": "n", "runId": "r", "runType": "batch", "runTags": tags}
    if schema == "cloud":
        return {"id": "1", "specversion": "1.0", "type": KIND, "source": "/ws", "subject": "runs/r", "data": data}
    return {"id": "1", "eventType": KIND, "topic": "/ws", "subject": "runs/r", "dataVersion": "1", "data": data}


def tell(world: World, body: object) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    run_changed(world.ports, Delivery(Queue.RUN_EVENTS, content, "m", 1, world.clock.now()))


@pytest.fixture
def world(tmp_path):
    """A chain whose runs take their time, as in the cloud."""
    runner = MemoryFlowRunner({"small": small_flow, "evaluate": exact}, {"evaluate": accuracy}, looks=1)
    return World(tmp_path, runner=runner)


def started(world: World) -> tuple[str, list[str]]:
    """A chain whose runs have been started and are being waited for, and the commands that started them."""
    chain = world.request("pr")
    while not any(kind == "RunCell" for kind in (world.chain(chain).awaiting.values() if world.chains() else ())):
        world._deliver_one()
    while world._deliver_one():
        pass
    awaiting = [command for command, kind in world.chain(chain).awaiting.items() if kind == "RunCell"]
    assert awaiting
    return chain, awaiting


@pytest.mark.parametrize("schema", ["grid", "cloud"])
def test_an_event_brings_the_look_before_its_scheduled_time_and_the_later_one_is_stale(world, schema):
    chain, awaiting = started(world)
    before = world.clock.now()
    for number, command in enumerate(awaiting):
        tags = {"genaiops_chain": chain, "genaiops_command": command, "genaiops_cell": str(number)}
        tell(world, event(schema, **tags))
        tell(world, [event(schema, **tags)])
    while world._deliver_one():
        pass
    assert world.clock.now() == before, "no time had to pass"
    assert world.chain(chain).progress.runs_completed == len(awaiting)
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED


def test_runs_of_others_and_other_events_are_let_pass(world):
    tell(world, event("grid"))
    tell(world, event("grid", owner="somebody") | {"eventType": "Microsoft.MachineLearningServices.ModelRegistered"})
    assert world.dead_letters() == []
    assert world.bus.counts("experimentation").active == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"nonsense", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        ({"id": "1"}, "no object `data`"),
        (event("grid", genaiops_chain="c", genaiops_command="no id", genaiops_cell="0"), "do not name a command"),
        (event("grid", genaiops_chain="c", genaiops_command="c/1", genaiops_cell="x"), "do not name a command"),
    ],
)
def test_an_event_that_cannot_be_read_is_a_dead_letter(world, body, said):
    tell(world, body)
    (letter,) = world.dead_letters()
    assert said in letter.description


def test_a_run_whose_event_was_lost_is_found_by_the_timer_long_before_its_scheduled_look(world):
    chain, awaiting = started(world)
    before = world.clock.now()
    sweep(world.ports)
    while world._deliver_one():
        pass
    assert world.clock.now() == before, "no time had to pass, and no event came"
    assert world.chain(chain).progress.runs_completed == len(awaiting)
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED


def test_a_timer_that_finds_a_run_twice_changes_nothing_the_second_time(world):
    chain, awaiting = started(world)
    for _ in range(3):
        sweep(world.ports)
        while world._deliver_one():
            pass
        world.clock.advance(1)
    assert world.chain(chain).progress.runs_completed == len(awaiting)


def known(world: World, *chains: str) -> None:
    for chain in chains:
        chain_store.create(world.blobs, sample_chain().model_copy(update={"id": chain}))


@pytest.mark.parametrize(
    ("status", "looks"), [("Preparing", 0), ("Running", 0), ("Failed", 1), ("failed", 1), ("Canceled", 1), (None, 0)]
)
def test_of_the_changes_of_a_run_only_its_end_is_looked_at(world, status, looks):
    known(world, "c")
    changed = event("grid", genaiops_chain="c", genaiops_command="c/1", genaiops_cell="0")
    kind = "Microsoft.MachineLearningServices.RunStatusChanged"
    tell(world, changed | {"eventType": kind, "data": changed["data"] | {"runStatus": status}})
    assert world.bus.counts("experimentation").active == looks


@pytest.mark.parametrize(
    ("payload", "looks"),
    [
        ("event_grid_run_completed", {}),
        ("event_grid_run_status_changed", {"experimentation": 1}),
        ("cloud_event_run_completed", {"evaluation": 1}),
        ("cloud_events_in_a_batch", {"evaluation": 1, "experimentation": 1}),
    ],
)
def test_recorded_events_wake_the_commands_that_their_tags_name(world, payload, looks):
    body = decoded(payload, "serviceBusTrigger").get_body()
    known(world, *set(re.findall(r'"genaiops_chain":\s*"([^"]+)"', body.decode())))
    tell(world, body)
    assert {queue: world.bus.counts(queue).active for queue in ("experimentation", "evaluation")} == {
        "experimentation": 0,
        "evaluation": 0,
        **looks,
    }
    assert world.dead_letters() == []


def test_a_run_whose_chain_is_gone_makes_no_dead_letter_every_minute(world):
    chain, awaiting = started(world)
    world.blobs.delete("chains", f"{chain}/state.json")
    for _ in range(3):
        sweep(world.ports)
        world.clock.advance(61)
    assert world.dead_letters() == []
    assert world.bus.counts("experimentation").active == len(awaiting), "the looks that were scheduled, and no more"


def test_a_run_of_another_installation_on_the_same_workspace_is_let_pass(world):
    theirs = {"genaiops_chain": "other-pr-123456789abc", "genaiops_command": "other-pr-123456789abc/4"}
    tell(world, event("grid", genaiops_cell="0", **theirs))
    assert world.bus.counts("experimentation").active == 0
    assert world.dead_letters() == []


@pytest.mark.parametrize(
    "data",
    [
        {"runStatus": "Running\nERROR forged", "runId": "a"},
        {"runStatus": "Completed", "runId": "a\nERROR forged"},
        {"runStatus": "Completed", "runId": "a\nERROR forged", "runTags": {run_tags.CHAIN: "x\nERROR forged" * 9_000}},
    ],
)
def test_an_event_forges_no_line_of_the_log_and_fills_none(world, caplog, data):
    with caplog.at_level("INFO"):
        tell(world, {"eventType": "Microsoft.MachineLearningServices.RunStatusChanged", "data": data})
    assert "forged" in caplog.text
    assert "\nERROR forged" not in caplog.text
    assert all(len(record.getMessage()) < 2_000 for record in caplog.records)
