"""The block `deployment` of `experiment.yaml`: where the flow is deployed, and how it is tested there.

It is checked against what the flow takes and gives.
"""

from __future__ import annotations

import json
from typing import Any

from shared.use_case.block import Block
from shared.use_case.flow_facts import FlowFacts
from shared.use_case.model import Deployment
from shared.use_case.problems import one_of
from shared.use_case.sources import file_in, is_inside


def deployment(block: Block, facts: FlowFacts | None, use_case: str) -> Deployment | None:
    """`deployment`: where to, and how it is tested there."""
    keys = {"endpoint", "traffic", "after_ci", "sample_request", "expected_outputs", "max_latency_ms", "test_calls"}
    if block.value is None or block.mapping(keys) is None:
        return None
    default = Deployment(endpoint=block.name("endpoint", required=False) or use_case.replace("_", "-"))
    traffic = block.integer("traffic", 0, 100)
    expected = block.texts("expected_outputs")
    for index, output in enumerate(expected):
        if facts is not None and output not in facts.outputs:
            block.problem(one_of(output, facts.outputs, "output of the flow"), "expected_outputs", index)
    return Deployment(
        endpoint=default.endpoint,
        traffic=default.traffic if traffic is None else traffic,
        after_ci=block.flag("after_ci"),
        sample_request=_sample_request(block, facts),
        expected_outputs=expected,
        max_latency_ms=block.number("max_latency_ms", 1),
        test_calls=block.integer("test_calls", 1, 1_000) or default.test_calls,
    )


def _sample_request(block: Block, facts: FlowFacts | None) -> Any:
    key = "sample_request"
    written = block.text(key)
    if written is None:
        if block.child(key).value is None:
            block.problem("is missing; expected a JSON file of inputs, with which the endpoint is tested", key)
        return None
    folder = block.folder
    path = file_in(folder, written)
    if path is None:
        outside = "" if is_inside(written) else " (a path inside the use case folder, without `..`)"
        block.problem(f"there is no file {written!r}; expected a JSON file{outside}", key)
        return None
    try:
        body = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        block.problem(f"{written!r} is not valid JSON: {error}"[:300], key)
        return path
    if not isinstance(body, dict):
        block.problem(f"{written!r} must hold one JSON object: the flow's inputs", key)
    elif facts is not None:
        for name, spec in facts.inputs.items():
            if spec.required and name not in body:
                block.problem(f"{written!r} lacks the flow's input {name!r}", key)
        for name in body:
            if name not in facts.inputs:
                block.problem(f"{written!r}: " + one_of(name, facts.inputs, "input of the flow"), key)
    return path
