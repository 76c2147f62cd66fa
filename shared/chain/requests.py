"""The base of every message, and the request that asks for a chain."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.names import Name, Sha256


class ChainKind(StrEnum):
    """What a chain is for; each kind has its plan in `plans.py`."""

    PR = "pr"
    CI = "ci"
    CD = "cd"
    DATASET = "dataset"
    POST_PRODUCTION = "post_production"


class Message(BaseModel):
    """A frozen message that refuses unknown keys and wrong types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1


class DatasetUpload(BaseModel):
    """A dataset that was uploaded: which dataset of the use case it is, and the blob that holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    blob: Annotated[str, Field(max_length=1_024)]
    """The blob's name in the container `datasets` (post_production: `logs`): `<use case>/<dataset>/<file>`."""


class AzureDevOps(BaseModel):
    """Where in Azure DevOps a request came from, and so where its results are shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    collection: Annotated[str, Field(pattern=r"^https://[^\s?#@]{1,500}$")]
    """The organisation's address, `https://dev.azure.com/<organisation>` (variable `System.CollectionUri`)."""
    project: Annotated[str, Field(pattern=r"^[^/\\?#%\x00-\x1f]{1,64}$")]
    """Name or id (`System.TeamProjectId`)."""
    repository: Annotated[str, Field(pattern=r"^[^/\\?#%\x00-\x1f]{1,64}$")] | None = None
    """Name or id of the repository that holds the pull request (`Build.Repository.ID`)."""
    target_branch: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    """The branch into which the pull request is to be merged."""
    run: Annotated[int, Field(gt=0)] | None = None
    """The pipeline run (`Build.BuildId`): it gets tags."""


class ChainRequest(Message):
    """A pipeline, a dataset upload or a person asks for a chain. Queue: chain-requests."""

    type: Literal["ChainRequest"] = "ChainRequest"
    request_id: Annotated[str, Field(min_length=1, max_length=200)]
    """Names the request: the same id, use case and kind always mean the same chain."""
    kind: ChainKind
    use_case: Name
    environment: Name = "dev"
    commit: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{7,64}$")] | None = None
    branch: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    build_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    pull_request: Annotated[int, Field(gt=0)] | None = None
    requester: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    azure_devops: AzureDevOps | None = None
    """Only from a pipeline: the pull request and the run that are told of the result."""
    bundle: Sha256 | None = None
    """The zipped use case folder of the commit, in the container `bundles`; none: the use case shipped with the app."""
    variants: Annotated[str, Field(max_length=2_000)] = "*"
    """`*` (every variant), `defaults`, or `variant,node.variant,…`."""
    fresh: bool = False
    """Whether everything is run, whatever earlier chains have run already."""
    dataset: DatasetUpload | None = None
    """Only for kind dataset (the upload) and post_production (the production log)."""
    flow_version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None = None
    """Only for kind cd: the registered version to deploy; none: the latest."""
    traffic: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percent for the new deployment; none: what the use case's configuration says."""
