"""The cluster's objects, read as what an endpoint shows: deployments with their states, and the traffic. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.adapters.azure.endpoints.cluster.manifests import DEPLOYMENT_LABEL, FORMER, TAGS, object_name
from shared.adapters.azure.endpoints.target import SeenDeployment
from shared.ports import DeploymentState

Manifest = Mapping[str, Any]
_SHOWN: Final = 500


def deployment_of(workload: Manifest) -> str:
    """The deployment that a Deployment serves."""
    return str(workload["metadata"].get("labels", {}).get(DEPLOYMENT_LABEL, ""))


def tags_of(workload: Manifest) -> dict[str, str]:
    """The tags of a deployment; none where somebody else made it."""
    try:
        tags = json.loads(workload["metadata"].get("annotations", {}).get(TAGS, "{}"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {}


def seen(workload: Manifest, pods: Iterable[Manifest] = ()) -> SeenDeployment:
    """A deployment as its Deployment object and its pods show it.

    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status tells the conditions.
    """
    status = workload.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    observed = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 1)
    progressing, available = conditions.get("Progressing", {}), conditions.get("Available", {})
    state, reason = DeploymentState.CREATING, ""
    if observed and available.get("status") == "True" and status.get("updatedReplicas", 0) >= 1:
        state = DeploymentState.READY
    elif observed and progressing.get("status") == "False":
        state = DeploymentState.FAILED
        reason = f"{progressing.get('reason', 'Failed')}: {progressing.get('message', '')} {why(pods)}".strip()[:_SHOWN]
    return SeenDeployment(state, reason, tags_of(workload), is_leaving="deletionTimestamp" in workload["metadata"])


def why(pods: Iterable[Manifest]) -> str:
    """What keeps pods from being ready: the first container that says so."""
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses", []):
            for state in (container.get("state", {}), container.get("lastState", {})):
                told = state.get("waiting") or state.get("terminated")
                if told and told.get("reason") not in (None, "ContainerCreating", "Completed"):
                    return f"{told['reason']}: {told.get('message', 'see the log of its pods')}"
        for condition in (pod.get("status") or {}).get("conditions", []):
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}"
    return "Its pods run and are not ready: their log says why (a connection that the Secret lacks, for example)."


def written_split(route: Manifest, endpoint: str) -> dict[str, int]:
    """The split that the route asks for, without shares of 0."""
    prefix = object_name(endpoint, "")
    for rule in route["spec"].get("rules", []):
        if any(match.get("headers") for match in rule.get("matches", [])):
            continue
        backends = rule.get("backendRefs", [])
        return {
            each["name"].removeprefix(prefix): int(each.get("weight", 1)) for each in backends if each.get("weight", 1)
        }
    return {}


def routed_deployments(route: Manifest) -> frozenset[str]:
    """The deployments that are reached by the header."""
    return frozenset(
        header["value"]
        for rule in route["spec"].get("rules", [])
        for match in rule.get("matches", [])
        for header in match.get("headers", [])
    )


def former_split(route: Manifest) -> dict[str, int]:
    """The split before the last change."""
    try:
        split = json.loads(route["metadata"].get("annotations", {}).get(FORMER, "{}"))
    except ValueError:
        return {}
    return {str(name): int(share) for name, share in split.items() if share} if isinstance(split, dict) else {}


def is_taken_up(route: Manifest) -> bool | None:
    """Whether the gateway works by the route as it is written; None while it has not said so.

    https://gateway-api.sigs.k8s.io/guides/implementers/#standard-status-fields-and-conditions tells the conditions.
    """
    generation = route["metadata"].get("generation", 1)
    parents = (route.get("status") or {}).get("parents", [])
    answers = []
    for parent in parents:
        for condition in parent.get("conditions", []):
            if condition["type"] in ("Accepted", "ResolvedRefs"):
                if condition.get("observedGeneration", 0) < generation:
                    return None
                answers.append(condition["status"] == "True")
    return all(answers) if answers else None


def refusal(route: Manifest) -> str:
    """Why the gateway refuses the route."""
    for parent in (route.get("status") or {}).get("parents", []):
        for condition in parent.get("conditions", []):
            if condition["type"] in ("Accepted", "ResolvedRefs") and condition["status"] == "False":
                return f"{condition.get('reason', '')}: {condition.get('message', '')}"[:_SHOWN]
    return ""
