"""Options of Azure ML's online endpoints, from `configs/deployment_config.json`, checked before anything is made.

The keys of microsoft/genaiops-promptflow-template keep their meaning; the others stand beside them in the same style.
An empty text counts as left out, as in that template's samples. docs/reference/deployment-config.md lists them all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared.errors import BusinessFailure
from shared.use_case.problems import one_of

MANAGED: Final = "azure_managed_endpoint"
KUBERNETES: Final = "kubernetes_endpoint"
ELSEWHERE: Final = frozenset(
    {"ENV_NAME", "TEST_FILE_PATH", "ENDPOINT_NAME", "ENVIRONMENT_VARIABLES", "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION"}
    | {"CURRENT_DEPLOYMENT_NAME", "PRIOR_DEPLOYMENT_NAME", "PRIOR_DEPLOYMENT_TRAFFIC_ALLOCATION"}
    | {"DEPLOYMENT_CONDA_PATH", "DEPLOYMENT_BASE_IMAGE_NAME", "CONNECTION_NAMES"}
)
"""Keys that are read elsewhere, or that name what this product finds by itself (deployments are named by content)."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_IDENTITY: Final = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[^/]+",
    re.IGNORECASE,
)


def check_name(name: str, what: str) -> None:
    """Raise BusinessFailure unless Azure ML takes it as the name of an endpoint or a deployment.

    https://learn.microsoft.com/azure/machine-learning/how-to-deploy-online-endpoints (naming rules).
    """
    if not _NAME.fullmatch(name):
        raise BusinessFailure(
            f"Azure ML takes no {what} of the name {name!r}: it must have 3 to 32 of the characters A-Z a-z 0-9 -, "
            "begin with a letter and end with a letter or a digit."
            + (" Set deployment.endpoint in experiment.yaml." if what == "endpoint" else "")
        )


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: value for key, value in values.items() if value not in ("", None)}


class Autoscale(_Options):
    """Between how many instances the platform scales, and by what."""

    min_instances: int = Field(alias="MIN_INSTANCES", ge=1, le=100)
    max_instances: int = Field(alias="MAX_INSTANCES", ge=1, le=100)
    target_utilization: int = Field(default=70, alias="TARGET_UTILIZATION", ge=1, le=100)
    """Percent of the processors; on Kubernetes of the requests that an instance takes at once."""
    polling_interval_s: int = Field(default=10, alias="POLLING_INTERVAL_S", ge=1, le=3600)
    """Kubernetes alone; Azure Monitor looks every five minutes."""

    @model_validator(mode="after")
    def _ordered(self) -> Autoscale:
        if self.max_instances < self.min_instances:
            raise ValueError("MAX_INSTANCES is smaller than MIN_INSTANCES")
        return self


class RequestSettings(_Options):
    """How long and how many requests an instance takes."""

    timeout_ms: int = Field(default=90_000, alias="TIMEOUT_MS", ge=1, le=180_000)
    max_concurrent_requests: int = Field(default=8, alias="MAX_CONCURRENT_REQUESTS_PER_INSTANCE", ge=1, le=1_000)
    max_queue_wait_ms: int = Field(default=500, alias="MAX_QUEUE_WAIT_MS", ge=0, le=180_000)


class Probe(_Options):
    """When an instance counts as alive, or as ready."""

    initial_delay_s: int = Field(default=10, alias="INITIAL_DELAY_S", ge=1, le=3_600)
    period_s: int = Field(default=10, alias="PERIOD_S", ge=1, le=3_600)
    timeout_s: int = Field(default=5, alias="TIMEOUT_S", ge=1, le=3_600)
    success_threshold: int = Field(default=1, alias="SUCCESS_THRESHOLD", ge=1)
    failure_threshold: int = Field(default=30, alias="FAILURE_THRESHOLD", ge=1)


class DataCollection(_Options):
    """Requests and answers that Azure ML keeps in the workspace's blob store."""

    sampling_rate: float = Field(default=1.0, alias="SAMPLING_RATE", gt=0, le=1)
    rolling_rate: Literal["Minute", "Hour", "Day"] = Field(default="Hour", alias="ROLLING_RATE")


