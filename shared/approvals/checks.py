"""Environment checks of Azure DevOps (`Invoke Azure Function`, callback mode): a stage waits for the approvers' word.

The check calls once and wants an answer within 3 seconds; here its task is recorded, and the notification function
completes it as soon as the approval is decided, or the chain ends without one. Source:
https://learn.microsoft.com/azure/devops/pipelines/process/invoke-checks
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from itertools import chain as joined
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared import chain_index, chain_store
from shared.chain.messages import ChainKind, problems
from shared.errors import Malformed, NotFound
from shared.names import ChainId, Name, chain_id
from shared.pages import page
from shared.pages.page import Page
from shared.pipeline_tasks import progress, properties, records
from shared.pipeline_tasks.records import WaitsFor

if TYPE_CHECKING:
    from shared.ports import PipelineTask, Ports

_LIMIT: Final = 64 * 1024
_LOOKED_THROUGH: Final = 1_000
"""Ended chains among which a build's chain is looked for; the open ones are all looked through."""
_READ: Final = 30
"""States that are read for it: the check waits for its answer."""

log = logging.getLogger("genaiops.approvals")


class _Asked(BaseModel):
    """Which chain the check is about: `chain`; or use case and kind, with the request's id or its build."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    chain: ChainId | None = None
    use_case: Name | None = None
    kind: ChainKind | None = None
    request_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    build: Annotated[str, Field(min_length=1, max_length=100)] | None = None


def register(ports: Ports, headers: Mapping[str, str], body: bytes) -> Page:
    """Let the check wait for a chain's approval.

    Args:
        ports: of this process.
        headers: of the request; by default a check names its task there.
        body: JSON that names the chain, and the task where the headers do not.
    """
    try:
        content = _content(body)
        named = {name: value for name, value in content.items() if isinstance(value, str)}
        task = _task(ports, {**named, **headers})
        chain = _chain(ports, content, task)
    except Malformed as error:
        return _said(400, error=str(error))
    except NotFound as error:
        return _said(404, error=str(error))
    waiting = records.open_task(ports, chain, task, waits_for=WaitsFor.APPROVAL)
    try:
        chain_store.load(ports.blobs, chain)
    except NotFound:
        log.info("%s: a check waits for its approval; the chain has not begun", chain)  # its first lines show progress
    else:
        log.info("%s: a check waits for its approval", chain)
        progress.ask(ports, chain, f"check/{waiting}")
    return _said(200, chain=chain)


def _task(ports: Ports, said: Mapping[str, str]) -> PipelineTask:
    task = properties.task_of(ports, said)
    if task is None:
        raise Malformed(
            "The check names no task. Choose Callback as its completion event and leave its headers as they are "
            "by default: PlanUrl, ProjectId, HubName, PlanId, JobId, TimelineId, TaskInstanceId, AuthToken."
        )
    return task


def _content(body: bytes) -> dict[str, Any]:
    if len(body) > _LIMIT:
        raise Malformed(f"The body has {len(body):,} bytes; at most {_LIMIT:,} are allowed.")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed('The body must be JSON that names a chain, such as {"chain": "<id>"}.') from error
    if not isinstance(content, dict):
        raise Malformed('The body must be a JSON object, such as {"chain": "<id>"}.')
    return content


def _chain(ports: Ports, content: Mapping[str, Any], task: PipelineTask) -> str:
    """The chain's id. Raises Malformed where none is named, NotFound where the build has none."""
    try:
        asked = _Asked.model_validate(content)
    except ValidationError as error:
        raise Malformed(f"The body does not name a chain: {problems(error)}.") from error
    if asked.chain is not None:
        chain_store.load(ports.blobs, asked.chain)  # raises NotFound
        return asked.chain
    if asked.use_case is None or asked.kind is None or (asked.request_id is None and asked.build is None):
        raise Malformed(
            "The body must name the chain: `chain`; or `use_case` and `kind` with `build`, the $(Build.BuildId) of the "
            "run that asked for it, or with `request_id`, as `submit --request-id` had it."
        )
    if asked.request_id is not None:
        return chain_id(asked.use_case, asked.kind, asked.request_id)
    assert asked.build is not None
    return _of_build(ports, asked.use_case, asked.kind, asked.build, task.project)


def _of_build(ports: Ports, use_case: str, kind: ChainKind, build: str, project: str) -> str:
    """The newest chain that this build of this project asked for."""
    beginning = chain_id(use_case, kind, "").rpartition("-")[0] + "-"
    entries = joined(
        chain_index.open_entries(ports.blobs), islice(chain_index.ended_entries(ports.blobs), _LOOKED_THROUGH)
    )
    for entry in islice((entry for entry in entries if entry.chain.startswith(beginning)), _READ):
        try:
            request = chain_store.load(ports.blobs, entry.chain)[0].request
        except (NotFound, Malformed):
            continue
        place = request.azure_devops
        if place is not None and place.project.lower() != project.lower():
            continue
        if (request.use_case, request.kind, request.build_id) == (use_case, kind, build):
            return entry.chain
    raise NotFound(
        f"The run {build} has asked for no {kind.value} chain of {use_case} so far. Let the stage with this check "
        "depend on the one that publishes the request, or name the chain by `request_id`."
    )


def _said(status: int, **said: str) -> Page:
    return page.json_answer(json.dumps(said).encode(), status)
