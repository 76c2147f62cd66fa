"""What every flow runner does. The one in memory runs stand-ins of the flows of `tests/contract/flows`, the others those.

The azure one submits them to the stand-in of Azure ML, which really runs what was uploaded: see
`tests/servers/management/prompt_flow.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.connections import Connection
from shared.errors import BusinessFailure, NotFound
from shared.ports import FlowRunner, RunOutcome, RunSpec, RunStatus
from shared.results import LineRecord, LineStatus
from tests.contract.azure_runs import azure_runner

FLOWS = Path(__file__).parent / "flows"
STAND_IN = Connection("aoai", "azure", "http://127.0.0.1:1", "stand-in", stand_in=True)


def grade(inputs: Mapping[str, object], spec: RunSpec) -> Mapping[str, object]:
    if inputs["truth"] == "unknown":
        raise ValueError("the truth of this line is unknown")
    return {"correct": int(inputs["prediction"] == inputs["truth"])}


def accuracy(lines: Sequence[LineRecord]) -> Mapping[str, float]:
    return {"accuracy": sum(line.outputs["correct"] for line in lines) / len(lines), "lines": len(lines)}


RUNNERS: dict[str, Callable[[pytest.FixtureRequest, Path], FlowRunner]] = {
    "local": lambda request, folder: LocalFlowRunner(folder, grace_s=0.05),  # so that most runs outlast their start
    "memory": lambda request, folder: MemoryFlowRunner({"accuracy": grade}, {"accuracy": accuracy}),
    "azure": lambda request, folder: azure_runner(request),
}


@pytest.fixture(scope="module", params=RUNNERS)
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowRunner]:
    runner = RUNNERS[request.param](request, tmp_path_factory.mktemp("runner"))
    yield runner
    if isinstance(runner, LocalFlowRunner):
        runner.close()


def spec(*pairs: tuple[str, str], **changes: object) -> RunSpec:
    values: dict[str, object] = {
        "name": f"run-{uuid4().hex}",
        "flow": FLOWS / "accuracy",
        "flow_digest": "a" * 64,
        "lines": [{"prediction": prediction, "truth": truth} for prediction, truth in pairs],
    }
    return RunSpec(**{**values, **changes})


def ended(runner: FlowRunner, run: RunSpec) -> RunOutcome:
    """Start, and look until the run has ended, as those who use a runner must."""
    outcome = runner.start(run)
    while outcome.status is RunStatus.RUNNING:
        time.sleep(0.01)
        outcome = runner.look(run.name)
    return outcome


def test_a_run_has_a_record_per_line_in_order_and_one_for_all(runner):
    outcome = ended(runner, spec(("a", "a"), ("b", "c"), ("d", "d")))

    lines = list(outcome.lines)
    assert outcome.status is RunStatus.COMPLETED
    assert [(line.line, line.status, line.outputs) for line in lines] == [
        (0, LineStatus.COMPLETED, {"correct": 1}),
        (1, LineStatus.COMPLETED, {"correct": 0}),
        (2, LineStatus.COMPLETED, {"correct": 1}),
    ]
    assert lines[1].inputs == {"prediction": "b", "truth": "c"}
    assert (outcome.record.succeeded, outcome.record.lines, outcome.record.failed_lines) == (True, 3, 0)
    assert outcome.record.reason == ""
    assert outcome.record.started_at <= outcome.record.ended_at


def test_lines_may_come_from_an_iterator(runner):
    outcome = ended(runner, spec(lines=({"prediction": str(n), "truth": "7"} for n in range(100))))

    lines = list(outcome.lines)
    assert [line.line for line in lines] == list(range(100))
    assert [line.line for line in lines if line.outputs["correct"]] == [7]


def test_metrics_come_from_the_aggregation_over_the_completed_lines(runner):
    outcome = ended(runner, spec(("a", "a"), ("b", "unknown"), ("c", "d"), tolerated_failures=0.5))

    assert outcome.record.metrics == {"accuracy": 0.5, "lines": 2.0}


def test_without_aggregation_there_are_no_metrics(runner):
    assert ended(runner, spec(("a", "a"), aggregate=False)).record.metrics == {}


def test_a_failed_line_fails_the_run_and_the_reason_names_it(runner):
    outcome = ended(runner, spec(("a", "a"), ("b", "unknown")))

    lines = list(outcome.lines)
    assert outcome.status is RunStatus.FAILED
    assert not outcome.record.succeeded
    assert outcome.record.failed_lines == 1
    assert "1 of 2 lines failed" in outcome.record.reason
    assert "the truth of this line is unknown" in outcome.record.reason
    assert [line.status for line in lines] == [LineStatus.COMPLETED, LineStatus.FAILED]
    assert "the truth of this line is unknown" in lines[1].error


def test_failures_within_tolerance_complete_the_run_and_are_told(runner):
    outcome = ended(runner, spec(("a", "a"), ("b", "unknown"), tolerated_failures=0.5))

    assert outcome.status is RunStatus.COMPLETED
    assert outcome.record.succeeded
    assert "1 of 2 lines failed" in outcome.record.reason


def test_starting_a_name_again_finds_the_run(runner):
    first = ended(runner, spec(("a", "a"), name="the-same"))
    again = ended(runner, spec(("x", "y"), ("x", "y"), name="the-same"))

    assert again.record == first.record
    assert [line.outputs for line in again.lines] == [{"correct": 1}]
    assert runner.look("the-same").record == first.record


def test_an_ended_run_can_be_looked_at_and_read_again(runner):
    first = ended(runner, run := spec(("a", "a"), ("b", "c")))

    looks = [runner.look(run.name) for _ in range(2)]
    assert [look.record for look in looks] == [first.record] * 2
    assert [list(look.lines) for look in looks] == [list(first.lines)] * 2


def test_starting_a_name_at_the_same_time_runs_it_once(runner):
    read = []
    name = f"run-{uuid4().hex}"

    def lines() -> Iterator[Mapping[str, object]]:
        for number in range(20):
            read.append(number)
            yield {"prediction": "a", "truth": "a"}

    records = []
    threads = [
        threading.Thread(target=lambda: records.append(ended(runner, spec(name=name, lines=lines())).record))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(records) == 4
    assert all(record == records[0] for record in records)
    assert read == list(range(20))


def test_the_models_are_shown_without_their_keys(runner):
    key = "sk-0123456789abcdef"
    connection = Connection("aoai", "azure", "https://models.example.com", key)
    outcome = ended(runner, spec(("a", "a"), connections={"aoai": connection}))

    assert key not in outcome.record.model_dump_json()


def test_a_flow_that_does_not_exist_cannot_be_run(runner):
    with pytest.raises(BusinessFailure, match="nowhere"):
        ended(runner, spec(("a", "a"), flow=FLOWS / "nowhere", flow_digest="0" * 64))


def test_looking_at_an_unknown_run_is_not_found(runner):
    with pytest.raises(NotFound, match="never-started"):
        runner.look("never-started")


def test_cancelling_what_does_not_run_is_no_error(runner):
    runner.cancel("never-started")
    run = spec(("a", "a"))
    outcome = ended(runner, run)
    runner.cancel(run.name)
    assert runner.look(run.name).status is outcome.status


def test_a_run_whose_outcome_was_fetched_is_no_end_that_nobody_noticed(runner):
    run = spec(("a", "a"), tags={"genaiops_command": uuid4().hex})
    ended(runner, run)
    assert run.tags not in list(runner.ended_unnoticed())


def test_who_watches_is_told_how_many_lines_have_ended(runner):
    told: list[int] = []
    ended(runner, spec(("a", "a"), ("b", "c"), ("d", "d"), on_progress=told.append))
    assert told
    assert told == sorted(told)
    assert told[-1] == 3


def test_lines_are_called_by_the_numbers_that_they_are_given(runner):
    outcome = ended(runner, spec(("a", "a"), ("b", "unknown"), ("c", "c"), line_numbers=[0, 4, 17]))

    assert [(line.line, line.status) for line in outcome.lines] == [(0, "completed"), (4, "failed"), (17, "completed")]
    assert "1 of 3 lines failed" in outcome.record.reason


@pytest.mark.parametrize("numbers", [[0], [0, 1, 2]])
def test_numbers_for_more_or_fewer_lines_than_there_are_end_the_run(runner, numbers):
    with pytest.raises(ValueError, match="zip"):
        ended(runner, spec(("a", "a"), ("b", "b"), line_numbers=numbers))


def known(outcome: RunOutcome, *numbers: int) -> dict[str, object]:
    """Those lines of an ended run, as a later run is given them."""
    lines = [line for line in outcome.lines if line.line in numbers]
    return {"known_lines": iter(lines), "known_count": len(lines)}


def test_known_lines_are_not_run_but_count_in_the_metrics(runner):
    pairs = [("a", "a"), ("b", "c"), ("d", "d"), ("e", "f")]
    whole = ended(runner, spec(*pairs))

    rest = ended(runner, spec(*pairs[2:], line_numbers=[2, 3], **known(whole, 0, 1)))
    assert [line.line for line in rest.lines] == [2, 3]
    assert (rest.record.lines, rest.record.failed_lines) == (2, 0)
    assert rest.record.metrics == whole.record.metrics == {"accuracy": 0.5, "lines": 4.0}


def test_the_aggregation_sees_known_lines_and_others_in_line_order(runner):
    whole = ended(runner, spec(*[(letter, "a") for letter in "abcdef"]))
    assert whole.record.metrics["accuracy"] == pytest.approx(1 / 6)

    between = spec(("a", "a"), ("b", "a"), line_numbers=[1, 4], **known(whole, 0, 2, 3, 5))
    assert ended(runner, between).record.metrics == {"accuracy": pytest.approx(2 / 6), "lines": 6.0}


def test_where_every_line_is_known_the_aggregation_alone_is_run(runner):
    whole = ended(runner, spec(("a", "a"), ("b", "c"), ("d", "d")))

    outcome = ended(runner, spec(lines=[], **known(whole, 0, 1, 2)))
    assert outcome.status is RunStatus.COMPLETED
    assert (outcome.record.lines, list(outcome.lines)) == (0, [])
    assert outcome.record.metrics == whole.record.metrics


def test_where_every_line_is_known_and_nothing_aggregates_nothing_is_run(runner):
    whole = ended(runner, spec(("a", "a"), ("b", "c"), aggregate=False))

    outcome = ended(runner, spec(lines=[], aggregate=False, **known(whole, 0, 1)))
    assert (outcome.status, outcome.record.succeeded, outcome.record.metrics) == (RunStatus.COMPLETED, True, {})


@pytest.mark.parametrize(("tolerated", "status"), [(0.3, RunStatus.COMPLETED), (0.2, RunStatus.FAILED)])
def test_known_lines_count_as_completed_where_failures_are_tolerated(runner, tolerated, status):
    whole = ended(runner, spec(("a", "a"), ("b", "c"), ("d", "d")))

    run = spec(("e", "unknown"), line_numbers=[3], tolerated_failures=tolerated, **known(whole, 0, 1, 2))
    outcome = ended(runner, run)
    assert outcome.status is status
    assert (outcome.record.lines, outcome.record.failed_lines) == (1, 1)
    assert "1 of 1 lines failed" in outcome.record.reason
    assert outcome.record.metrics == {"accuracy": pytest.approx(2 / 3), "lines": 3.0}
