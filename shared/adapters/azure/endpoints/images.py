"""Where the image of a served flow comes from, for platforms that run containers: one begun build a content.

An image is named by the digest of its context (`image_context.py`), so that what was built once is not built again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from shared.adapters.azure.endpoints.connection_references import described
from shared.ports import DeploymentSpec, DeploymentState


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
