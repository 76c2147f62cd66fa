"""Whole chains whose telemetry is sent by the real SDK and exporter, and read where it arrives."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from shared import telemetry
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.chain.state import Chain, StepStatus
from shared.housekeeping import sweep
from shared.names import chain_id
from shared.telemetry import trace
from shared.telemetry.chains import run_ended
from shared.telemetry.names import Metric
from tests.memory_world import World
from tests.servers.application_insights import KEY, Ingestion

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "find-a-stuck-chain.md"
PIPELINE = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


@dataclass(frozen=True)
class Told:
    """A chain that ended, and what arrived of it."""

    insights: Ingestion
    world: World
    chain: Chain

    def spans(self) -> list[dict[str, Any]]:
        return [span for span in self.insights.items("RequestData") if span["operation_id"] == self.trace]

    @property
    def trace(self) -> str:
        return f"{trace.trace_of(self.chain.id):032x}"

    @property
    def root(self) -> str:
        return f"{trace.root_of(self.chain.id):016x}"


def observed(insights: Ingestion, home: Path) -> World:
    world = World(home)
    world.settings = replace(world.settings, application_insights=insights.connection_string)
    world.ports = world._wired()
    return world


def flush(world: World) -> None:
    pipe = telemetry.start(world.settings)
    assert pipe is not None
    assert pipe.flush(60)
    assert pipe.dropped == 0


def ask(world: World, request_id: str, **properties: str) -> str:
    asked = ChainRequest(request_id=request_id, kind=ChainKind.CI, use_case="small")
    world.publish(Queue.CHAIN_REQUESTS, asked.model_dump_json().encode(), f"ci-{request_id}", **properties)
    return chain_id("small", "ci", request_id)


def take_tokens(world: World, chain: str) -> None:
    with telemetry.handling(world.ports, "a run") as one:
        one.tell(chain=chain, kind="ci", use_case="small", command="ImportLog")
        run_ended(succeeded=False, prompt_tokens=1200, completion_tokens=34)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A whole ci chain, asked for in the trace of a pipeline; a command that nobody can read; two open chains."""
    with Ingestion() as insights:
        world = observed(insights, tmp_path_factory.mktemp("home"))
        chain = ask(world, "r1", traceparent=PIPELINE)
        world.pump()
        world.publish(Queue.EXPERIMENTATION, json.dumps({"chain": chain}).encode(), message_id="m-1")
        ask(world, "r2")
        world.pump(approve=False)
        world.clock.advance(120)
        sweep(world.ports)
        take_tokens(world, chain)
        flush(world)
        yield Told(insights, world, world.chain(chain))
        telemetry.stop()


def test_all_of_a_chain_is_one_transaction_with_the_chain_itself_at_its_root(told: Told) -> None:
    spans = told.spans()
    by_id = {span["id"]: span for span in spans}
    assert len(by_id) == len(spans) > 20
    root = by_id[told.root]
    assert root["name"] == "chain ci small"
    assert root["operation_parent"] is None
    assert root["success"] is True
    assert all(span["operation_parent"] in by_id for span in spans if span is not root), "every parent has arrived"
    names = {span["name"] for span in spans}
    assert {"start chain", "perform PrepareChain", "advance ChainPrepared", "perform RunCell"} <= names
    assert {"perform Deploy", "advance DeploymentReady", "perform FinishTask"} <= names


def test_each_message_hangs_below_the_one_that_sent_it(told: Told) -> None:
    spans = told.spans()
    by_id = {span["id"]: span for span in spans}
    (prepared,) = [span for span in spans if span["name"] == "advance ChainPrepared"]
    sent_by = by_id[prepared["operation_parent"]]
    assert sent_by["name"] == "perform PrepareChain"
    assert by_id[sent_by["operation_parent"]]["name"] == "start chain"


def test_the_pipelines_own_trace_is_linked(told: Told) -> None:
    (start,) = [span for span in told.spans() if span["name"] == "start chain"]
    assert start["operation_parent"] == told.root
    assert "ab" * 16 in start["properties"]["_MS.links"]
    assert "cd" * 8 in start["properties"]["_MS.links"]


