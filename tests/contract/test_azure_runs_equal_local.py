"""Whatever the flow, a run on Azure ML leaves the records that the same run leaves on a laptop.

Each case is submitted through promptflow-azure to the stand-in, which runs the uploaded snapshot with prompt flow's batch
engine; then the laptop's runner runs the same spec.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from shared.connections import Connection
from shared.errors import BusinessFailure
from shared.ports import FlowRunner, RunOutcome, RunSpec, RunStatus
from shared.results import LineRecord
from tests.contract.azure_runs import CloudRuns, cloud_runs
from tests.contract.local_runner import FLOWS, KEY, spec
from tests.contract.model_server import ModelServer

pytestmark = pytest.mark.timeout(600)  # the first test submits all cases
PAIRS = [{"prediction": "a", "truth": "a"}, {"prediction": "b", "truth": "c"}, {"prediction": "d", "truth": "d"}]
UNKNOWN = {"prediction": "b", "truth": "unknown"}
QUESTIONS = [{"question": "one"}, {"question": "two"}]
FLEX = "flow.flex.yaml"
DEPLOYMENT = {"MODEL_CONFIG_AZURE_DEPLOYMENT": "from-environment"}

Case = Callable[[], RunSpec]


def of(folder: str, lines: Sequence[Mapping[str, object]], flow_file: str = "flow.dag.yaml", **changes: Any) -> Case:
    return lambda: spec(folder, lines, flow_file=flow_file, **changes)


def code(function: str, lines: Sequence[Mapping[str, object]], **changes: Any) -> Case:
    return of("code", lines, f"{function}.flex.yaml", **changes)


CASES: dict[str, Case] = {
    "nodes that aggregate, and a line that fails": of("accuracy", [*PAIRS, UNKNOWN]),
    "nodes without their aggregation": of("accuracy", PAIRS, aggregate=False),
    "an aggregation that fails": of("accuracy", [PAIRS[0], {"prediction": "a", "truth": "explode"}]),
    "a metric that is no number": of("accuracy", [PAIRS[0], {"prediction": "a", "truth": "nan"}]),
    "an llm node": of("triage", [{"ticket": "one"}, {"ticket": "two", "shout": True}]),
    "an llm node's variant with parameters": of(
        "triage", [{"ticket": "one"}], variants={"classify": "strict"}, parameters={"temperature": 0.9}
    ),
    "connections of other types": of("connected", [{"what": "see"}], environment={"SHOP_PLACE": "here"}),
    "a function": code("returns_a_mapping", [{"text": "a b"}, {"text": ""}]),
    "a function that returns a dataclass": code("returns_a_dataclass", [{"text": "word"}]),
    "a generator": code("generates", [{"text": "a b"}]),
    "a coroutine": code("waits", [{"text": "a b"}]),
    "a function that raises": code("raises", [{"text": "a"}]),
    "an output without a JSON form": code("unserialisable", [{"text": "a"}]),
    "inputs of the wrong type, missing and given by a parameter": code(
        "typed", [{"number": "3", "flag": "yes"}, {}, {"number": 4}], parameters={"inputs.number": 7}
    ),
    "a class that aggregates": of("class_evaluator", [*PAIRS, UNKNOWN], FLEX, parameters={"init.weight": 2}),
    "a class of dataclasses": of("class_evaluator", PAIRS, "dataclass.flex.yaml"),
    "evaluation functions": of("evaluators", [*PAIRS, {"prediction": "LONG" * 30, "truth": "x"}], ""),
    "an evaluation function for a whole run": of("whole_run", PAIRS, ""),
    "a prompty": of("prompty", QUESTIONS, "answer.prompty", parameters={"temperature": 0.9, "inputs.greeting": "Hi"}),
    "a class with a model": of("class_flow", QUESTIONS, FLEX, environment=DEPLOYMENT),
    "code of the rest of its use case": lambda: spec(
        "use_case",
        [{"name": "Ada"}],
        flow=FLOWS / "use_case" / "flows" / "caller",
        flow_file="",
        package="greetings",
        root=FLOWS / "use_case",
    ),
}
REUSING = {
    "nodes that aggregate nothing": of("echo", [{"text": str(number)} for number in range(6)]),
    "a function": code("returns_text", [{"text": str(number)} for number in range(6)]),
    "nodes": of("accuracy", [*PAIRS, *PAIRS[::-1]]),
    "a class": of("class_evaluator", [*PAIRS, *PAIRS[::-1]], FLEX),
    "a class of dataclasses": of("class_evaluator", [*PAIRS, *PAIRS[::-1]], "dataclass.flex.yaml"),
    "evaluation functions": of("evaluators", [*PAIRS, *PAIRS[::-1]], ""),
    "an evaluation function for a whole run": of("whole_run", [*PAIRS, *PAIRS[::-1]], ""),
}


@pytest.fixture(scope="module")
def connections(model: ModelServer) -> dict[str, Connection]:
    return {
        "aoai": Connection("aoai", "azure", model.url, KEY),
        "shop": Connection("shop", "custom", "", "", "", configs={"url": "shop.test"}, secrets={"token": KEY * 2}),
        "search": Connection("search", "azure_ai_search", "https://search.test", KEY, "2023-11-01"),
        "safety": Connection("safety", "azure_content_safety", "https://safety.test", KEY, "2024-09-01"),
        "serp": Connection("serp", "serp", "", KEY, ""),
    }


@pytest.fixture(scope="module")
def cloud(request: pytest.FixtureRequest, connections: dict[str, Connection]) -> CloudRuns:
    runs = cloud_runs(request)
    runs.management.reset()
    runs.service.connections.update(connections)
    return runs


@pytest.fixture(scope="module")
def submitted(cloud: CloudRuns, connections: dict[str, Connection]) -> dict[str, RunSpec]:
    """Every case, under way at the same time."""
    specs = {}
    for name, case in CASES.items():
        specs[name] = with_connections(case(), connections)
        cloud.runner.start(specs[name])
    return specs


def with_connections(run: RunSpec, connections: Mapping[str, Connection]) -> RunSpec:
    # What a flow's own variables need is set where it runs: this one refers to a connection's key.
    variables = {**run.environment, "SHOP_API_KEY": "${shop.token}"} if run.flow.name == "connected" else {}
    return RunSpec(**{**vars(run), "connections": connections, **({"environment": variables} if variables else {})})


def local_of(run: RunSpec) -> RunSpec:
    variables = {name: KEY * 2 if value == "${shop.token}" else value for name, value in run.environment.items()}
    return RunSpec(**{**vars(run), "environment": variables})


def ended(runner: FlowRunner, run: RunSpec) -> RunOutcome:
    outcome = runner.start(run)
    while outcome.status is RunStatus.RUNNING:
        time.sleep(0.05)
        outcome = runner.look(run.name)
    return outcome


def seen(outcome: RunOutcome) -> dict[str, Any]:
    """What the two must agree on: all but times, and what ran it."""
    assert outcome.record is not None
    record = outcome.record.model_dump(exclude={"latency", "started_at", "ended_at", "engine", "retries"})
    lines = [line.model_dump(exclude={"latency_ms", "attempts"}) for line in outcome.lines]
    return {"status": outcome.status, "record": record, "lines": lines}


@pytest.mark.parametrize("name", CASES)
def test_a_run_on_azure_ml_leaves_the_records_of_a_run_on_a_laptop(name, submitted, cloud, runner):
    run = submitted[name]
    assert seen(ended(cloud.runner, run)) == seen(runner.start(local_of(run)))


@pytest.mark.parametrize("known", [(0, 3, 4), (0, 1, 2, 3, 4, 5)], ids=["some", "all"])
@pytest.mark.parametrize("name", REUSING)
def test_lines_of_earlier_runs_take_part_in_metrics_wherever_both_runs_ran(name, known, cloud, runner):
    first = REUSING[name]()
    whole = runner.start(first)
    answered = [line for line in whole.lines if line.line in known]
    rest = [number for number in range(6) if number not in known]
    again = REUSING[name]()

    def delta(lines: Iterable[LineRecord]) -> RunSpec:
        return RunSpec(
            **{
                **vars(again),
                "lines": [again.lines[number] for number in rest],
                "line_numbers": rest,
                "known_lines": iter([LineRecord.model_validate_json(line.model_dump_json()) for line in lines]),
                "known_count": len(known),
            }
        )

    outcome = ended(cloud.runner, delta(answered))
    assert outcome.record.metrics == whole.record.metrics
    assert seen(outcome) == seen(runner.start(delta(answered)))
    sent = cloud.service.runs[again.name].submitted_rows(cloud.management.storage) if rest else []
    assert [row["genaiops_line"] for row in sent] == rest, "only the lines that changed were submitted"


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (of("broken", [{"text": "a"}]), "Failed to load python module"),
        (of("missing_package", [{"text": "a"}]), "No module named"),
        (code("misspelt", [{"text": "a"}]), "retuns_text"),
        (of("class_evaluator", PAIRS, FLEX, parameters={"init.nothing": 1}), "names no argument of Grade"),
        (of("exits_on_import", [{"what": "a"}]), "exit"),
    ],
    ids=["broken", "missing package", "misspelt", "unknown argument", "exits"],
)
def test_a_flow_that_cannot_be_run_at_all_fails_with_its_reason(case, told, cloud):
    with pytest.raises(BusinessFailure, match=told):
        ended(cloud.runner, case())


@pytest.fixture(scope="module", autouse=True)
def nothing_unplayed(cloud: CloudRuns) -> Iterator[None]:
    yield
    assert cloud.management.unknown == []
    assert cloud.proxy.refused == [], "prompt flow calls nobody else"
