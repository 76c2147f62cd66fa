"""Azure Monitor's autoscale of managed deployments, which Azure ML leaves to it: one setting each, by processors.

https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints. On Kubernetes the deployment itself says
how it scales, see `online_entities.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from shared.adapters.azure.arm import ResourceManager
from shared.adapters.azure.endpoints.online_options import Autoscale
from shared.errors import NotFound

API: Final = "2022-10-01"
ROLE: Final = "Monitoring Contributor"


def setting_id(deployment_id: str) -> str:
    """The setting of a deployment: in its resource group, named after it."""
    group, _, rest = deployment_id.partition("/providers/")
    parts = rest.split("/")
    digest = hashlib.sha256(deployment_id.lower().encode()).hexdigest()[:8]
    return f"{group}/providers/Microsoft.Insights/autoscaleSettings/genaiops-{parts[4]}-{parts[6]}-{digest}"


def ensure(manager: ResourceManager, deployment_id: str, location: str, scale: Autoscale) -> None:
    """Make the deployment scale as asked; what does so already is left alone."""
    path = setting_id(deployment_id)
    try:
        manager.request("GET", path, API, role=ROLE)
    except NotFound:
        manager.request("PUT", path, API, role=ROLE, body=setting(deployment_id, location, scale))


def forget(manager: ResourceManager, deployment_id: str) -> None:
    """Remove the setting; one that does not exist is no error."""
    try:
        manager.request("DELETE", setting_id(deployment_id), API, role=ROLE)
    except NotFound:
        return


def setting(deployment_id: str, location: str, scale: Autoscale) -> dict[str, Any]:
    """One more instance while processors are busier than the target, one less while they are half as busy."""
    number = {each: str(count) for each, count in (("minimum", scale.min_instances), ("maximum", scale.max_instances))}
    rules = [
        _rule(deployment_id, "GreaterThan", scale.target_utilization, "Increase"),
        _rule(deployment_id, "LessThan", scale.target_utilization / 2, "Decrease"),
    ]
    return {
        "location": location,
        "properties": {
            "enabled": True,
            "targetResourceUri": deployment_id,
            "profiles": [
                {"name": "genaiops", "capacity": {**number, "default": number["minimum"]}, "rules": rules},
            ],
        },
    }


def _rule(deployment_id: str, operator: str, threshold: float, direction: str) -> Mapping[str, Any]:
    return {
        "metricTrigger": {
            "metricName": "CpuUtilizationPercentage",
            "metricResourceUri": deployment_id,
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": "PT5M",
            "timeAggregation": "Average",
            "operator": operator,
            "threshold": threshold,
        },
        "scaleAction": {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": "PT5M"},
    }