def test_a_span_says_what_was_done_where_and_how_long_it_had_waited(told: Told) -> None:
    cell, _ = [span for span in told.spans() if span["name"] == "perform RunCell"]
    said = cell["properties"]
    assert said["chain"] == told.chain.id
    assert (said["kind"], said["use_case"], said["step"]) == ("ci", "small", "experimentation")
    assert (said["command"], said["outcome"], said["attempt"], said["delivery"]) == ("RunCell", "RunFinished", "0", "1")
    assert said["queue"] == "experimentation"
    assert float(said["queue_delay_s"]) >= 0
    assert cell["source"] == "experimentation"
    assert cell["role"] == "genaiops"


def test_log_lines_lie_in_the_trace_with_their_chain(told: Told) -> None:
    lines = [line for line in told.insights.items("MessageData") if line["operation_id"] == told.trace]
    (end,) = [line for line in lines if "The chain ended: succeeded." in line["message"]]
    assert end["properties"]["chain"] == told.chain.id
    assert end["properties"]["logger"] == "genaiops.chain"
    assert end["operation_parent"] in {span["id"] for span in told.spans()}


def test_steps_are_told_as_events_when_they_begin_and_end(told: Told) -> None:
    events = [event for event in told.insights.items("EventData") if event["operation_id"] == told.trace]
    done = [step.step.value for step in told.chain.steps if step.status is StepStatus.DONE]
    for name in ("StepStarted", "StepEnded"):
        assert [e["properties"]["step"] for e in events if e["name"] == name] == done, name
    (started,) = [event for event in events if event["name"] == "ChainStarted"]
    (ended,) = [event for event in events if event["name"] == "ChainEnded"]
    assert ended["properties"]["outcome"] == "succeeded"
    assert {started["properties"]["chain"], ended["properties"]["chain"]} == {told.chain.id}


def test_a_chains_age_is_measured_at_the_end_of_each_step(told: Told) -> None:
    assert told.chain.ended_at is not None
    ages = {m["properties"]["step"]: m for m in told.insights.metrics(Metric.CHAIN_AGE)}
    step = next(step for step in told.chain.steps if step.step.value == "deployment")
    assert step.ended_at is not None
    assert ages["deployment"]["value"] == pytest.approx((step.ended_at - told.chain.created_at).total_seconds())
    assert ages["deployment"]["properties"] == {"step": "deployment", "kind": "ci", "use_case": "small"}
    took = {m["properties"]["step"]: m for m in told.insights.metrics(Metric.STEP_DURATION)}
    assert took["deployment"]["count"] == 1
    (whole,) = told.insights.metrics(Metric.CHAIN_DURATION)
    assert whole["value"] == pytest.approx((told.chain.ended_at - told.chain.created_at).total_seconds())


def test_runs_faults_delays_and_dead_letters_are_counted(told: Told) -> None:
    insights = told.insights
    runs = {(m["properties"]["command"], m["properties"]["outcome"]): m["value"] for m in insights.metrics(Metric.RUNS)}
    both = {("RunCell", "succeeded"): 4, ("EvaluateRun", "succeeded"): 4}
    assert runs == {**both, ("ImportLog", "failed"): 1}, "two chains of two cells, and a log"
    delays = {m["properties"]["queue"]: m["count"] for m in insights.metrics(Metric.QUEUE_DELAY)}
    assert delays["chain-requests"] == 2
    (malformed,) = insights.metrics(Metric.FAILURES)
    assert malformed["properties"]["family"] == "malformed"
    (letter,) = insights.metrics(Metric.DEAD_LETTERS)
    assert letter["properties"] == {"queue": "experimentation", "reason": "Malformed"}
    (event,) = [event for event in insights.items("EventData") if event["name"] == "DeadLettered"]
    assert event["properties"]["dead_letter"] == told.world.dead_letters()[0].id


def test_open_chains_are_told_by_step_by_whoever_keeps_house_and_only_once(told: Told) -> None:
    (waiting,) = told.insights.metrics(Metric.OPEN_CHAINS)
    assert (waiting["value"], waiting["properties"]) == (1, {"step": "approval"})
    (oldest,) = told.insights.metrics(Metric.OLDEST_STEP)
    assert oldest["value"] >= 120
    flush(told.world)  # an instance that looked once says nothing about later
    assert len(told.insights.metrics(Metric.OPEN_CHAINS)) == 1


