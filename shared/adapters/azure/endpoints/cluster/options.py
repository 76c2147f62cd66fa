"""Options of a cluster: an entry under `kubernetes_cluster` in `configs/deployment_config.json`, checked."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from shared.errors import BusinessFailure
from shared.use_case.problems import one_of

KIND: Final = "kubernetes_cluster"
COMMON: Final = frozenset(
    {"ENV_NAME", "ENDPOINT_NAME", "ENDPOINT_DESC", "TEST_FILE_PATH", "ENVIRONMENT_VARIABLES"}
    | {"CURRENT_DEPLOYMENT_NAME", "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION", "PRIOR_DEPLOYMENT_TRAFFIC_ALLOCATION"}
)
"""Keys of every kind of target, which are read elsewhere or by the template alone."""
_QUANTITY: Final = r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?"
_NAME: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HTTPS: Final = r"https://[^\s/?#@]+(/[^\s?#]*)?"


@dataclass(frozen=True)
class ClusterOptions:
    """Where the cluster is, and what a deployment takes of it."""

    cluster_url: str
    """The API server; one of those that the setting GENAIOPS_CLUSTERS lists."""
    gateway: str
    """Gateway (gateway.networking.k8s.io) to which endpoints attach their routes."""
    public_url: str
    """Where that gateway is reached; an endpoint's address is `<public_url>/<endpoint>/score`."""
    cluster_ca: str | None = None
    """The API server's certificate authority as PEM; None: one that the machine trusts."""
    namespace: str = "genaiops"
    gateway_namespace: str | None = None
    """None: the namespace itself."""
    hostname: str | None = None
    """Host name that the route is for; None: every one."""
    secret: str | None = None
    """Secret with the connections and variables that the served flow reads; None: `<endpoint>-settings`."""
    service_account: str | None = None
    """With workload identity, where the flow signs in by itself."""
    replicas: int = 1
    max_replicas: int = 1
    """Above `replicas`, a HorizontalPodAutoscaler adds pods."""
    cpu_utilization: int = 70
    """Percent of the requested CPU, on average over pods, that the autoscaler aims at."""
    cpu_request: str = "250m"
    cpu_limit: str | None = None
    memory_request: str = "512Mi"
    memory_limit: str = "1Gi"
    request_timeout_s: int = 60


_TEXTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "CLUSTER_URL": ("cluster_url", _HTTPS, "the API server's address, https://…"),
    "GATEWAY_NAME": ("gateway", _NAME, "the name of a Gateway"),
    "PUBLIC_URL": ("public_url", _HTTPS, "the address at which the gateway is reached, https://…"),
    "NAMESPACE": ("namespace", _NAME, "a namespace"),
    "GATEWAY_NAMESPACE": ("gateway_namespace", _NAME, "a namespace"),
    "HOSTNAME": ("hostname", r"[a-z0-9.*-]{1,253}", "a host name"),
    "SECRET_NAME": ("secret", _NAME, "the name of a Secret"),
    "SERVICE_ACCOUNT": ("service_account", _NAME, "the name of a ServiceAccount"),
    "CPU_REQUEST": ("cpu_request", _QUANTITY, "a quantity such as 250m"),
    "CPU_LIMIT": ("cpu_limit", _QUANTITY, "a quantity such as 2"),
    "MEMORY_REQUEST": ("memory_request", _QUANTITY, "a quantity such as 512Mi"),
    "MEMORY_LIMIT": ("memory_limit", _QUANTITY, "a quantity such as 2Gi"),
}
_NUMBERS: Final[Mapping[str, tuple[str, int, int]]] = {
    "REPLICAS": ("replicas", 1, 1_000),
    "MAX_REPLICAS": ("max_replicas", 1, 1_000),
    "CPU_UTILIZATION": ("cpu_utilization", 1, 100),
    "REQUEST_TIMEOUT_S": ("request_timeout_s", 1, 3_600),
}
_CA: Final = "CLUSTER_CA"
_NEEDED: Final = ("CLUSTER_URL", "GATEWAY_NAME", "PUBLIC_URL")


def read(entry: Mapping[str, object]) -> ClusterOptions:
    """The options of an entry.

    Raises:
        BusinessFailure: listing everything that is missing, wrong or unknown.
    """
    wrong: list[str] = []
    found: dict[str, object] = {}
    known = {*_TEXTS, *_NUMBERS, _CA, *COMMON}
    wrong += [one_of(key, known, "option of a cluster") for key in entry if key not in known]
    wrong += [f"{key} is missing; it must be {_TEXTS[key][2]}" for key in _NEEDED if entry.get(key) in (None, "")]
    for key, (name, pattern, meaning) in _TEXTS.items():
        value = entry.get(key)
        if value in (None, ""):
            continue
        if isinstance(value, str | int) and re.fullmatch(pattern, str(value)):
            found[name] = str(value).rstrip("/") if name.endswith("_url") else str(value)
        else:
            wrong.append(f"{key} is {value!r}; it must be {meaning}")
    for key, (name, low, high) in _NUMBERS.items():
        value = entry.get(key)
        if value in (None, ""):
            continue
        text = str(value)
        if isinstance(value, str | int) and text.isascii() and text.isdigit() and low <= int(text) <= high:
            found[name] = int(text)
        else:
            wrong.append(f"{key} is {value!r}; it must be a whole number from {low} to {high:,}")
    if entry.get(_CA):
        found["cluster_ca"] = _pem(entry[_CA], wrong)
    if wrong:
        listed = "\n  ".join(wrong)
        raise BusinessFailure(f"configs/deployment_config.json, {KIND}:\n  {listed}")
    options = ClusterOptions(**found)  # type: ignore[arg-type]  # each was checked above
    return replace(options, max_replicas=max(options.max_replicas, options.replicas))


def _pem(value: object, wrong: list[str]) -> str | None:
    """As kubeconfig files hold it: PEM in base64."""
    try:
        text = base64.b64decode(str(value), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if "BEGIN CERTIFICATE" in text:
        return text
    wrong.append(f"{_CA} must be the certificate authority as kubeconfig files have it: PEM in base64")
    return None
