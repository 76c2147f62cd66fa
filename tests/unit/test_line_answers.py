"""What the worker answers for its lines, whatever becomes of an answer, and what its parent takes for one."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.local.engines.contract import Aggregation, LineResult
from shared.adapters.local.flow_runner import protocol
from shared.adapters.local.flow_runner.lines import LineRun
from shared.adapters.local.flow_runner.model_calls import Meter
from shared.nesting import is_deeper
from shared.redaction import Redaction

DONE: dict[str, object] = {
    "is": "done",
    "run": "r",
    "line": 0,
    "ok": True,
    "outputs": {},
    "latency_ms": 1.5,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "retries": 0,
    "model_calls": 0,
}


class Echo:
    """Answers every line with its inputs."""

    connections = ()
    aggregates = False

    def line(self, inputs: Mapping[str, Any], number: int, run: str) -> LineResult:
        return LineResult(inputs)

    def aggregate(self, kept: Sequence[Mapping[str, Any]], run: str) -> Aggregation:
        return Aggregation({})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RecursionError("too deep"), "cannot be passed on: RecursionError: too deep"),
        (MemoryError(), "cannot be passed on: MemoryError"),
        (protocol.TooLarge("1 byte too many"), "are too large: 1 byte too many"),
    ],
)
def test_an_answer_that_cannot_be_sent_becomes_a_failed_line(error: Exception, told: str) -> None:
    sent: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def send(message: dict[str, Any]) -> None:
        if "outputs" in message:
            raise error
        sent.put(message)

    order = {"line_timeout_s": 30, "concurrency": 1, "aggregate": False}
    run = LineRun("r", Echo(), order, send, Redaction())
    run.line(0, {"value": "x"})

    answer = sent.get(timeout=10)
    assert (answer["is"], answer["line"], answer["ok"]) == ("done", 0, False)
    assert told in answer["error"]
    assert run.stop() == 0


def test_an_answer_is_taken_for_one() -> None:
    assert protocol.checked(DONE) == DONE


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "text",
        {},
        {"is": None},
        {"is": ["done"]},
        {"is": "dance"},
        {"is": "loaded"},
        {"is": "done", "run": "r"},
        {**DONE, "line": "0"},
        {**DONE, "line": -1},
        {**DONE, "run": None},
        {**DONE, "latency_ms": float("nan")},
        {**DONE, "retries": -1},
        {**DONE, "outputs": []},
        {**DONE, "error": None},
        {"is": "beat", "run": {}},
    ],
)
def test_what_is_no_answer_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="answer"):
        protocol.checked(answer)


def test_a_metric_must_be_a_number_and_an_output_flat_enough() -> None:
    deep: object = "core"
    for _ in range(101):
        deep = [deep]
    counted = {"prompt_tokens": 0, "completion_tokens": 0, "retries": 0, "model_calls": 0}
    metrics = {"is": "metrics", "run": "r", "error": "", **counted}
    with pytest.raises(ValueError, match="metric"):
        protocol.checked({**metrics, "metrics": {"accuracy": "high"}})
    with pytest.raises(ValueError, match="nested"):
        protocol.checked({**DONE, "outputs": {"value": deep}})
    assert protocol.checked({**metrics, "metrics": {"accuracy": 0.5}})["metrics"] == {"accuracy": 0.5}


def test_a_message_longer_than_allowed_is_not_waited_for() -> None:
    with pytest.raises(ValueError, match="bytes is announced"):
        protocol.read(io.BytesIO((protocol.LIMIT + 1).to_bytes(4, "big") + b"{}"))


@pytest.mark.parametrize("told", ["", "x" * 10, None, True, [3], -3, float("nan"), float("-inf")])
def test_what_is_no_count_adds_nothing(told: object) -> None:
    meter = Meter(1.0)
    meter.add_call(SimpleNamespace(prompt_tokens=told, completion_tokens=5))
    meter.add_call(SimpleNamespace())
    assert (meter.prompt_tokens, meter.completion_tokens) == (0, 5)


def test_a_count_beyond_all_bounds_counts_as_a_billion() -> None:
    meter = Meter(1.0)
    meter.add_call(SimpleNamespace(prompt_tokens=10**30, completion_tokens=float("inf")))
    assert (meter.prompt_tokens, meter.completion_tokens) == (10**9, 10**9)


@pytest.mark.parametrize(("levels", "deeper"), [(100, False), (101, True)])
def test_levels_are_counted_in_lists_and_objects(levels: int, deeper: bool) -> None:
    text = '{"a":' * levels + "1" + "}" * levels
    assert is_deeper(json.loads(text)) is deeper
    assert is_deeper(json.loads("[" * levels + "]" * levels)) is deeper