def test_tokens_of_models_are_counted_where_runs_took_any(told: Told) -> None:
    tokens = {m["properties"]["tokens"]: m["value"] for m in told.insights.metrics(Metric.TOKENS)}
    assert tokens == {"prompt": 1200, "completion": 34}


def test_an_error_is_told_with_its_stack_in_the_trace_of_the_chain(told: Told) -> None:
    with telemetry.handling(told.world.ports, "something") as one:
        one.tell(chain=told.chain.id)
        try:
            raise RuntimeError("the well is empty")  # noqa: TRY301
        except RuntimeError:
            logging.getLogger("genaiops.commands").exception("It failed")
    flush(told.world)
    (error,) = told.insights.items("ExceptionData")
    (detail,) = error["exceptions"]
    assert detail["typeName"] == "RuntimeError"
    assert "the well is empty" in detail["stack"]
    assert error["operation_id"] == told.trace
    assert error["properties"]["chain"] == told.chain.id


def test_everything_is_sent_under_the_key_of_the_connection_string_and_nothing_about_the_sender(told: Told) -> None:
    assert {envelope["iKey"] for envelope in told.insights.envelopes} == {KEY}
    names = {m["name"] for item in told.insights.items("MetricData") for m in item["metrics"]}
    assert names <= set(Metric)


QUERIES = re.findall(r"```kusto\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
TABLES = {
    "requests": ("RequestData",),
    "customEvents": ("EventData",),
    "customMetrics": ("MetricData",),
    "union traces, exceptions": ("MessageData", "ExceptionData"),
}


def test_the_how_to_has_a_query_for_each_table() -> None:
    assert {query.splitlines()[0] for query in QUERIES} == set(TABLES)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: re.sub(r"\W+", " ", query)[:60])
def test_the_how_tos_queries_use_no_name_that_is_not_emitted(told: Told, query: str) -> None:
    items = [item for kind in TABLES[query.splitlines()[0]] for item in told.insights.items(kind)]
    names = {str(item.get("name")) for item in items} | {m["name"] for item in items for m in item.get("metrics", [])}
    asked = set(re.findall(r'"([\w.]+)"', query)) - {"CHAIN"}
    assert asked <= names
    dimensions = set(re.findall(r"customDimensions\.(\w+)", query))
    assert dimensions
    about = [
        item
        for item in items
        if not asked or asked & ({item.get("name")} | {m["name"] for m in item.get("metrics", [])})
    ]
    assert dimensions <= {key for item in about for key in item["properties"]}


@pytest.mark.parametrize("outcome", ["look again", "try again", "raised", "stale"])
def test_the_how_tos_outcomes_are_those_of_the_code(outcome: str) -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "shared").rglob("*.py"))
    assert f"`{outcome}`" in PAGE.read_text("utf-8")
    assert f'"{outcome}"' in code


def test_the_how_to_names_every_family_of_faults() -> None:
    families = set(re.findall(r'_met\(\s*"([\w ]+)"', (ROOT / "shared" / "perform.py").read_text("utf-8")))
    assert families | {"business failure"} == set(
        re.findall(r"^\| `([\w ]+)` \|", PAGE.read_text("utf-8").split("| family |")[1], flags=re.MULTILINE)
    )


@pytest.mark.parametrize("trouble", ["refuses", "is not there", "is slow"])
def test_a_chain_ends_as_well_where_telemetry_cannot_be_sent(tmp_path: Path, trouble: str) -> None:
    with Ingestion() as insights:
        insights.status = 500 if trouble == "refuses" else 200
        insights.delay_s = 3 if trouble == "is slow" else 0
        world = observed(insights, tmp_path)
        if trouble == "is not there":
            insights.__exit__()
        chain = ask(world, "r1")
        try:
            world.pump()
            assert world.chain(chain).status == "succeeded"
            assert world.dead_letters() == []
        finally:
            telemetry.stop(seconds=0.2)


def test_without_a_connection_string_nothing_is_collected_and_messages_carry_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert telemetry.start(world.settings) is None
    with telemetry.handling(world.ports, "anything") as one:
        one.tell(chain="c-1")
        assert telemetry.carried("c-1") == {}
    ask(world, "r1")
    (message,) = world.bus.receive(world.settings.queues[Queue.CHAIN_REQUESTS])
    assert message.properties == {}
