"""What prompt flow left of a run's lines, as one record a line: the artifacts beside the file of lines, read in step.

An artifact counts lines from 0 in the submitted file; the file says what each is called and what it was given. A line
that left no artifact has failed: its process ended, or the run did before it came to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from shared.adapters.azure.machine_learning.runs.dag import HIDDEN
from shared.results import LineRecord, LineStatus, Tokens

NO_RECORD: Final = "The line left no result: its process ended, or the run ended before the line did."
_LONGEST_ERROR: Final = 4_000
_OF_ENTRY: Final = re.compile(r"Execution failure in 'Flow\.__call__': \((\w+)\) (.*)", re.DOTALL)
"""How prompt flow words what the entry of a flow without nodes raised."""
_SPEAK_FOR_THEMSELVES: Final = frozenset({"FlowError", "InputError"})
_CALLS: Final = frozenset({"LLM", "Embedding"})


def records(
    rows: Iterable[tuple[int, Mapping[str, Any]]], artifacts: Iterable[Mapping[str, Any]], refused: Mapping[int, str]
) -> Iterator[LineRecord]:
    """The records, in ascending order of their numbers.

    Args:
        rows: number and inputs of each submitted line.
        artifacts: `{"line_number": …, "run_info": {…}}`, ascending.
        refused: lines that were never submitted.
    """
    left = sorted(refused.items(), reverse=True)
    results = iter(artifacts)
    result = next(results, None)
    for index, (number, inputs) in enumerate(rows):
        while left and left[-1][0] < number:
            yield _refused(*left.pop())
        while result is not None and result["line_number"] < index:
            result = next(results, None)
        if number < 0:
            continue
        found = result if result is not None and result["line_number"] == index else None
        yield _record(number, inputs, found["run_info"] if found is not None else None)
    while left:
        yield _refused(*left.pop())


def _refused(number: int, reason: str) -> LineRecord:
    return LineRecord(line=number, status=LineStatus.FAILED, inputs={}, error=reason)


def _record(number: int, inputs: Mapping[str, Any], info: Mapping[str, Any] | None) -> LineRecord:
    if info is None:
        return LineRecord(line=number, status=LineStatus.FAILED, inputs=inputs, error=NO_RECORD)
    used = info.get("system_metrics") or {}
    measured: dict[str, Any] = {
        "line": number,
        "inputs": inputs,
        "latency_ms": max(0.0, float(used.get("duration") or 0.0)) * 1000,
        "tokens": Tokens(prompt=_count(used, "prompt_tokens"), completion=_count(used, "completion_tokens")),
        "model_calls": sum(map(model_calls, info.get("api_calls") or ())),
    }
    if info.get("status") != "Completed":
        return LineRecord(status=LineStatus.FAILED, error=message_of(info.get("error")), **measured)
    output = info.get("output")
    outputs = dict(output) if isinstance(output, Mapping) else {"output": output}
    outputs.pop("line_number", None)
    kept = _kept(outputs.pop(HIDDEN, None))
    return LineRecord(status=LineStatus.COMPLETED, outputs=outputs, **measured, **kept)


def _count(used: Mapping[str, Any], key: str) -> int:
    value = used.get(key)
    return max(0, int(value)) if isinstance(value, int | float) else 0


def _kept(text: object) -> dict[str, Any]:
    """What the aggregation reads of the line: `aggregated`, or `is_tied` where it has no JSON form."""
    if not isinstance(text, str) or not text:
        return {}
    content = json.loads(text)
    return {"aggregated": content["aggregated"]} if "aggregated" in content else {"is_tied": True}


def model_calls(trace: Mapping[str, Any]) -> int:
    """Calls of models in a trace: what a call makes inside of itself is that call."""
    inside = sum(model_calls(child) for child in trace.get("children") or ())
    return inside or int(trace.get("type") in _CALLS)


def message_of(error: object) -> str:
    """The message of prompt flow's error document, as the engines word it: without traceback and reference."""
    content = error if isinstance(error, Mapping) else {}
    text = str(content.get("message") or "").strip()
    of_entry = _OF_ENTRY.fullmatch(text)
    if of_entry is not None:
        told = of_entry[2] if of_entry[1] in _SPEAK_FOR_THEMSELVES else f"{of_entry[1]}: {of_entry[2]}"
        return told[:_LONGEST_ERROR]
    text = " ".join(text.split()).partition(" [Error reference:")[0]
    return (text or str(content.get("code") or "The line did not complete and the engine gives no reason."))[
        :_LONGEST_ERROR
    ]
