"""Manifests of a served flow: Deployment, Service and HorizontalPodAutoscaler a version, an HTTPRoute an endpoint.

Pure. The route splits the traffic by weights, and sends requests with the header of a deployment to that one alone. It
is written anew as a whole at every change, from the deployments that there are and the split that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.adapters.azure.endpoints.cluster.options import ClusterOptions

ENDPOINT_LABEL: Final = "genaiops.dev/endpoint"
DEPLOYMENT_LABEL: Final = "genaiops.dev/deployment"
TAGS: Final = "genaiops.dev/tags"
"""Annotation of a Deployment: its tags as JSON, for labels take no free text."""
FORMER: Final = "genaiops.dev/former-traffic"
"""Annotation of an HTTPRoute: the split before the last change, which holds until the gateway has taken that up."""
HEADER: Final = "azureml-model-deployment"
"""As Azure ML's endpoints have it, so that clients need not know what serves them."""
PORT: Final = 8080
_UID: Final = 10001
"""Of the image's user: see shared/adapters/serving/Dockerfile."""
_GATEWAY_API: Final = "gateway.networking.k8s.io/v1"


def object_name(endpoint: str, deployment: str) -> str:
    """Name of a deployment's objects."""
    return f"{endpoint}-{deployment}"


def deployment_manifests(
    endpoint: str,
    deployment: str,
    image: str,
    options: ClusterOptions,
    *,
    tags: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Service, HorizontalPodAutoscaler (where pods may be added) and, last, Deployment of one version.

    Args:
        endpoint: its name.
        deployment: its name in the endpoint.
        image: reference of an image of a served flow.
        options: of the cluster.
        tags: of the deployment, any text.
        variables: of the container, in clear: those with secrets come from the Secret.
    """
    name = object_name(endpoint, deployment)
    labels = {ENDPOINT_LABEL: endpoint, DEPLOYMENT_LABEL: deployment}
    metadata = {"name": name, "namespace": options.namespace, "labels": labels}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
    }
    scaled = options.max_replicas > options.replicas
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "annotations": {TAGS: json.dumps(dict(tags or {}), sort_keys=True)}},
        "spec": {
            # The autoscaler's business where there is one: a number here would undo its work at every apply.
            **({} if scaled else {"replicas": options.replicas}),
            "selector": {"matchLabels": labels},
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(endpoint, deployment, image, options, variables)},
        },
    }
    return [service, *([_autoscaler(metadata, options)] if scaled else []), workload]


def _pod(
    endpoint: str, deployment: str, image: str, options: ClusterOptions, variables: Mapping[str, str] | None
) -> dict[str, Any]:
    given = {**(variables or {}), "GENAIOPS_DEPLOYMENT": deployment, "PORT": str(PORT)}
    limits = {"memory": options.memory_limit, **({"cpu": options.cpu_limit} if options.cpu_limit else {})}
    container = {
        "name": "served-flow",
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": [{"name": name, "value": value} for name, value in sorted(given.items())],
        "envFrom": [{"secretRef": {"name": options.secret or f"{endpoint}-settings", "optional": True}}],
        "resources": {"requests": {"cpu": options.cpu_request, "memory": options.memory_request}, "limits": limits},
        # Flows take seconds to load; only then does the other probe count.
        "startupProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 5},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod's own
    }
    return {
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": options.service_account is not None,
        **({"serviceAccountName": options.service_account} if options.service_account else {}),
        "terminationGracePeriodSeconds": options.request_timeout_s + 10,
    }


def _autoscaler(metadata: Mapping[str, Any], options: ClusterOptions) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": options.cpu_utilization}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]},
            "minReplicas": options.replicas,
            "maxReplicas": options.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def route(
    endpoint: str,
    deployments: Iterable[str],
    split: Mapping[str, int],
    options: ClusterOptions,
    *,
    former: Mapping[str, int] | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """The endpoint's HTTPRoute.

    Args:
        endpoint: its name, and the first part of its path.
        deployments: all that there are; each is reached by the header.
        split: deployment → percent.
        options: of the cluster.
        former: the split that holds until the gateway has taken this one up.
        version: `resourceVersion` that the route must still have; None: it is not there, or may have any.
    """
    names = sorted(deployments)
    path = {"path": {"type": "PathPrefix", "value": f"/{endpoint}"}}
    rewrite = {
        "type": "URLRewrite",
        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
    }
    timeouts = {"request": f"{options.request_timeout_s}s"}

    def rule(match: Mapping[str, Any], shares: Mapping[str, int]) -> dict[str, Any]:
        backends = [
            {"name": object_name(endpoint, name), "port": 80, "weight": weight} for name, weight in shares.items()
        ]
        return {"matches": [match], "filters": [rewrite], "backendRefs": backends, "timeouts": timeouts}

    by_header = [
        rule({**path, "headers": [{"type": "Exact", "name": HEADER, "value": name}]}, {name: 1}) for name in names
    ]
    parent = {"name": options.gateway, "namespace": options.gateway_namespace or options.namespace}
    return {
        "apiVersion": _GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {
            "name": endpoint,
            "namespace": options.namespace,
            "labels": {ENDPOINT_LABEL: endpoint},
            "annotations": {FORMER: json.dumps(dict(former or {}), sort_keys=True)},
            **({"resourceVersion": version} if version else {}),
        },
        "spec": {
            "parentRefs": [parent],
            **({"hostnames": [options.hostname]} if options.hostname else {}),
            # A deployment without a share stays named: the weights say what there is.
            "rules": [*by_header, rule(path, {name: split.get(name, 0) for name in names})],
        },
    }
