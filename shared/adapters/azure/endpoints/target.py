"""A kind of platform that serves endpoints, and what one look at it shows.

`composite.py` keeps the wishes (`records.py`); a target compares them with its platform and begins what comes next.
Every method may be called by two processes at once and again after a crash at any point; none waits for an operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.adapters.azure.endpoints.records import EndpointRecord, WantedDeployment
from shared.ports import DeploymentSpec, DeploymentState, Invocation

CREATION_TAG: Final = "genaiops_creation"
"""Tag of a platform's deployment: `WantedDeployment.creation`."""
CONTENT_TAG: Final = "genaiops_content"
"""Tag of a platform's deployment: `WantedDeployment.content`."""
VERSION_TAG: Final = "genaiops_version"
"""Tag of a platform's deployment: the flow's version."""
OWN_TAGS: Final = frozenset({CREATION_TAG, CONTENT_TAG, VERSION_TAG})
"""Tags that are not of `DeploymentSpec.tags`: they let a deployment be known again whose record is gone."""


def tags_of(wanted: WantedDeployment) -> dict[str, str]:
    """All tags that the platform's deployment bears."""
    own = {CREATION_TAG: wanted.creation, CONTENT_TAG: wanted.content, VERSION_TAG: wanted.flow_version}
    return {**wanted.tags, **own}


@dataclass(frozen=True)
class SeenDeployment:
    """A deployment as its platform shows it. Counts are of requests since it was created, where the platform counts."""

    state: DeploymentState
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """All of the platform's, `OWN_TAGS` too."""
    began: str = ""
    """Only from `advance`, and not empty once its creation has begun: the operation's address, or any other word. It is
    kept as `WantedDeployment.began`."""
    is_leaving: bool = False
    """Whether the platform is deleting it."""
    requests: int = 0
    errors: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None


@dataclass(frozen=True)
class SeenEndpoint:
    """An endpoint as its platform shows it."""

    url: str
    """Where users send their requests; empty while the platform has given none."""
    traffic: Mapping[str, int]
    """Deployment → percent, of those that have a share. It may lag behind what was accepted, never run ahead of it."""
    deployments: Mapping[str, SeenDeployment] = field(default_factory=dict)
    is_changing: bool = False
    """Whether the platform is at work on the endpoint itself, so that its traffic is about to be another."""


class Target(Protocol):
    """One kind of platform. Errors of its SDK come out as the families of `shared/errors.py`.

    A 409 because another operation is running is no error of `advance`, `shift` and `delete`: they are called again.
    """

    def check(self, spec: DeploymentSpec) -> None:
        """Raise BusinessFailure for names, options or variables that the platform would refuse.

        It is called before anything is recorded or created, and asks no service.
        """
        ...

    def prepare(self, record: EndpointRecord, wanted: WantedDeployment, spec: DeploymentSpec) -> Mapping[str, str]:
        """Bring to the platform what only the flow's files can give: an image's build context, say, as a begun build.

        The files are there during this call alone. What `advance` needs of it later is returned and kept in the record
        (`WantedDeployment.prepared`): names and ids, no secrets. The same content gives the same names.
        """
        ...

    def advance(self, record: EndpointRecord, wanted: WantedDeployment) -> SeenDeployment:
        """Begin what comes next on the way to this deployment (`prepared` is there), and say where it is now.

        Its platform's deployment bears the tag `CREATION_TAG`; one with another creation is deleted first, and counts
        as CREATING until it is gone; one without that tag is somebody else's: BusinessFailure. FAILED and READY are
        answers about this very creation.

        Raises:
            NotFound: its creation had begun (`wanted.began`), and the platform has it no longer.
        """
        ...

    def observe(self, record: EndpointRecord, *, counts: bool = False) -> SeenEndpoint | None:
        """Look, and change nothing; with counts where they are asked for. None: there is no such endpoint."""
        ...

    def shift(self, record: EndpointRecord, split: Mapping[str, int]) -> bool:
        """Ask the platform for this split, whose deployments are READY; False where it cannot take it up now.

        Raises BusinessFailure where it never will.
        """
        ...

    def invoke(
        self, record: EndpointRecord, payload: Mapping[str, object], deployment: str | None = None
    ) -> Invocation:
        """Score one request, through the split or on the named deployment, as the port says."""
        ...

    def delete(self, record: EndpointRecord, deployment: str) -> bool:
        """Begin to delete a deployment without traffic; True once that has begun, or it is gone."""
        ...
