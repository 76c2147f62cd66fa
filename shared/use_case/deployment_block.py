"""The block `deployment` of `experiment.yaml`: where the flow is deployed, and how it is tested there.

It is checked against what the flow takes and gives.
"""

from __future__ import annotations

from dataclasses import replace

from shared.use_case.block import Block
from shared.use_case.deployment_config import FILE, DeploymentConfig, endpoint_of
from shared.use_case.flow_model import FlowFacts
from shared.use_case.model import Deployment, DeploymentTarget
from shared.use_case.problems import one_of
from shared.use_case.sample_request import sample_request
from shared.use_case.variables import variables_block

_KEYS = frozenset(
    {"endpoint", "traffic", "after_ci", "sample_request", "expected_outputs", "max_latency_ms", "test_calls"}
    | {"environment_variables", "target"}
)


def deployment(holder: Block, facts: FlowFacts | None, use_case: str, environment: str) -> Deployment | None:
    """The block, with the targets of `configs/deployment_config.json`; without a block, that file alone.

    Args:
        holder: the file whose `deployment` counts; an empty one says that there is none, an absent one says nothing.
        facts: the standard flow.
        use_case: its name, which is the endpoint's where none is given.
        environment: whose entries of the file count.
    """
    config = DeploymentConfig(holder.folder, environment, holder.problems)
    if "deployment" not in holder:
        return config.deployment(facts, use_case)
    block = holder.child("deployment")
    if block.value is None or block.mapping(_KEYS) is None:
        return None
    target = _target(block, config.targets, environment)
    return replace(_written(block, facts, use_case), targets=config.targets, target=target)


def _target(block: Block, targets: tuple[DeploymentTarget, ...], environment: str) -> DeploymentTarget | None:
    """The target that `target` names by its kind; where it names none, the first."""
    kind = block.text("target")
    if kind is None:
        return targets[0] if targets else None
    chosen = next((target for target in targets if target.kind == kind), None)
    if chosen is None:
        kinds = [target.kind for target in targets]
        block.problem(one_of(kind, kinds, f"target of the environment {environment!r} in {FILE}"), "target")
    return chosen


def _written(block: Block, facts: FlowFacts | None, use_case: str) -> Deployment:
    default = Deployment(endpoint=block.name("endpoint", required=False) or endpoint_of(use_case))
    traffic = block.integer("traffic", 0, 100)
    expected = block.texts("expected_outputs")
    for index, output in enumerate(expected):
        if facts is not None and output not in facts.outputs and not facts.gives_any_output:
            block.problem(one_of(output, facts.outputs, "output of the flow"), "expected_outputs", index)
    return Deployment(
        endpoint=default.endpoint,
        traffic=default.traffic if traffic is None else traffic,
        after_ci=block.flag("after_ci"),
        sample_request=sample_request(block, "sample_request", facts, block.problem),
        expected_outputs=expected,
        max_latency_ms=block.number("max_latency_ms", 1),
        test_calls=block.integer("test_calls", 1, 1_000) or default.test_calls,
        environment_variables=variables_block(block.child("environment_variables")),
    )
