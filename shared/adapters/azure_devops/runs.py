"""Tags of a pipeline's run: a build, in the service's own API.

https://learn.microsoft.com/rest/api/azure/devops/build/tags/add-build-tags: what the run has already stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shared.adapters.azure_devops.answers import app
from shared.adapters.azure_devops.client import Client
from shared.ports.pipelines import PipelineRun

VERSION: Final = "7.1"
LONGEST: Final = 256
"""Characters of a tag."""
RIGHT: Final = "'Edit build quality' and 'View builds' on the pipelines (the group Contributors has both)"


def add_tags(client: Client, run: PipelineRun, tags: Sequence[str]) -> None:
    """Add these tags to the run."""
    wanted = list(dict.fromkeys(tag for tag in map(_allowed, tags) if tag))
    if wanted:
        path: list[str | int] = [run.project, "_apis", "build", "builds", run.number, "tags"]
        client.request("POST", run.collection, path, VERSION, app(RIGHT), body=wanted)


def _allowed(tag: str) -> str:
    """A colon is not allowed: https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands#build-commands."""
    return " ".join(tag.replace(":", "-").split())[:LONGEST]
