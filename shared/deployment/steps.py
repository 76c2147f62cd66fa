"""From a registered flow to a tested endpoint: deploy at 0 %, test directly, shift traffic, test through it, roll back.

What is deployed is the registered version (its bundle, variants and parameters are its tags), named by version and
content hash, so that every step can be repeated. Nothing waits: while a deployment is being created, or comes back
because its host was restarted, or the platform takes its time over a split or a deletion, the command comes back later.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, assert_never

from shared import model_connections
from shared.answers import LookAgain, answer_to
from shared.chain.messages import (
    Answer,
    Deploy,
    DeploymentFailed,
    DeploymentReady,
    EndpointTested,
    IntegrationTested,
    RemoveIdle,
    RollBack,
    RunEndpointTest,
    RunIntegrationTest,
    ShiftTraffic,
    TrafficShifted,
)
from shared.chain.state import Chain
from shared.deployment import stages
from shared.deployment.registered import CHAIN_TAG, deployed, deployment_name, holds, look, registered, settings_of
from shared.deployment.traffic import shifted
from shared.deployment.withdraw import remove_idle, roll_back
from shared.errors import BusinessFailure
from shared.ports import DeploymentSpec, DeploymentState, Invocation, Ports
from shared.redaction import Redaction
from shared.registration.register import FLOW_DIGEST, PARAMETERS, VARIANTS
from shared.use_case.model import Deployment, UseCase
from shared.use_case.opened import outputs_of

SHOWN: Final = 300
"""Characters of an unexpected answer that a reason repeats."""

DeploymentCommand = Deploy | RunEndpointTest | ShiftTraffic | RunIntegrationTest | RemoveIdle | RollBack


def perform(ports: Ports, chain: Chain, command: DeploymentCommand) -> Answer | LookAgain:
    """Perform one step of a deployment."""
    match command:
        case Deploy():
            return deploy(ports, chain, command)
        case RunEndpointTest():
            record, settings, use_case = deployed(ports, chain)
            if _is_coming_back(ports, record.endpoint, [record.deployment]):
                return LookAgain(ports.settings.look_seconds)
            passed, detail = call(ports, settings, use_case, record.endpoint, record.deployment)
            return EndpointTested(**answer_to(ports, command), passed=passed, detail=detail)
        case ShiftTraffic():
            record, settings, _ = deployed(ports, chain)
            asked = chain.request.traffic
            percent = settings.traffic if asked is None else asked
            now = ports.endpoints.describe(record.endpoint).traffic
            traffic = shifted(now, record.deployment, percent, exactly=asked is not None)
            if not holds(ports, record.endpoint, traffic):
                return LookAgain(ports.settings.look_seconds)
            return TrafficShifted(**answer_to(ports, command), traffic=traffic)
        case RunIntegrationTest():
            record, settings, use_case = deployed(ports, chain)
            if _is_coming_back(ports, record.endpoint, record.traffic or {}):
                return LookAgain(ports.settings.look_seconds)
            passed, detail = call_through_split(ports, settings, use_case, record.endpoint)
            if passed:
                stages.promote(ports, chain, record.endpoint)
            return IntegrationTested(**answer_to(ports, command), passed=passed, detail=detail)
        case RemoveIdle():
            return remove_idle(ports, chain, command)
        case RollBack():
            return roll_back(ports, chain, command)
        case _:
            assert_never(command)


def deploy(ports: Ports, chain: Chain, command: Deploy) -> Answer | LookAgain:
    """Begin the deployment, or look at it again."""
    asset, use_case = registered(ports, chain)
    settings = settings_of(use_case)
    name = deployment_name(asset)
    info = look(ports, settings.endpoint, name) if command.look else None
    if info is None:
        resolved = model_connections.resolved(ports.settings, use_case.connections)
        environment = model_connections.served_variables(use_case)
        model_connections.filled_in(ports.settings, environment)  # what is not set fails here, and not in a start later
        info = ports.endpoints.deploy(
            DeploymentSpec(
                endpoint=settings.endpoint,
                name=name,
                flow=use_case.flow,
                flow_digest=asset.tags[FLOW_DIGEST],
                flow_version=asset.version,
                variants=json.loads(asset.tags[VARIANTS]),
                parameters=json.loads(asset.tags[PARAMETERS]),
                connections=resolved,
                connection_specs=use_case.connections,
                environment=environment,
                flow_file=use_case.flow_file,
                package=use_case.name,
                root=use_case.folder,
                target=settings.target,
                tags={CHAIN_TAG: chain.id, "content_hash": asset.content_hash, "version": asset.version},
            )
        )
    match info.state:
        case DeploymentState.CREATING:
            return LookAgain(ports.settings.look_seconds)
        case DeploymentState.FAILED:
            if info.tags.get(CHAIN_TAG) == chain.id:
                ports.endpoints.remove(settings.endpoint, name)
            return DeploymentFailed(**answer_to(ports, command), reason=info.reason or "no reason was given")
        case DeploymentState.READY:
            return DeploymentReady(
                **answer_to(ports, command),
                endpoint=settings.endpoint,
                deployment=name,
                created=info.tags.get(CHAIN_TAG) == chain.id,
                traffic_before=dict(ports.endpoints.describe(settings.endpoint).traffic),
            )
        case _:
            assert_never(info.state)


def call(
    ports: Ports, settings: Deployment, use_case: UseCase, endpoint: str, deployment: str | None
) -> tuple[bool, str]:
    """Score the sample request once: whether the answer is as expected, and a sentence about it."""
    answer = ports.endpoints.invoke(endpoint, sample_request(settings), deployment)
    problem = _problem(answer, settings, use_case, _redaction(ports, use_case))
    if problem:
        return False, f"{answer.deployment} {problem}"
    return True, f"{answer.deployment} answered {answer.status} in {answer.latency_ms:.0f} ms"


def call_through_split(ports: Ports, settings: Deployment, use_case: UseCase, endpoint: str) -> tuple[bool, str]:
    """Score the sample request `test_calls` times as users do; the sentence counts who answered."""
    answered: Counter[str] = Counter()
    redaction = _redaction(ports, use_case)
    for number in range(1, settings.test_calls + 1):
        answer = ports.endpoints.invoke(endpoint, sample_request(settings))
        problem = _problem(answer, settings, use_case, redaction)
        if problem:
            return False, f"call {number} of {settings.test_calls}: {answer.deployment} {problem}"
        answered[answer.deployment] += 1
    counts = ", ".join(f"{name} {count}" for name, count in sorted(answered.items()))
    return True, f"{settings.test_calls} calls answered as expected ({counts})"


def sample_request(settings: Deployment) -> dict[str, Any]:
    """The body of the tests' calls. Raises BusinessFailure where the use case has none, or it is no JSON object."""
    if settings.sample_request is None:
        raise BusinessFailure("experiment.yaml: deployment.sample_request is missing: name the JSON body of a request.")
    try:
        content = json.loads(settings.sample_request.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BusinessFailure(
            f"{settings.sample_request.name}: the sample request is not readable JSON: {error}"
        ) from error
    if not isinstance(content, dict):
        raise BusinessFailure(
            f"{settings.sample_request.name}: the sample request must be a JSON object of flow inputs."
        )
    return content


def _problem(answer: Invocation, settings: Deployment, use_case: UseCase, redaction: Redaction) -> str:
    """What is wrong with an answer; empty if nothing is. A served flow may repeat a key: it is taken out."""
    shown = redaction(answer.body.decode("utf-8", "replace"))[:SHOWN]
    if answer.status != 200:
        return f"answered {answer.status}: {shown}"
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return f"answered no JSON: {shown}"
    expected = settings.expected_outputs or outputs_of(use_case.flow, use_case.flow_file)
    missing = [key for key in expected if not isinstance(content, dict) or key not in content]
    if missing:
        return f"answered without {', '.join(missing)}: {shown}"
    if settings.max_latency_ms is not None and answer.latency_ms > settings.max_latency_ms:
        return f"took {answer.latency_ms:.0f} ms; at most {settings.max_latency_ms:g} ms are allowed"
    return ""


def _redaction(ports: Ports, use_case: UseCase) -> Redaction:
    variables = model_connections.filled_in(ports.settings, model_connections.served_variables(use_case))
    return Redaction(model_connections.resolved(ports.settings, use_case.connections).values(), variables)


def _is_coming_back(ports: Ports, endpoint: str, deployments: Iterable[str]) -> bool:
    """Whether one of them is on its way up again. It was ready when the test was ordered, but its host may have been
    restarted since: that is no reason to fail the test, and with it the chain.
    """
    found = [look(ports, endpoint, name) for name in deployments]
    return any(info is not None and info.state is DeploymentState.CREATING for info in found)
