"""Where the image of a served flow comes from, for platforms that run containers: one begun build a content.

An image is named by the digest of its context (`image_context.py`), so that what was built once is not built again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Protocol

from shared.adapters.azure.endpoints.connection_references import described
from shared.adapters.azure.endpoints.image_context import ImageContext
from shared.errors import Conflict
from shared.ports import BlobStore, DeploymentSpec, DeploymentState

CONTEXTS: Final = "contexts"
"""Container of build contexts; the workspace's identity needs Storage Blob Data Reader there."""


class Images(Protocol):
    """Images of served flows in a registry, whose builds are begun and never waited for."""

    def begin(self, spec: DeploymentSpec, options: Mapping[str, object]) -> Mapping[str, str]:
        """Begin to build the image, or find it or its build; what `look` needs of it: names and ids."""
        ...

    def look(self, prepared: Mapping[str, str]) -> tuple[DeploymentState, str]:
        """READY with the image's reference, CREATING, or FAILED with the reason."""
        ...


def for_platform(spec: DeploymentSpec) -> DeploymentSpec:
    """The deployment for a platform that gives the container its connections as variables, value by value."""
    return replace(spec, connection_specs=described(spec.connection_specs))


def upload(blobs: BlobStore, blob_service: str, context: ImageContext) -> str:
    """Put the context into blob storage, for Azure ML to build from; its address, which ends with a slash.

    What lies there under a digest is never written again, except by a caller who finishes a broken upload.
    """
    for name, content in sorted(context.files.items()):
        try:
            blobs.write(CONTEXTS, f"{context.tag}/{name}", content, if_absent=True)
        except Conflict:
            continue
    return f"{blob_service}/{CONTEXTS}/{context.tag}/"