class OnlineOptions(_Options):
    """Options of both kinds."""

    endpoint_description: str = Field(default="", alias="ENDPOINT_DESC")
    description: str = Field(default="", alias="DEPLOYMENT_DESC")
    auth_mode: Literal["aad_token", "aml_token", "key"] = Field(default="aad_token", alias="AUTH_MODE")
    identity: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(default=(), alias="IDENTITY")
    """Ids of user-assigned identities of the endpoint; none: it has a system-assigned one."""
    instance_count: int = Field(default=1, alias="DEPLOYMENT_INSTANCE_COUNT", ge=1, le=100)
    autoscale: Autoscale | None = Field(default=None, alias="AUTOSCALE")
    requests: RequestSettings = Field(default_factory=RequestSettings, alias="REQUEST_SETTINGS")
    liveness: Probe = Field(default_factory=Probe, alias="LIVENESS_PROBE")
    readiness: Probe = Field(default_factory=Probe, alias="READINESS_PROBE")
    data_collection: DataCollection | None = Field(default=None, alias="DATA_COLLECTION")
    application_insights: bool = Field(default=True, alias="APPLICATION_INSIGHTS")

    @model_validator(mode="after")
    def _identities(self) -> OnlineOptions:
        for identity in self.identity:
            if not _IDENTITY.fullmatch(identity):
                raise ValueError(f"IDENTITY: {identity!r} is no resource id of a user-assigned managed identity")
        return self


class ManagedOptions(OnlineOptions):
    """Options of `azure_managed_endpoint`."""

    instance_type: str = Field(default="Standard_DS3_v2", alias="DEPLOYMENT_VM_SIZE", pattern="^[A-Za-z0-9_]+$")
    public_network_access: Literal["enabled", "disabled"] = Field(default="enabled", alias="PUBLIC_NETWORK_ACCESS")


class KubernetesOptions(OnlineOptions):
    """Options of `kubernetes_endpoint`: a cluster that is attached to the workspace."""

    compute: str = Field(alias="COMPUTE_NAME", pattern="^[A-Za-z][A-Za-z0-9-]{1,31}$")
    """Name of the attached cluster in the workspace."""
    auth_mode: Literal["aml_token", "key"] = Field(default="aml_token", alias="AUTH_MODE")
    """Tokens of Entra ID are for managed endpoints alone:
    https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint."""
    instance_type: str = Field(default="", alias="DEPLOYMENT_VM_SIZE")
    """An `InstanceType` of the cluster, which is a custom resource there; empty: its default one."""
    cpu: str = Field(default="0.5", alias="CPU_ALLOCATION", pattern=r"^[0-9.]+m?$")
    memory: str = Field(default="1Gi", alias="MEMORY_ALLOCATION", pattern=r"^[0-9.]+(Ki|Mi|Gi|Ti|k|M|G|T)?$")
    cpu_limit: str | None = Field(default=None, alias="CPU_LIMIT", pattern=r"^[0-9.]+m?$")
    memory_limit: str | None = Field(default=None, alias="MEMORY_LIMIT", pattern=r"^[0-9.]+(Ki|Mi|Gi|Ti|k|M|G|T)?$")


def read_options(kind: str, written: Mapping[str, object]) -> ManagedOptions | KubernetesOptions:
    """The options of an entry. Raises BusinessFailure that lists every wrong one, with the nearest valid name."""
    model: type[ManagedOptions | KubernetesOptions] = ManagedOptions if kind == MANAGED else KubernetesOptions
    values = {key: value for key, value in written.items() if key not in ELSEWHERE}
    if values.get("DATA_COLLECTION") in (True, False):
        values["DATA_COLLECTION"] = {} if values["DATA_COLLECTION"] else None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        listed = "\n  ".join(_problem(each, model, kind) for each in error.errors())
        raise BusinessFailure(f"configs/deployment_config.json, {kind}:\n  {listed}") from None


def _problem(error: Any, model: type[BaseModel], kind: str) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        names = {str(field.alias) for field in model.model_fields.values()} | ELSEWHERE
        return one_of(place, names, f"option of {kind}")
    if error["type"] == "missing":
        return f"{place} is missing"
    shown = error["input"]
    if isinstance(shown, float) and not math.isfinite(shown):
        shown = str(shown)
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{place} is {shown!r}: {text}"[:400] if place else text[:400]
