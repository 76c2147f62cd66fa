"""Reads which pipeline task waits from a message's application properties, or from an environment check's headers.

The message may be forged: its address must be one that the settings allow, for the service is called there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from shared.errors import Malformed
from shared.ports import PipelineTask, Ports

_FIELDS: Final = {
    "PlanUrl": "plan_url",
    "ProjectId": "project",
    "HubName": "hub",
    "PlanId": "plan",
    "JobId": "job",
    "TimelineId": "timeline",
    "TaskInstanceId": "instance",
    "AuthToken": "token",
}
"""Property → field. Source: the task's documentation,
https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/publish-to-azure-service-bus-v2."""
_ID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HUB: Final = re.compile(r"[A-Za-z]{1,40}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16000}")
_LONGEST_ADDRESS: Final = 500


def task_of(ports: Ports, properties: Mapping[str, str]) -> PipelineTask | None:
    """The task that waits; None where the message speaks of none (a task without `waitForCompletion`, a person).

    Raises:
        Malformed: some of the properties are missing or wrong, or the address is none that the settings allow. The text
            never holds the token.
    """
    given = {name.lower(): value for name, value in properties.items()}
    values = {name: given.get(name.lower(), "") for name in _FIELDS}
    if not values["PlanUrl"] and not values["AuthToken"]:
        return None
    wrong = [name for name, value in values.items() if not _is_right(name, value)]
    if wrong:
        raise Malformed(
            f"The message names a pipeline task that waits, but its properties {', '.join(wrong)} are missing or not "
            "what Azure Pipelines sends; expected are PlanUrl, HubName, AuthToken, and ids as GUIDs. Publish it by "
            "PublishToAzureServiceBus@2 with waitForCompletion, or without any of these properties."
        )
    if why := ports.pipelines.refusal(values["PlanUrl"]):
        raise Malformed(why)
    return PipelineTask(**{field: values[name] for name, field in _FIELDS.items()})


def _is_right(name: str, value: str) -> bool:
    match name:
        case "PlanUrl":
            return 0 < len(value) <= _LONGEST_ADDRESS
        case "HubName":
            return _HUB.fullmatch(value) is not None
        case "AuthToken":
            return _TOKEN.fullmatch(value) is not None
        case _:
            return _ID.fullmatch(value) is not None
